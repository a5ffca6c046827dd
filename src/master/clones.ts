/** Carries out the plans of repair (core/repair.ts): has chunks cloned, stops clones that nobody needs any more, has replicas verified before one is replaced. */
import { asGfsError, type GfsError } from "../base/errors.ts";
import { clone, steerClones, verify } from "../wire/control/commands.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import { markBad, noteCopied } from "./bad-replica.ts";
import { chunkView, inBackground, inSlices, type MasterContext, nowMs } from "./context.ts";
import { moveEnded } from "./core/balance.ts";
import { noteReplicaFact, replicasOf } from "./core/chunk-replicas.ts";
import { wantScan, whyShort } from "./core/chunk-scan.ts";
import { type Chunk, findChunk, slotOf, type VolumeIndex } from "./core/chunk-table.ts";
import { queueGarbage } from "./core/garbage.ts";
import { placeOf } from "./core/namespace.ts";
import { slotOfId } from "./core/inodes.ts";
import { planRepairs, type RepairCommand, repairEnded, type RunningClone, stopUnneeded } from "./core/repair.ts";
import { type PaceLimits, rateOfOne } from "./core/repair-pace.ts";
import { wantsMore } from "./core/repair-queues.ts";
import { settingOf } from "./core/runtime-settings.ts";
import { originOf } from "./origin.ts";

/** The slowest copy that is waited for, where no limit makes it slower. */
const cloneBytesPerMs = 2_000;

/** Repair's limits as they are now: by configuration, or as an operator set them. */
export function repairLimits({ state }: Pick<MasterContext, "state">): PaceLimits {
  return {
    streams: settingOf(state, "repair-streams"),
    streamsPerServer: settingOf(state, "repair-streams-per-server"),
    rate: settingOf(state, "repair-rate"),
    serverRate: settingOf(state, "repair-server-rate"),
  };
}

/** Nothing but the trash refers to it. */
export function isTrashed({ state }: Pick<MasterContext, "state">, { owner, references }: Chunk): boolean {
  if (owner.kind !== "inode" || references > 1) return false;
  const slot = slotOfId(state.inodes, owner.inode);
  return slot !== 0 && placeOf(state.inodes, slot) !== "tree";
}

/** Starts the clones that there is room for, and stops those that are not needed any more. Who calls while it runs has it look once more. */
export async function startRepairs(ctx: MasterContext): Promise<void> {
  const { repair, repairing } = ctx.soft;
  if (ctx.soft.mutationsStopped !== undefined) return;
  stopClones(ctx, stopUnneeded(repair, chunkView(ctx)));
  repairing.again = true;
  if (repairing.planning) return;
  repairing.planning = true;
  try {
    while (repairing.again) {
      repairing.again = false;
      await inSlices(ctx, () => {
        const { commands, more } = planRepairs(repair, chunkView(ctx), {
          nowMs: nowMs(ctx),
          limits: ctx.limits,
          pace: repairLimits(ctx),
          garbage: ctx.soft.garbage,
          isTrashed: (chunk) => isTrashed(ctx, chunk),
        });
        for (const command of commands) inBackground(ctx, "repair a chunk", runClone(ctx, command));
        return more ? "more" : "done";
      });
    }
  } finally {
    repairing.planning = false;
  }
  for (const handle of repair.unsure) inBackground(ctx, "verify replicas", verifyReplicas(ctx, handle));
  if (wantsMore(repair.queues)) wantScan(ctx.soft.scan);
}

function waitMs(ctx: MasterContext, { length, bytesPerSecond = Infinity }: RepairCommand): number {
  return ctx.limits.putStallMs + length / Math.min(cloneBytesPerMs, bytesPerSecond / 2_000);
}

/** Has a chunk cloned that was begun (`planRepairs`, `beginMove`). */
export async function runClone(ctx: MasterContext, command: RepairCommand): Promise<void> {
  const { handle, version, length, crc, target, bytesPerSecond } = command;
  const why = whyCopied(ctx, handle);
  let failure: string | undefined;
  let bug: GfsError | undefined;
  try {
    const sources = ctx.commands.addresses(command.sources);
    const origin = originOf(ctx.state, handle);
    const pace = bytesPerSecond === undefined ? {} : { bytesPerSecond };
    const body = { handle, version, length, crc, sources, origin, ...pace };
    await ctx.commands.send(target, clone, body, waitMs(ctx, command));
  } catch (error) {
    const thrown = asGfsError(error);
    if (thrown.code === "Bug") bug = thrown;
    failure = thrown.message;
  }
  const end = { command, failure, nowMs: nowMs(ctx), pace: repairLimits(ctx) };
  const outcome = repairEnded(ctx.soft.repair, chunkView(ctx), end);
  if (outcome === "healed") noteCopied(ctx, handle, target);
  const what = endMove(ctx, handle, outcome) ? "balance" : "repair";
  ctx.world.events.emit(outcome === "failed" ? "warn" : "info", `${what}.${outcome}`, {
    chunk: handle,
    version,
    source: command.sources[0],
    target,
    bytes: length,
    reason: failure ?? (outcome === "healed" ? why : undefined),
  });
  if (outcome === "orphan")
    queueGarbage(
      ctx.soft.garbage,
      { handle, volume: target, cause: "unknown" },
      { nowMs: nowMs(ctx), limits: ctx.limits },
    );
  // Told only now: the clone is over all the same, and holds no stream.
  if (bug !== undefined) throw bug;
  await startRepairs(ctx);
}

