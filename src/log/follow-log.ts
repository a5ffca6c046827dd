/**
 * Follows a log while its process writes it, for copies elsewhere: the bytes of the segments as they lie in their files, whole batches only, each verified, up to what is
 * durable. What was shipped of a segment is a beginning of its file, and so a log of its own: recovery takes its end for a torn tail.
 */
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import { readUint53, viewOf } from "../base/bytes.ts";
import { type Disk, DiskError, type DiskFile } from "../io.ts";
import { aligned, batchHeaderBytes, decodeBatch } from "./batch.ts";
import type { LogPosition } from "./log-types.ts";
import { decodeSegmentHeader, positionOfFileName, segmentFileName, segmentHeaderBytes, seedOf } from "./segment.ts";
import { corrupt, diskFailed } from "./survey.ts";

export interface FollowedBytes {
  /** The segment's name: the position of its first entry. */
  readonly segment: LogPosition;
  /** Of the first of the bytes in the segment's file. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** The last entry that is whole with these bytes. */
  readonly last: LogPosition;
}

/** Where a follower stands: everything up to entry `last` was given, which ends at `offset` of the segment's file. */
export interface FollowedPlace {
  readonly segment: LogPosition;
  readonly offset: number;
  readonly last: LogPosition;
}

/** What is read at a time, unless one batch is longer. */
const windowBytes = 262_144;

export class LogFollower {
  readonly #disk: Disk;
  readonly #directory: string;
  #place: FollowedPlace;
  #seed: number | undefined;

  private constructor(disk: Disk, directory: string, place: FollowedPlace, seed?: number) {
    this.#disk = disk;
    this.#directory = directory;
    this.#place = place;
    this.#seed = seed;
  }

  /** From the beginning of the segment that holds the first entry after `after`. @throws GfsError("Unavailable") where that was trimmed, GfsError("DiskFailed") */
  static async after(disk: Disk, directory: string, after: LogPosition): Promise<LogFollower> {
    const segment = await segmentOf(disk, directory, after + 1);
    return new LogFollower(disk, directory, { segment, offset: 0, last: segment - 1 });
  }

