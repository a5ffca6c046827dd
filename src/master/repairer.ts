/** Rounds over the chunk table (core/chunk-scan.ts; DESIGN §4.5): what is short is queued for repair, what is surplus for deletion. */
import { chunkView, inSlices, type MasterContext, nowMs } from "./context.ts";
import { scanSlotsPerSlice, stepScan } from "./core/chunk-scan.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import { findChunk } from "./core/chunk-table.ts";
import { queueGarbage } from "./core/garbage.ts";
import { dropUnfounded } from "./core/repair.ts";
import { queueMisplaced, queueShort, waitingNow } from "./core/repair-queues.ts";
import { type Volume, volumeAt } from "./core/volumes.ts";
import { isTrashed } from "./clones.ts";
import { noteHealth } from "./health.ts";
import { beginRound, endRound, stepRound, stepUnsealed } from "./scan-round.ts";

/** A round over the chunk table, where one is wanted. */
export async function scanChunks(ctx: MasterContext): Promise<void> {
  const { scan, repair, garbage } = ctx.soft;
  if (!scan.running && !scan.wanted) return;
  const round = beginRound(ctx);
  // Of a round that an error has broken off, what was found before that is not known any more.
  const unfounded = scan.running ? new Set<ChunkHandle>() : waitingNow(repair.queues);
  await inSlices(ctx, () => {
    const from = scan.running ? scan.slot : 0;
    const now = nowMs(ctx);
    const movedOff = ctx.soft.balance.leaving;
    const step = stepScan(chunkView(ctx), scan, { slotsMax: scanSlotsPerSlice, nowMs: now, movedOff });
    stepRound(ctx, round, { from, end: scan.slot });
    for (const short of step.short) {
      unfounded.delete(short.handle);
      const chunk = findChunk(ctx.state.chunks, short.handle);
      if (chunk !== undefined) queueShort(repair.queues, { ...short, trashed: isTrashed(ctx, chunk) }, now);
    }
    for (const handle of step.misplaced) {
      unfounded.delete(handle);
      queueMisplaced(repair.queues, handle);
    }
    for (const { handle, volume } of step.surplus)
      queueGarbage(garbage, { handle, volume, cause: "surplus" }, { nowMs: now, limits: ctx.limits });
    for (const volume of step.unreported) askForReport(volumeAt(ctx.state.volumes, volume));
    if (scan.running) return "more";
    // Else they would be said to wait for as long as nothing is planned: while changes are stopped, or repair is held.
    dropUnfounded(repair, unfounded);
    noteHealth(ctx);
    // One round at a time: another one that is wanted already begins with the next call.
    return "done";
  });
  await inSlices(ctx, () => {
    if (stepUnsealed(ctx, round)) return "more";
    endRound(ctx, round);
    return "done";
  });
}

/** What is too many goes only on the servers' own word, and that may be ten minutes away. */
function askForReport(volume: Volume): void {
  const { report } = volume;
  if (report === undefined || report.tally.applied === report.tally.pages) volume.reportWanted = true;
}
