/** The start of a log: which directory has all of it, the others brought up to date, the torn tail made harmless, everything synced. */
import { defined } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import type { Disk, Events } from "../io.ts";
import { makeDurableDirectory } from "./durable-directory.ts";
import type { LogOptions, LogPosition } from "./log-types.ts";
import { decodeSegmentHeader, segmentFileName, walkSegment } from "./segment.ts";
import {
  corrupt,
  diskFailed,
  type DirectorySurvey,
  emptySurvey,
  readWhole,
  type SegmentSurvey,
  surveyDirectory,
} from "./survey.ts";

/** The whole part of the log, the same in every directory, synced. */
export interface Recovered {
  readonly segments: readonly SegmentSurvey[];
  /** First positions of all segments, those before `after` included. */
  readonly files: readonly LogPosition[];
  readonly last: LogPosition;
  readonly lastCrc: number;
}

/** What every directory holds; `best` has all of the log, undefined for one that doesn't exist yet. */
export interface FoundLog {
  readonly surveys: readonly DirectorySurvey[];
  readonly best: DirectorySurvey | undefined;
}

/**
 * Changes nothing.
 *
 * @throws GfsError("Corrupt" | "WrongCluster" | "FormatUnsupported" | "DiskFailed")
 */
export async function findLog(disk: Disk, options: LogOptions): Promise<FoundLog> {
  const surveys: DirectorySurvey[] = [];
  for (const directory of options.directories) {
    const isThere = (await disk.info(directory)) !== undefined;
    surveys.push(isThere ? await surveyDirectory(disk, directory, options) : emptySurvey(directory));
  }
  const best = chooseBest(surveys, options.after);
  if (best !== undefined) await requireNoDivergence(disk, { best, surveys, options });
  return { surveys, best };
}

/**
 * Makes every directory what the best one is; undefined for a log that doesn't exist yet.
 *
 * @throws GfsError("Corrupt" | "DiskFailed")
 */
export async function recoverLog(
  world: { readonly disk: Disk; readonly events: Events },
  { surveys, best }: FoundLog,
): Promise<Recovered | undefined> {
  const { disk, events } = world;
  for (const { directory } of surveys) await makeDurableDirectory(disk, directory);
  if (best === undefined) return undefined;
  for (const survey of surveys) {
    if (survey !== best && !sameAs(survey, best)) {
      events.emit("warn", "log.restored", { directory: survey.directory, from: best.directory, position: best.last });
      await copyLog(disk, best, survey);
    }
    await settle(world, survey.directory, best);
  }
  return { segments: best.segments, files: filesOf(surveys, best), last: best.last, lastCrc: best.lastCrc };
}

/** Those that are left of an earlier trim in some directory are still the log's: the next trim takes them. */
function filesOf(surveys: readonly DirectorySurvey[], best: DirectorySurvey): readonly LogPosition[] {
  const first = best.files[0] ?? 1;
  const older = new Set(surveys.flatMap(({ files }) => files.filter((file) => file < first)));
  return [...[...older].sort((a, b) => a - b), ...best.files];
}

/** The longest whole one. A directory with trouble is passed over only if another has everything that it ever had. */
function chooseBest(surveys: readonly DirectorySurvey[], after: LogPosition): DirectorySurvey | undefined {
  let best: DirectorySurvey | undefined;
  for (const survey of surveys) {
    if (survey.trouble !== undefined || survey.files.length === 0) continue;
    if (best === undefined || survey.last > best.last) best = survey;
  }
  for (const { trouble, seen } of surveys)
    if (trouble !== undefined && seen > (best?.last ?? -1)) throw corrupt(trouble);
  const held = best?.last ?? 0;
  if (held < after) {
    const where = surveys.map(({ directory }) => directory).join(", ");
    throw new GfsError(
      "Corrupt",
      `Cannot open the log in ${where}: it ends at entry ${held}, and the checkpoint has ${after}`,
    );
  }
  return best;
}

/** A shorter copy must be the beginning of the longest: two masters that went on alone have written different logs. */
async function requireNoDivergence(
  disk: Disk,
  recovery: {
    readonly best: DirectorySurvey;
    readonly surveys: readonly DirectorySurvey[];
    readonly options: LogOptions;
  },
): Promise<void> {
  const { best, surveys, options } = recovery;
  // A log without an entry is the beginning of any.
  const others = surveys.filter((survey) => survey !== best && survey.segments.length > 0 && survey.last > 0);
  const ends: Ends = new Map();
  for (const survey of others) {
    const same = ends.get(survey.last);
    if (same !== undefined && same.lastCrc !== survey.lastCrc) throw diverged(same, survey);
    ends.set(survey.last, survey);
  }
  for (const { header } of best.segments) {
    if (ends.size === 0) return;
    compareEnd(best, ends, header.first - 1, header.previousCrc);
    const path = `${best.directory}/${segmentFileName(header.first)}`;
    walkSegment(await readWhole(disk, path), header, (_, { first, count, crc }) => {
      compareEnd(best, ends, first + count - 1, crc);
    });
  }
  const oldest = best.segments[0]?.header.first ?? 1;
  for (const other of ends.values()) if (other.last >= oldest) throw diverged(best, other);
  for (const other of others) {
    const { directory, last } = other;
    if (!ends.has(last)) continue;
    if (options.requireBeginning === undefined) throw diverged(best, other);
    await options.requireBeginning({ directory, last, best: best.directory });
  }
}