  /**
   * Goes on where somebody stands who has a segment's bytes up to `offset`, of this CRC.
   *
   * @throws GfsError("Unavailable") where the segment is gone or has other bytes, GfsError("Corrupt" | "DiskFailed")
   */
  static async from(
    disk: Disk,
    directory: string,
    { crc, ...place }: FollowedPlace & { readonly crc: number },
  ): Promise<LogFollower> {
    const follower = new LogFollower(disk, directory, place);
    const header = await follower.#header(place.segment);
    const path = `${directory}/${segmentFileName(place.segment)}`;
    const ours = await follower.#withFile(path, async (file) => {
      let sum = 0;
      for (let at = 0; at < place.offset;) {
        const bytes = await readAt(file, at, Math.min(windowBytes, place.offset - at));
        if (bytes.length === 0) return undefined;
        sum = crc32(bytes, sum);
        at += bytes.length;
      }
      return sum;
    });
    if (ours !== crc)
      throw new GfsError(
        "Unavailable",
        `Cannot follow the log in ${directory}: segment ${place.segment} is not that of the copy`,
      );
    return new LogFollower(disk, directory, place, seedOf(header));
  }

  /** How much of one segment is whole, wherever it lies. @throws GfsError("Corrupt") for a header that can't be read, GfsError("Unavailable") where it is gone, GfsError("DiskFailed") */
  static async measure(
    disk: Disk,
    directory: string,
    segment: LogPosition,
  ): Promise<FollowedPlace & { readonly segmentId: string; readonly id: string }> {
    const follower = new LogFollower(disk, directory, { segment, offset: 0, last: segment - 1 });
    const header = await follower.#header(segment);
    while ((await follower.#read(Number.MAX_SAFE_INTEGER)) !== undefined);
    const { segmentId, id } = header;
    return { ...follower.#place, offset: Math.max(follower.#place.offset, segmentHeaderBytes), segmentId, id };
  }

  get place(): FollowedPlace {
    return this.#place;
  }

  /**
   * The next whole batches, none with an entry beyond `until` (the end of a batch that is durable); undefined where all was given. At most 256 KiB, but for one batch that is longer: a turn of the event loop stays short.
   *
   * @throws GfsError("Unavailable") where the log was trimmed meanwhile, GfsError("Corrupt") for damage, GfsError("DiskFailed")
   */
  async next(until: LogPosition): Promise<FollowedBytes | undefined> {
    for (;;) {
      if (this.#place.last >= until) return undefined;
      const { segment, last } = this.#place;
      const found = await this.#read(until);
      if (found !== undefined) return found;
      const following = await segmentOf(this.#disk, this.#directory, last + 1);
      if (following <= segment)
        throw corrupt({
          file: `${this.#directory}/${segmentFileName(segment)}`,
          offset: this.#place.offset,
          why: `entry ${last + 1} is missing`,
        });
      this.#place = { segment: following, offset: 0, last };
      this.#seed = undefined;
    }
  }

  /** Of the segment that it stands in. */
  async #read(until: LogPosition): Promise<FollowedBytes | undefined> {
    const { segment, offset } = this.#place;
    const path = `${this.#directory}/${segmentFileName(segment)}`;
    let seed = this.#seed;
    if (seed === undefined) {
      seed = seedOf(await this.#header(segment));
      this.#seed = seed;
    }
    return this.#withFile(path, async (file) => {
      let window = await readAt(file, offset, windowBytes);
      let walk = walkWindow(window, { offset, seed, last: this.#place.last, until });
      // One batch may be longer than the window.
      if (walk.wanted > window.length) {
        window = await readAt(file, offset, walk.wanted);
        walk = walkWindow(window, { offset, seed, last: this.#place.last, until });
      }
      if (walk.last === this.#place.last) return undefined;
      const bytes = window.subarray(0, Math.min(walk.end, window.length));
      this.#place = { segment, offset: offset + bytes.length, last: walk.last };
      return { segment, offset, bytes, last: walk.last };
    });
  }

  #header(segment: LogPosition): Promise<Exclude<ReturnType<typeof decodeSegmentHeader>, string>> {
    const path = `${this.#directory}/${segmentFileName(segment)}`;
    return this.#withFile(path, async (file) => {
      const header = decodeSegmentHeader(await readAt(file, 0, segmentHeaderBytes), path);
      if (typeof header === "string") throw corrupt({ file: path, offset: 0, why: header });
      if (header.first !== segment) throw trimmed(this.#directory, segment);
      return header;
    });
  }

  async #withFile<Value>(path: string, work: (file: DiskFile) => Promise<Value>): Promise<Value> {
    let file: DiskFile | undefined;
    try {
      file = await this.#disk.open(path, "read");
      return await work(file);
    } catch (error) {
      if (error instanceof DiskError && error.kind === "missing") throw trimmed(this.#directory, this.#place.segment);
      throw diskFailed(`read ${path}`, error);
    } finally {
      await file?.close();
    }
  }
}

function trimmed(directory: string, entry: LogPosition): GfsError {
  return new GfsError("Unavailable", `Cannot follow the log in ${directory}: entry ${entry} was trimmed`);
}

async function readAt(file: DiskFile, offset: number, bytes: number): Promise<Uint8Array> {
  const into = new Uint8Array(bytes);
  return into.subarray(0, await file.read(into, offset));
}

/** The segment that holds an entry, or will. */
async function segmentOf(disk: Disk, directory: string, entry: LogPosition): Promise<LogPosition> {
  let best = 0;
  let names: readonly string[];
  try {
    names = await disk.list(directory);
  } catch (error) {
    throw diskFailed(`list ${directory}`, error);
  }
  for (const name of names) {
    const first = positionOfFileName(name);
    if (first !== undefined && first <= entry) best = Math.max(best, first);
  }
  if (best === 0) throw trimmed(directory, entry);
  return best;
}

/** Whole batches from the window's beginning on: where they end in it, the last entry, and how many bytes the first one that did not fit wants. */
function walkWindow(
  window: Uint8Array,
  from: { readonly offset: number; readonly seed: number; readonly last: LogPosition; readonly until: LogPosition },
): { readonly end: number; readonly last: LogPosition; readonly wanted: number } {
  // Batches lie at multiples of 8 of the file; a header has no entries.
  let at = from.offset < segmentHeaderBytes ? segmentHeaderBytes - from.offset : aligned(from.offset) - from.offset;
  let end = 0;
  let { last } = from;
  for (;;) {
    const batch = decodeBatch(window, at, from.seed);
    if (typeof batch === "string") {
      const wanted = end === 0 && at + batchHeaderBytes <= window.length ? at + bytesClaimed(window, at) : 0;
      return { end, last, wanted };
    }
    const batchLast = batch.first + batch.count - 1;
    if (batch.first !== last + 1 || batchLast > from.until) return { end, last, wanted: 0 };
    last = batchLast;
    end = at + batch.bytes;
    at = aligned(end + from.offset) - from.offset;
  }
}

/** What a batch's header says of its length, bounded by what a batch can have. */
function bytesClaimed(window: Uint8Array, at: number): number {
  const view = viewOf(window);
  if (readUint53(view, at + 16) === undefined) return 0;
  const bytes = view.getUint32(at + 8, true);
  return bytes <= 16 * 1_048_576 ? bytes : 0;
}
