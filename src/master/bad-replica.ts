import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import { type MasterContext, nowMs } from "./context.ts";
import { noteReplicaFact } from "./core/chunk-replicas.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { findChunk, type VolumeIndex } from "./core/chunk-table.ts";
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
    if (same && chunk.state === "sealed") markBad(ctx, { handle, volume, reason, why: "the server found it so" });
  }
  if (early.size > 0) ctx.soft.badEarly.set(volume, early);
  else ctx.soft.badEarly.delete(volume);
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