/** Copies that are not compared yet, by their last entry. */
type Ends = Map<LogPosition, DirectorySurvey>;

function compareEnd(best: DirectorySurvey, ends: Ends, position: LogPosition, crc: number): void {
  const other = ends.get(position);
  if (other === undefined) return;
  if (other.lastCrc !== crc) throw diverged(best, other);
  ends.delete(position);
}

function diverged(best: DirectorySurvey, other: DirectorySurvey): GfsError {
  return new GfsError(
    "Corrupt",
    `Cannot open the log in ${best.directory}: ${other.directory} has something else up to entry ${other.last}; start with the one that is right alone, then with the other one emptied`,
  );
}

function sameAs(survey: DirectorySurvey, best: DirectorySurvey): boolean {
  return (
    survey.trouble === undefined &&
    survey.last === best.last &&
    survey.lastCrc === best.lastCrc &&
    survey.segments.length === best.segments.length &&
    survey.segments.every((segment, i) => segment.header.segmentId === best.segments[i]?.header.segmentId)
  );
}

/** Replaces the segments of a directory by those of the best one. */
async function copyLog(disk: Disk, best: DirectorySurvey, target: DirectorySurvey): Promise<void> {
  try {
    for (const { header } of best.segments) {
      const name = segmentFileName(header.first);
      const partial = `${target.directory}/${name}.partial`;
      const bytes = await readWhole(disk, `${best.directory}/${name}`);
      const file = await disk.open(partial, "write");
      try {
        await file.truncate(0);
        await file.write([bytes], 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await disk.rename(partial, `${target.directory}/${name}`);
    }
    // Nothing goes before all that takes its place is there.
    await disk.syncDirectory(target.directory);
    const kept = new Set(best.segments.map(({ header }) => header.first));
    for (const first of target.files)
      if (!kept.has(first)) await disk.remove(`${target.directory}/${segmentFileName(first)}`);
    await disk.syncDirectory(target.directory);
  } catch (error) {
    throw diskFailed(`bring the log in ${target.directory} up to date`, error);
  }
}

/** Zeroes what follows the last whole batch, and makes all that was found durable. */
async function settle(
  { disk, events }: { readonly disk: Disk; readonly events: Events },
  directory: string,
  best: DirectorySurvey,
): Promise<void> {
  try {
    const tail = defined(best.segments.at(-1), "a log's last segment");
    for (const segment of best.segments) {
      const path = `${directory}/${segmentFileName(segment.header.first)}`;
      const bytes = segment === tail ? await tailAgain(disk, path, tail) : undefined;
      const file = await disk.open(path, "write");
      try {
        if (bytes !== undefined) {
          const garbage = bytesToLastNonZero(bytes.subarray(tail.end));
          if (garbage > 0) events.emit("info", "log.torn", { directory, position: best.last, bytes: garbage });
          await file.write([bytes.fill(0, tail.end).subarray(0, tail.end + garbage)], 0);
        }
        await file.sync();
      } finally {
        await file.close();
      }
    }
    await disk.syncDirectory(directory);
  } catch (error) {
    throw diskFailed(`sync the log in ${directory}`, error);
  }
}

/**
 * The last segment, to be written once more. A sync that failed before this start has left pages that count as clean and are not on the medium: only what is
 * written is synced, and what is not would be a hole under all that is logged from now on. Such a page may be dropped at any moment, and then reads as what the
 * medium has: so what is written is looked at again. A loss of power in between takes nothing: of a sector of whole batches there is the old content or the same.
 *
 * @throws GfsError("Corrupt") where it is no longer what was found
 */
async function tailAgain(disk: Disk, path: string, tail: SegmentSurvey): Promise<Uint8Array> {
  const bytes = await readWhole(disk, path);
  const header = decodeSegmentHeader(bytes, path);
  const walk = typeof header === "string" ? undefined : walkSegment(bytes, header, () => undefined);
  if (walk?.end === tail.end && walk.lastCrc === tail.lastCrc) return bytes;
  throw corrupt({ file: path, offset: walk?.end ?? 0, why: "it is no longer what it was a moment ago" });
}

function bytesToLastNonZero(bytes: Uint8Array): number {
  let count = bytes.length;
  while (count > 0 && bytes[count - 1] === 0) count--;
  return count;
}
