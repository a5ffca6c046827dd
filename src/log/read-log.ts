import { GfsError } from "../base/errors.ts";
import type { Disk } from "../io.ts";
import type { LogPosition, ReplayEntry } from "./log-types.ts";
import { replaySegment } from "./open-log.ts";
import { decodeSegmentHeader, positionOfFileName, segmentFileName } from "./segment.ts";
import { corrupt, readWhole } from "./survey.ts";

/**
 * Replays entries in (after, until] of a log that another process has open for appending, from segments that take no more entries.
 *
 * @throws GfsError("Corrupt") where an entry of the range is missing or damaged, GfsError("DiskFailed"), and whatever `replay` throws.
 */
export async function readLog(
  world: { readonly disk: Disk },
  log: { readonly directory: string; readonly after: LogPosition; readonly until: LogPosition },
  replay: ReplayEntry,
): Promise<void> {
  const firsts: LogPosition[] = [];
  for (const name of await world.disk.list(log.directory)) {
    const first = positionOfFileName(name);
    if (first !== undefined && first <= log.until) firsts.push(first);
  }
  firsts.sort((a, b) => a - b);
  let position = log.after;
  for (const [index, first] of firsts.entries()) {
    if ((firsts[index + 1] ?? log.until + 1) <= position + 1) continue;
    const path = `${log.directory}/${segmentFileName(first)}`;
    const bytes = await readWhole(world.disk, path);
    const header = decodeSegmentHeader(bytes, path);
    if (typeof header === "string") throw corrupt({ file: path, offset: 0, why: header });
    if (first > position + 1) throw corrupt({ file: path, offset: 0, why: `entry ${position + 1} is missing` });
    position = await replaySegment(bytes, header, { after: position, until: log.until }, replay);
  }
  if (position < log.until) {
    throw new GfsError(
      "Corrupt",
      `Cannot read the log in ${log.directory} up to entry ${log.until}: it ends at entry ${position}`,
    );
  }
}
