/** Servers on their way out (DESIGN §4.5; core/drain.ts): their tails are sealed, how far they are is told, and who is empty is forgotten. */
import { GfsError } from "../base/errors.ts";
import { are, counted, formatSize, have } from "../config/units.ts";
import type { EventFields } from "../io.ts";
import { decommission, type decommissionCheck, type DrainReport } from "../wire/control/drains.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import type { LogRecord } from "../wire/log-records.ts";
import { chunkView, inBackground, inSlices, type MasterContext, nowMs, requireMutations } from "./context.ts";
import { scanSlotsPerSlice, wantScan } from "./core/chunk-scan.ts";
import { findChunk } from "./core/chunk-table.ts";
import { addCost, type Cost, decideDecommission, decideTailEnd, type Judged, noCost } from "./core/decide-drains.ts";
import type { ReplyOf, RequestOf } from "./core/decision.ts";
import { drainingVolumes, type DrainProgress, drainProgress, forgetDrain } from "./core/drain.ts";
import { sealForVolume } from "./core/leases.ts";
import { settingOf } from "./core/runtime-settings.ts";
import { findServer } from "./core/server-names.ts";
import { nameOf, type Volume } from "./core/volumes.ts";
import { pathOfChunk } from "./locating.ts";
import { abandonSeal, sealAll, tellSeals } from "./sealer.ts";

/** Looks after all servers that are being drained: after a start of the master as before it. */
export function tickDrains(ctx: MasterContext): void {
  const { drains } = ctx.soft;
  for (const volume of drainingVolumes(ctx.state.volumes)) {
    const { safe, left, stuck } = progressOf(ctx, volume);
    // Nothing is opened there any more: once a round has found nothing open, nothing will be.
    if (left === undefined || left.unsealed > 0)
      sealAll(ctx, sealForVolume(ctx.state.chunks, volume.index, `${nameOf(volume)} is being drained`));
    // While nothing is known yet nothing is taken back.
    if (left === undefined) continue;
    const news = safe ? "safe" : stuck !== undefined ? "stuck" : "moving";
    const told = drains.told.get(volume.index);
    if (told === news || (told === undefined && news === "moving")) continue;
    drains.told.set(volume.index, news);
    const fields = {
      volume: volume.volume,
      label: volume.label,
      chunks: left.chunks + left.unsealed,
      bytes: left.bytes,
    };
    inBackground(
      ctx,
      "tell of a drain",
      tellWhenDurable(ctx, { ...fields, reason: news === "stuck" ? stuck : undefined }, news),
    );
  }
}

/** As a reply would leave: when nothing that it rests on can be undone. */
async function tellWhenDurable(
  ctx: MasterContext,
  fields: EventFields,
  news: "safe" | "stuck" | "moving",
): Promise<void> {
  await ctx.engine.release(undefined);
  if (news === "safe") ctx.world.events.emit("info", "drain.finished", fields);
  else if (news === "stuck") ctx.world.events.emit("warn", "drain.stuck", fields);
  else ctx.world.events.emit("info", "drain.resumed", fields);
}

const copySettings = ["repair-streams", "repair-streams-per-server"] as const;

function progressOf(ctx: MasterContext, volume: Volume): DrainProgress {
  const progress = drainProgress(ctx.soft.drains, chunkView(ctx), { volume: volume.index, limits: ctx.limits });
  const { stuck, left } = progress;
  if (stuck !== undefined || left === undefined || left.chunks + left.unsealed === 0) return progress;
  const { mutationsStopped } = ctx.soft;
  if (mutationsStopped !== undefined) return { ...progress, stuck: `changes are stopped: ${mutationsStopped}` };
  return left.chunks === 0 ? progress : { ...progress, stuck: whyNoCopies(ctx) };
}

function whyNoCopies({ state, soft }: MasterContext): string | undefined {
  const off = copySettings.find((name) => settingOf(state, name) === 0);
  if (off !== undefined) return `nothing is copied, since ${off} is set to 0`;
  return soft.repair.held === undefined ? undefined : `repair is held back: ${soft.repair.held}`;
}

