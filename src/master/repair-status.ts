/** How far repair is, for operators (wire/control/repair.ts). */
import type { CloneStatus, repairStatus } from "../wire/control/repair.ts";
import { lookAtClones, repairLimits } from "./clones.ts";
import { type MasterContext, nowMs } from "./context.ts";
import { findChunk, type VolumeIndex } from "./core/chunk-table.ts";
import type { ReplyOf } from "./core/decision.ts";
import { candidateOf } from "./core/placement.ts";
import { copyRate } from "./core/repair-pace.ts";
import type { RunningClone } from "./core/repair.ts";
import { volumeAt } from "./core/volumes.ts";
import { untilWhole } from "./health.ts";
import { pathOfChunk } from "./locating.ts";

const runningMax = 1_024;
const reasonCharsMax = 1_024;

export async function repairStatusOf(ctx: MasterContext): Promise<ReplyOf<typeof repairStatus>> {
  const copied = await lookAtClones(ctx);
  const { repair, scan } = ctx.soft;
  const { short, atRisk, lost, misplaced, missingBytes } = (scan.finished ?? scan).counts;
  const running = [...repair.running.values()];
  return {
    short,
    oneLeft: atRisk,
    lost,
    misplaced,
    missingBytes,
    running: running.slice(0, runningMax).map((clone) => cloneStatus(ctx, clone, copied)),
    runningCount: running.length,
    done: repair.done,
    doneBytes: repair.doneBytes,
    rate: copyRate(repair.pace, nowMs(ctx)),
    limits: repairLimits(ctx),
    ...untilWhole(ctx),
    ...(repair.held === undefined ? {} : { held: repair.held.slice(0, reasonCharsMax) }),
    ...(repair.blocked === "" ? {} : { blocked: repair.blocked.slice(0, reasonCharsMax) }),
  };
}

function cloneStatus(
  ctx: MasterContext,
  { command, startedMs, want }: RunningClone,
  copied: ReadonlyMap<number, number>,
): CloneStatus {
  const { handle, sources, target, length } = command;
  const owner = findChunk(ctx.state.chunks, handle)?.owner;
  const name = (volume: VolumeIndex): string => candidateOf(volumeAt(ctx.state.volumes, volume)).name;
  const bytes = copied.get(handle);
  return {
    handle,
    path: pathOfChunk(ctx, owner?.kind === "inode" ? owner.inode : undefined),
    source: name(sources[0]),
    target: name(target),
    bytes: length,
    ...(bytes === undefined ? {} : { copied: bytes }),
    runningMs: nowMs(ctx) - startedMs,
    reason: want,
  };
}
