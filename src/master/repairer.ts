/** Finds what is short and has it cloned (DESIGN §4.5; core/chunk-scan.ts, core/repair.ts). */
import { asGfsError } from "../base/errors.ts";
import { clone, verify } from "../wire/control/commands.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import { markBad } from "./bad-replica.ts";
import { chunkView, inBackground, inSlices, type MasterContext, nowMs } from "./context.ts";
import { noteReplicaFact, replicasOf } from "./core/chunk-replicas.ts";
import { scanSlotsPerSlice, stepScan, wantScan } from "./core/chunk-scan.ts";
import { findChunk, type VolumeIndex } from "./core/chunk-table.ts";
import { queueGarbage } from "./core/garbage.ts";
import { planRepairs, queueRepair, type RepairCommand, repairEnded } from "./core/repair.ts";
import { settingOf } from "./core/runtime-settings.ts";
import { tickSafeMode } from "./core/safe-mode.ts";
import { noteHealth } from "./health.ts";
import { originOf } from "./origin.ts";
import { beginRound, endRound, stepRound } from "./scan-round.ts";

const clonesAtOnceMax = 64;
/** The slowest copy that is waited for. */
const cloneBytesPerMs = 2_000;

/** A round over the chunk table, where one is wanted. */
export async function scanChunks(ctx: MasterContext): Promise<void> {
  const { scan, repair, garbage } = ctx.soft;
  if (!scan.running && !scan.wanted) return;
  const round = beginRound(ctx);
  await inSlices(ctx, () => {
    const from = scan.running ? scan.slot : 0;
    const step = stepScan(chunkView(ctx), scan, { slotsMax: scanSlotsPerSlice, nowMs: nowMs(ctx) });
    stepRound(ctx, round, { from, end: scan.slot });
    for (const short of step.short) queueRepair(repair, short);
    for (const { handle, volume } of step.surplus)
      queueGarbage(garbage, { handle, volume, cause: "surplus" }, { nowMs: nowMs(ctx), limits: ctx.limits });
    if (scan.running) return "more";
    noteHealth(ctx);
    // One round at a time: another one that is wanted already begins with the next call.
    endRound(ctx, round);
    return "done";
  });
}

/** Leaves safe mode when enough is known. */
export function safeModeTick(ctx: MasterContext): void {
  if (!tickSafeMode(ctx.soft.safeMode, ctx.state, { nowMs: nowMs(ctx), limits: ctx.limits })) return;
  ctx.world.events.emit("info", "safe-mode.left");
  wantScan(ctx.soft.scan);
}

/** Starts the clones that there is room for. */
export function startRepairs(ctx: MasterContext): void {
  if (ctx.soft.mutationsStopped !== undefined) return;
  const limits = { ...ctx.limits, repairStreamsPerServer: settingOf(ctx.state, "repair-streams-per-server") };
  const time = { nowMs: nowMs(ctx), limits, max: clonesAtOnceMax, garbage: ctx.soft.garbage };
  for (const command of planRepairs(ctx.soft.repair, chunkView(ctx), time))
    inBackground(ctx, "repair a chunk", runClone(ctx, command));
  for (const handle of ctx.soft.repair.unsure) inBackground(ctx, "verify replicas", verifyReplicas(ctx, handle));
  if (ctx.soft.repair.overflowed) {
    ctx.soft.repair.overflowed = false;
    wantScan(ctx.soft.scan);
  }
}

/** Chunks whose replicas are being verified. */
const verifyingOf = new WeakMap<MasterContext, Set<ChunkHandle>>();
const verifyingMax = 16;

/** Has the volumes read what only the log says of their replicas; their word decides whether a corrupt one may be replaced. */
async function verifyReplicas(ctx: MasterContext, handle: ChunkHandle): Promise<void> {
  const verifying = verifyingOf.get(ctx) ?? new Set();
  verifyingOf.set(ctx, verifying);
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
    const named = replicasOf(ctx.state.chunks, handle).filter(({ health }) => health === "named");
    await Promise.all(named.map(({ volume }) => verifyOne(volume)));
  } finally {
    verifying.delete(handle);
  }
  wantScan(ctx.soft.scan);
}

async function runClone(ctx: MasterContext, command: RepairCommand): Promise<void> {
  const { handle, version, length, crc, target } = command;
  let failure: string | undefined;
  try {
    const sources = ctx.commands.addresses(command.sources);
    const origin = originOf(ctx.state, handle);
    const timeoutMs = ctx.limits.putStallMs + length / cloneBytesPerMs;
    await ctx.commands.send(target, clone, { handle, version, length, crc, sources, origin }, timeoutMs);
  } catch (error) {
    const { code, message } = asGfsError(error);
    if (code === "Bug") throw error;
    failure = message;
  }
  const outcome = repairEnded(ctx.soft.repair, chunkView(ctx), { command, failure, nowMs: nowMs(ctx) });
  ctx.world.events.emit(outcome === "failed" ? "warn" : "info", `repair.${outcome}`, {
    chunk: handle,
    version,
    target,
    reason: failure,
  });
  if (outcome === "orphan")
    queueGarbage(
      ctx.soft.garbage,
      { handle, volume: target, cause: "unknown" },
      { nowMs: nowMs(ctx), limits: ctx.limits },
    );
  startRepairs(ctx);
}
