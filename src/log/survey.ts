/** What one directory of a log holds: its segments, how far they are whole, and what is wrong with them. Reads only. */
import { GfsError } from "../base/errors.ts";
import { DiskError, type Disk } from "../io.ts";
import type { LogPosition } from "./log-types.ts";
import { positionClaimed } from "./batch.ts";
import {
  decodeSegmentHeader,
  positionBeyond,
  positionOfFileName,
  segmentFileName,
  type SegmentHeader,
  walkSegment,
} from "./segment.ts";

export interface SegmentSurvey {
  readonly header: SegmentHeader;
  readonly fileBytes: number;
  /** Offset after the last whole batch. */
  readonly end: number;
  /** Of the last entry. */
  readonly last: LogPosition;
  readonly lastCrc: number;
}

export interface Trouble {
  readonly file: string;
  readonly offset: number;
  readonly why: string;
}

export interface DirectorySurvey {
  readonly directory: string;
  /** Of those that hold entries after `after`, oldest first. */
  readonly segments: readonly SegmentSurvey[];
  /** First positions of all segment files there. */
  readonly files: readonly LogPosition[];
  /** Files that are no segments: spares, and what a crash left. */
  readonly others: readonly string[];
  /** Of the last entry of the whole part; 0 for an empty directory. */
  readonly last: LogPosition;
  readonly lastCrc: number;
  /** The highest position seen, also beyond trouble. */
  readonly seen: LogPosition;
  readonly trouble: Trouble | undefined;
}

export interface LogIdentity {
  readonly name: string;
  readonly id: string;
  readonly after: LogPosition;
}

/** Of one that isn't there. */
export function emptySurvey(directory: string): DirectorySurvey {
  return { directory, segments: [], files: [], others: [], last: 0, lastCrc: 0, seen: 0, trouble: undefined };
}

/** @throws GfsError("WrongCluster" | "FormatUnsupported" | "DiskFailed") */
export async function surveyDirectory(disk: Disk, directory: string, identity: LogIdentity): Promise<DirectorySurvey> {
  const names = await disk.list(directory);
  const files: LogPosition[] = [];
  const others: string[] = [];
  for (const name of names) {
    const first = positionOfFileName(name);
    if (first === undefined) others.push(name);
    else files.push(first);
  }
  files.sort((a, b) => a - b);
  // What a checkpoint has is not read again; a segment's last entry is the one before the next segment's first.
  let skip = 0;
  while (skip + 1 < files.length && (files[skip + 1] ?? 0) <= identity.after + 1) skip++;

  const segments: SegmentSurvey[] = [];
  const wanted = files.slice(skip);
  const whole = { last: 0, lastCrc: 0, seen: files.at(-1) === undefined ? 0 : (files.at(-1) ?? 1) - 1 };
  const result = (): DirectorySurvey => ({ directory, segments, files, others, ...whole, trouble: undefined });
  const troubled = async (trouble: Trouble): Promise<DirectorySurvey> => {
    for (const first of wanted) {
      const bytes = await readWhole(disk, `${directory}/${segmentFileName(first)}`);
      whole.seen = Math.max(whole.seen, positionClaimed(bytes));
    }
    return { ...result(), trouble };
  };

  for (const [index, first] of wanted.entries()) {
    const file = `${directory}/${segmentFileName(first)}`;
    const previous = segments.at(-1);
    if (previous === undefined && first > identity.after + 1)
      return troubled({ file, offset: 0, why: `entries ${identity.after + 1} to ${first - 1} are missing` });
    const bytes = await readWhole(disk, file);
    const header = decodeSegmentHeader(bytes, file);
    if (typeof header === "string") return troubled({ file, offset: 0, why: header });
    requireSameLog(file, header, identity);
    if (header.first !== first) return troubled({ file, offset: 0, why: `its header names entry ${header.first}` });
    if (previous !== undefined && header.previousCrc !== previous.lastCrc)
      return troubled({ file, offset: 0, why: "it does not follow the segment before" });

    const walk = walkSegment(bytes, header, () => undefined);
    const next = wanted[index + 1];
    const beyond = next === undefined ? positionBeyond(bytes, header, walk) : undefined;
    segments.push({ header, fileBytes: bytes.length, end: walk.end, last: walk.last, lastCrc: walk.lastCrc });
    whole.last = walk.last;
    whole.lastCrc = walk.lastCrc;
    whole.seen = Math.max(whole.seen, walk.last, beyond ?? 0);
    if (beyond !== undefined || (next !== undefined && next !== walk.last + 1))
      return troubled({ file, offset: walk.end, why: walk.why });
  }
  return result();
}

function requireSameLog(file: string, header: SegmentHeader, identity: LogIdentity): void {
  if (header.name === identity.name && header.id === identity.id) return;
  throw new GfsError(
    "WrongCluster",
    `Cannot open ${file}: it belongs to ${header.name} ${header.id}, not to ${identity.name} ${identity.id}`,
  );
}

export function corrupt(trouble: Trouble): GfsError {
  return new GfsError("Corrupt", `Cannot read ${trouble.file} at byte ${trouble.offset}: ${trouble.why}`, {
    details: { file: trouble.file, offset: trouble.offset },
  });
}

export async function readWhole(disk: Disk, path: string): Promise<Uint8Array> {
  try {
    const file = await disk.open(path, "read");
    try {
      const bytes = new Uint8Array(await file.size());
      const read = await file.read(bytes, 0);
      return read === bytes.length ? bytes : bytes.subarray(0, read);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskFailed(`read ${path}`, error);
  }
}

/** A failure of the disk as the error that callers see; other errors pass as they are. */
export function diskFailed(what: string, error: unknown): unknown {
  if (!(error instanceof DiskError)) return error;
  return new GfsError("DiskFailed", `Cannot ${what}: ${error.message}`, {
    cause: error,
    details: { path: error.path, kind: error.kind },
  });
}