/** For people: as it is when the clone begins. */
function whyCopied(ctx: MasterContext, handle: ChunkHandle): string | undefined {
  const want = ctx.soft.repair.running.get(handle)?.want;
  if (want === "moving") return "its copies leave a server that is being drained";
  if (want === "misplaced") return "too many of its replicas are in one rack";
  if (want === "balance") return "its disk is fuller than others";
  const slot = slotOf(ctx.state.chunks, handle);
  return slot < 0 ? undefined : whyShort(chunkView(ctx), slot);
}

/** True where it was a move of balance: the replica on its source is surplus from here on. */
function endMove(ctx: MasterContext, handle: ChunkHandle, outcome: ReturnType<typeof repairEnded>): boolean {
  const { balance } = ctx.soft;
  if (!balance.moving.has(handle)) return false;
  moveEnded(balance, handle, outcome === "healed" ? "cloned" : "failed");
  wantScan(ctx.soft.scan);
  return true;
}

/** Told once: a target that does not hear of it finishes a clone too many, which is surplus then. */
function stopClones(ctx: MasterContext, commands: readonly RepairCommand[]): void {
  for (const command of commands)
    inBackground(ctx, "stop a clone", steer(ctx, command.target, [{ ...named(command), action: "stop" }]));
}

interface SteerItem {
  readonly handle: ChunkHandle;
  readonly version: RepairCommand["version"];
  readonly action: "look" | "stop" | "pace";
  readonly bytesPerSecond?: number;
}

function named({ handle, version }: RepairCommand): Pick<SteerItem, "handle" | "version"> {
  return { handle, version };
}

/** Bytes copied so far, by handle, of those that are under way at the volume; none where it does not answer. */
async function steer(
  ctx: MasterContext,
  volume: VolumeIndex,
  items: readonly SteerItem[],
): Promise<Map<number, number>> {
  try {
    const { running } = await ctx.commands.send(volume, steerClones, { items: [...items] }, ctx.limits.connectMs);
    return new Map(running.map(({ handle, copied }) => [handle, copied]));
  } catch (error) {
    if (asGfsError(error).code === "Bug") throw error;
    return new Map();
  }
}

/** By target. */
function byTarget(clones: readonly RunningClone[]): Map<VolumeIndex, RepairCommand[]> {
  const targets = new Map<VolumeIndex, RepairCommand[]>();
  for (const { command } of clones) targets.set(command.target, [...(targets.get(command.target) ?? []), command]);
  return targets;
}

/** How far each clone is, as its target says, by handle. */
export async function lookAtClones(ctx: MasterContext): Promise<Map<number, number>> {
  const answers = await Promise.all(
    [...byTarget([...ctx.soft.repair.running.values()])].map(([target, commands]) =>
      steer(
        ctx,
        target,
        commands.map((command) => ({ ...named(command), action: "look" as const })),
      ),
    ),
  );
  return new Map(answers.flatMap((copied) => [...copied]));
}

/** Below it a clone under way could not end in the time that it was given: it is stopped, and begins anew. */
const steeredRateMin = 2_000 * cloneBytesPerMs;

/** The limits are others now: clones under way go on by them. */
export async function paceClones(ctx: MasterContext): Promise<void> {
  const rate = rateOfOne(repairLimits(ctx));
  // Balance has a rate of its own.
  const clones = [...ctx.soft.repair.running.values()].filter(({ want }) => want !== "balance");
  const slow = rate !== undefined && rate < steeredRateMin;
  const how = slow
    ? { action: "stop" as const }
    : { action: "pace" as const, ...(rate === undefined ? {} : { bytesPerSecond: rate }) };
  if (slow) for (const clone of clones) clone.stopping = true;
  await Promise.all(
    [...byTarget(clones)].map(([target, commands]) =>
      steer(
        ctx,
        target,
        commands.map((command) => ({ ...named(command), ...how })),
      ),
    ),
  );
  await startRepairs(ctx);
}

const verifyingMax = 16;

/** Has the volumes read what only the log says of their replicas; their word decides whether a corrupt one may be replaced. */
async function verifyReplicas(ctx: MasterContext, handle: ChunkHandle): Promise<void> {
  const { verifying } = ctx.soft.repairing;
  const chunk = findChunk(ctx.state.chunks, handle);
  if (chunk === undefined || verifying.has(handle) || verifying.size >= verifyingMax) return;
  verifying.add(handle);
  const { version, length } = chunk;
  const verifyOne = async (volume: VolumeIndex): Promise<void> => {
    try {
      const timeoutMs = ctx.limits.putStallMs + length / cloneBytesPerMs;
      const { result } = await ctx.commands.send(volume, verify, { handle, version }, timeoutMs);
      const now = findChunk(ctx.state.chunks, handle);
      if (now?.state !== "sealed" || now.version !== version) return;
      if (result === "healthy") noteReplicaFact(ctx.state.chunks, handle, { volume, health: "healthy" });
      else markBad(ctx, { handle, volume, reason: result, why: "it was verified before another one is replaced" });
    } catch (error) {
      // A server that does not answer is asked again by the next plan.
      if (asGfsError(error).code === "Bug") throw error;
    }
  };
  try {
    const unsure = replicasOf(ctx.state.chunks, handle).filter(({ health }) => health === "named");
    await Promise.all(unsure.map(({ volume }) => verifyOne(volume)));
  } finally {
    verifying.delete(handle);
  }
  wantScan(ctx.soft.scan);
}
