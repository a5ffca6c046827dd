import { asGfsError } from "../base/errors.ts";
import { verify } from "../wire/control/commands.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import { inBackground, type MasterContext, nowMs } from "./context.ts";
import { noteReplicaFact, replicaOn } from "./core/chunk-replicas.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { findChunk, slotOf, type VolumeIndex } from "./core/chunk-table.ts";
import { queueGarbage } from "./core/garbage.ts";
import { volumeAt } from "./core/volumes.ts";

export interface BadReplica {
  readonly handle: ChunkHandle;
  readonly volume: VolumeIndex;
  readonly reason: "corrupt" | "missing";
  /** For people. */
  readonly why: string;
}

/** What a volume found out about a replica of its own. */
export interface FoundBad {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly reason: "corrupt" | "missing";
}

/** A heartbeat may come that much later than one which was sent after it: what a server wrote to a connection that it gave up is delivered all the same. */
const lateMs = 180_000;
/** Bytes that a verification reads in a millisecond, at least. */
const verifiedPerMs = 2_000;
/** So many are verified at a time. What a server says of more is believed. */
const verifyingMax = 16;

/** Replicas that were copied to a server of late: what it found of the ones before may still be on its way. */
export interface FreshCopies {
  /** When, by `keyOf`, oldest first. */
  readonly sinceMs: Map<string, number>;
  verifying: number;
}

const keyOf = (handle: ChunkHandle, volume: VolumeIndex): string => `${handle}@${volume}`;

export function noteCopied(ctx: MasterContext, handle: ChunkHandle, volume: VolumeIndex): void {
  const { sinceMs } = ctx.soft.copies;
  sinceMs.delete(keyOf(handle, volume));
  sinceMs.set(keyOf(handle, volume), nowMs(ctx));
  for (const [key, atMs] of sinceMs) {
    if (atMs > nowMs(ctx) - lateMs) break;
    sinceMs.delete(key);
  }
}

/**
 * Takes what a volume found, and judges anew what it told before of chunks that were still being written: it tells each only once, and the commit that
 * publishes such a chunk names the bad replica like the others.
 */
export function hearBad(ctx: MasterContext, volume: VolumeIndex, found: readonly FoundBad[]): void {
  const early = ctx.soft.badEarly.get(volume) ?? new Map<ChunkHandle, FoundBad>();
  for (const each of found) early.set(each.handle, each);
  for (const { handle, version, reason } of early.values()) {
    const chunk = findChunk(ctx.state.chunks, handle);
    const same = chunk?.version === version;
    if (same && chunk.state === "writing") continue;
    early.delete(handle);
    if (!same || chunk.state !== "sealed") continue;
    const bad = { handle, volume, reason, why: "the server found it so" };
    if (copiedMs(ctx, bad) > nowMs(ctx) - lateMs && ctx.soft.copies.verifying < verifyingMax)
      inBackground(ctx, "verify a copy", markUnlessHealthy(ctx, bad, chunk));
    else markBad(ctx, bad);
  }
  if (early.size > 0) ctx.soft.badEarly.set(volume, early);
  else ctx.soft.badEarly.delete(volume);
}

function copiedMs({ soft }: MasterContext, { handle, volume }: BadReplica): number {
  return soft.copies.sinceMs.get(keyOf(handle, volume)) ?? -Infinity;
}

/**
 * Its server says whether it is the copy that it found bad, or the replica which had its place. One that does not answer is taken at its first word. Until then nothing may be
 * deleted on the word of this copy.
 */
async function markUnlessHealthy(
  ctx: MasterContext,
  bad: BadReplica,
  { version, length }: { readonly version: ChunkVersion; readonly length: number },
): Promise<void> {
  const { handle, volume } = bad;
  const { copies } = ctx.soft;
  const { chunks } = ctx.state;
  const of = copiedMs(ctx, bad);
  if (replicaOn(chunks, slotOf(chunks, handle), volume) === "healthy")
    noteReplicaFact(chunks, handle, { volume, health: "named" });
  let healthy = false;
  copies.verifying++;
  try {
    const timeoutMs = ctx.limits.putStallMs + length / verifiedPerMs;
    const { result } = await ctx.commands.send(volume, verify, { handle, version }, timeoutMs);
    healthy = result === "healthy";
  } catch (error) {
    if (asGfsError(error).code === "Bug") throw error;
  } finally {
    copies.verifying--;
  }
  const now = findChunk(chunks, handle);
  // Another copy that was made meanwhile is not the one that was asked for.
  if (now?.state !== "sealed" || now.version !== version || copiedMs(ctx, bad) !== of) return;
  if (!healthy) markBad(ctx, bad);
  else if (replicaOn(chunks, slotOf(chunks, handle), volume) === "named")
    noteReplicaFact(chunks, handle, { volume, health: "healthy" });
}

/** A volume or a seal proved a replica bad: readers are not sent there any more, repair replaces it, and then it goes (DESIGN §4.5). */
export function markBad(ctx: MasterContext, bad: BadReplica): void {
  const { handle, volume, reason, why } = bad;
  const { label, volume: id } = volumeAt(ctx.state.volumes, volume);
  ctx.world.events.emit("warn", "replica.bad", { chunk: handle, volume: id, label, reason, why });
  const health = reason === "missing" ? "gone" : "corrupt";
  if (!noteReplicaFact(ctx.state.chunks, handle, { volume, health })) return;
  if (reason === "corrupt")
    queueGarbage(ctx.soft.garbage, { handle, volume, cause: "corrupt" }, { nowMs: nowMs(ctx), limits: ctx.limits });
  wantScan(ctx.soft.scan);
}