/** Of a server that an operator asks for, also where it is not being drained. */
export function drainReport(ctx: MasterContext, volume: Volume): DrainReport {
  const progress = progressOf(ctx, volume);
  const { left, bytesPerSecond, estimateMs } = progress;
  const why = whyNotSafe(ctx, volume, progress);
  const { registration, liveness, label } = volume;
  return {
    volume: volume.volume,
    label,
    ...(registration === undefined ? {} : { control: registration.control }),
    liveness,
    state: why === undefined ? "safe" : progress.stuck !== undefined ? "stuck" : "moving",
    why: (why ?? "").slice(0, 1_024),
    ...(left === undefined ? {} : { chunksLeft: left.chunks, bytesLeft: left.bytes, openChunks: left.unsealed }),
    bytesPerSecond,
    ...(estimateMs === undefined ? {} : { estimateMs }),
  };
}

/** What it waits for, for people; undefined: safe to stop. */
function whyNotSafe(ctx: MasterContext, volume: Volume, { safe, left, stuck }: DrainProgress): string | undefined {
  const { safeMode, mutationsStopped } = ctx.soft;
  if (volume.mark !== "draining") return "it is not being drained";
  if (mutationsStopped !== undefined) return `the master may be an old copy: ${mutationsStopped}`;
  if (safeMode.active) return `safe mode: ${safeMode.reason}`;
  if (safe) return undefined;
  if (left === undefined) return "all chunks are being looked at";
  const parts: string[] = [];
  if (left.chunks > 0)
    parts.push(
      `${counted(left.chunks, "chunk")} (${formatSize(left.bytes)}) ${have(left.chunks)} too few replicas on other servers`,
    );
  if (left.unsealed > 0)
    parts.push(`${counted(left.unsealed, "chunk")} ${are(left.unsealed)} being written there, or sealed`);
  if (stuck !== undefined) return `${parts.join("; ")}: ${stuck}`;
  return parts.length > 0 ? parts.join("; ") : "something changed: all chunks are looked at once more";
}

/** Its mark is durable. */
export function drainBegun(ctx: MasterContext, volume: Volume): void {
  ctx.world.events.emit("info", "drain.begun", { volume: volume.volume, label: volume.label });
  tickDrains(ctx);
  wantScan(ctx.soft.scan);
}

export function drainCancelled(ctx: MasterContext, volume: Volume): void {
  forgetDrain(ctx.soft.drains, volume.index);
  ctx.world.events.emit("info", "drain.cancelled", { volume: volume.volume, label: volume.label });
  wantScan(ctx.soft.scan);
}

/** In slices. @throws GfsError("Busy") in safe mode: nobody knows yet who else has what */
async function costOf(ctx: MasterContext, volume: Volume): Promise<Cost> {
  if (ctx.soft.safeMode.active)
    throw new GfsError("Busy", `Cannot tell what would be lost with ${nameOf(volume)}: ${ctx.soft.safeMode.reason}`, {
      retryAfterMs: 1_000,
    });
  const cost = noCost();
  let from = 0;
  await inSlices(ctx, () => {
    const view = chunkView(ctx);
    const end = Math.min(view.chunks.slotEnd, from + scanSlotsPerSlice);
    addCost(view, cost, { volume: volume.index, from, end });
    from = end;
    return end < view.chunks.slotEnd ? "more" : "done";
  });
  return cost;
}

/** @throws GfsError of `findServer`, GfsError("Busy") */
export async function checkDecommission(
  ctx: MasterContext,
  { server }: RequestOf<typeof decommissionCheck>,
): Promise<ReplyOf<typeof decommissionCheck>> {
  const found = findServer(ctx.state.volumes, server, "forget");
  const why = whyNotSafe(ctx, found, progressOf(ctx, found));
  const { lost, lostBytes, short, first } = why === undefined ? noCost() : await costOf(ctx, found);
  const { volume, label, liveness } = found;
  const lostChunks = first.map(({ handle, bytes }) => {
    const owner = findChunk(ctx.state.chunks, handle)?.owner;
    return { handle, bytes, path: pathOfChunk(ctx, owner?.kind === "inode" ? owner.inode : undefined) };
  });
  return {
    volume,
    label,
    liveness,
    safe: why === undefined,
    why: (why ?? "").slice(0, 1_024),
    lost,
    lostBytes,
    short,
    lostChunks,
  };
}

