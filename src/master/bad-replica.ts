import type { ChunkHandle } from "../wire/ids.ts";
import { type MasterContext, nowMs } from "./context.ts";
import { noteReplicaFact } from "./core/chunk-replicas.ts";
import { wantScan } from "./core/chunk-scan.ts";
import type { VolumeIndex } from "./core/chunk-table.ts";
import { queueGarbage } from "./core/garbage.ts";
import { volumeAt } from "./core/volumes.ts";

export interface BadReplica {
  readonly handle: ChunkHandle;
  readonly volume: VolumeIndex;
  readonly reason: "corrupt" | "missing";
  /** For people. */
  readonly why: string;
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
