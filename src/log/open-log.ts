import { asGfsError } from "../base/errors.ts";
import { entriesOf } from "./batch.ts";
import type { Log, LogOptions, LogPosition, ReplayEntry } from "./log-types.ts";
import { findLog, recoverLog } from "./recover.ts";
import { segmentFileName, type SegmentHeader, walkSegment } from "./segment.ts";
import { type LogWorld, SegmentLog } from "./segment-log.ts";
import { corrupt, diskFailed, readWhole } from "./survey.ts";

/**
 * Opens a log, made where none is: every entry after `options.after` of the longest whole copy is replayed in order; then that copy is brought to every directory, a torn
 * tail is cut, and everything found is synced. Nothing is changed before all is replayed: who refuses what the entries say leaves all as it was.
 *
 * @throws GfsError("Corrupt") for a damaged part before a whole one, an entry that is missing, or copies that have diverged, naming file and offset;
 * GfsError("WrongCluster") for a log of another id or name, GfsError("FormatUnsupported"), GfsError("DiskFailed"), and whatever `replay` and `options.beforeChange` throw.
 */
export async function openLog(world: LogWorld, options: LogOptions, replay: ReplayEntry): Promise<Log> {
  try {
    const found = await findLog(world.disk, options);
    for (const { header, end, last } of found.best?.segments ?? []) {
      const file = `${found.best?.directory}/${segmentFileName(header.first)}`;
      const range = { after: options.after, until: last };
      const replayed = await replaySegment(await readWhole(world.disk, file), header, range, replay);
      // A disk that fails may give other bytes than a moment ago: nobody may go on without the entries that were found.
      if (replayed !== last)
        throw corrupt({ file, offset: end, why: `it had entries up to ${last}, and now only up to ${replayed}` });
    }
    await options.beforeChange?.();
    const recovered = await recoverLog(world, found);
    const log = new SegmentLog(world, options, recovered);
    await log.start();
    return log;
  } catch (error) {
    throw asGfsError(diskFailed(`open the log in ${options.directories.join(", ")}`, error));
  }
}

/** Calls `replay` for the entries in (after, until] of one segment; the position of its last whole entry. */
export async function replaySegment(
  segment: Uint8Array,
  header: SegmentHeader,
  range: { readonly after: LogPosition; readonly until: LogPosition },
  replay: ReplayEntry,
): Promise<LogPosition> {
  const batches: { readonly at: number; readonly first: number; readonly count: number }[] = [];
  const walk = walkSegment(segment, header, (at, { first, count }) => {
    if (first + count - 1 > range.after && first <= range.until) batches.push({ at, first, count });
  });
  for (const batch of batches) {
    for (const { position, offset, bytes } of entriesOf(segment, batch.at, batch)) {
      if (position <= range.after || position > range.until) continue;
      const place = { segment: header.first, offset, bytes };
      const waiting = replay(position, segment.subarray(offset, offset + bytes), place);
      if (waiting !== undefined) await waiting;
    }
  }
  return walk.last;
}