/** @throws GfsError of `decideDecommission`, GfsError("Busy") while the master is not sure yet */
export async function runDecommission(
  ctx: MasterContext,
  request: RequestOf<typeof decommission>,
): Promise<ReplyOf<typeof decommission>> {
  requireMutations(ctx);
  let forgotten: Volume | undefined;
  const reply = await ctx.engine.mutate(decommission, request, async (decideNow) => {
    const found = findServer(ctx.state.volumes, request.server, "forget");
    const cost =
      request.force && whyNotSafe(ctx, found, progressOf(ctx, found)) !== undefined
        ? await costOf(ctx, found)
        : undefined;
    return decideNow(() => {
      // It may be forgotten by now, or another one have its name.
      const volume = findServer(ctx.state.volumes, request.server, "forget");
      const decision = decideDecommission(ctx.state, request, judge(ctx, volume, volume === found ? cost : undefined));
      forgotten = volume;
      return decision;
    });
  });
  if (forgotten === undefined) return reply;
  ctx.soft.drains.endsTails = true;
  await endForgottenTails(ctx);
  forgetDrain(ctx.soft.drains, forgotten.index);
  ctx.soft.badEarly.delete(forgotten.index);
  tellSeals(ctx, { kind: "volume-gone", volume: forgotten.index });
  ctx.world.events.emit("warn", "volume.forgotten", {
    volume: forgotten.volume,
    label: forgotten.label,
    lost: reply.lost,
    forced: request.force,
  });
  wantScan(ctx.soft.scan);
  return reply;
}

/**
 * Tails that only forgotten servers had are sealed at nothing, a page at a time, so that their files can be appended to, and removed, again: once the mark of the last of these is durable, or
 * after a start that came between.
 */
export async function endForgottenTails(ctx: MasterContext): Promise<void> {
  const { drains, mutationsStopped } = ctx.soft;
  if (!drains.endsTails || mutationsStopped !== undefined) return;
  drains.endsTails = false;
  if (!ctx.state.volumes.byIndex.some((volume) => volume?.mark === "forgotten")) return;
  try {
    // Those that are opened meanwhile come too, and lie elsewhere.
    const walk = ctx.state.tails.values();
    await inSlices(ctx, () => endPage(ctx, walk));
    await ctx.engine.release(undefined);
  } catch (error) {
    drains.endsTails = true;
    throw error;
  }
}

function endPage(ctx: MasterContext, tails: Iterator<ChunkHandle, unknown>): "more" | "done" {
  const records: LogRecord[] = [];
  const ended: ChunkHandle[] = [];
  let next = tails.next();
  for (let looked = 1; next.done !== true; looked++, next = tails.next()) {
    const end = decideTailEnd(ctx.state, next.value);
    if (end.length > 0) ended.push(next.value);
    records.push(...end);
    if (looked >= ctx.limits.writtenPage) break;
  }
  if (records.length > 0) ctx.engine.apply(records);
  for (const handle of ended) abandonSeal(ctx, handle);
  return next.done === true ? "done" : "more";
}

/** @throws GfsError("Busy") where all is moved, and only the last look at all chunks is not over */
function judge(ctx: MasterContext, volume: Volume, cost: Cost | undefined): Judged {
  const progress = progressOf(ctx, volume);
  const unsafe = whyNotSafe(ctx, volume, progress);
  const { left } = progress;
  const looking = left === undefined || (left.chunks === 0 && left.unsealed === 0);
  if (unsafe !== undefined && cost === undefined && volume.mark === "draining" && looking) {
    wantScan(ctx.soft.scan);
    throw new GfsError("Busy", `Cannot forget ${nameOf(volume)} yet: ${unsafe}`, { retryAfterMs: 500 });
  }
  const { deadHeartbeats, heartbeatMs } = ctx.limits;
  return { unsafe, cost, deadInMs: volume.heardMs + deadHeartbeats * heartbeatMs - nowMs(ctx) };
}
