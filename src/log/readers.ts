/** Read access to a log's segments: files opened when first read, and never recycled under a reader. */
import { asGfsError, GfsError } from "../base/errors.ts";
import type { Disk, DiskFile } from "../io.ts";
import type { LogPosition } from "./log-types.ts";
import { segmentFileName } from "./segment.ts";
import { diskFailed } from "./survey.ts";

interface OpenSegment {
  readonly file: Promise<DiskFile>;
  reads: number;
  forgotten: boolean;
}

export class SegmentReaders {
  readonly #disk: Disk;
  readonly #directories: () => readonly string[];
  /** By mode and path. */
  readonly #open = new Map<string, OpenSegment>();
  readonly #gone = new Set<LogPosition>();

  constructor(disk: Disk, directories: () => readonly string[]) {
    this.#disk = disk;
    this.#directories = directories;
  }

  /** From the first directory that can. @throws GfsError("DiskFailed" | "Corrupt") */
  async read(
    place: { readonly segment: LogPosition; readonly offset: number; readonly bytes: number },
    mode: "read" | "medium" = "read",
  ): Promise<Uint8Array> {
    const { segment, offset, bytes } = place;
    const into = new Uint8Array(bytes);
    let failure: GfsError | undefined;
    for (const directory of this.#directories()) {
      if (this.#gone.has(segment)) break;
      const path = `${directory}/${segmentFileName(segment)}`;
      const open = this.#opened(path, mode);
      open.reads++;
      try {
        const read = await (await open.file).read(into, offset);
        if (read === bytes) return into;
        failure = new GfsError("Corrupt", `Cannot read ${bytes} bytes of ${path} at byte ${offset}: it ends before`);
      } catch (error) {
        failure = asGfsError(diskFailed(`read ${path}`, error));
      } finally {
        open.reads--;
        if (open.forgotten && open.reads === 0) await closeQuietly(open);
      }
    }
    throw failure ?? new GfsError("Corrupt", `Cannot read log segment ${segment}: it was trimmed`);
  }

  #opened(path: string, mode: "read" | "medium"): OpenSegment {
    const key = `${mode} ${path}`;
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    const open: OpenSegment = { file: this.#disk.open(path, mode), reads: 0, forgotten: false };
    open.file.catch(() => this.#open.delete(key));
    this.#open.set(key, open);
    return open;
  }

  /** Closes the segments, which are not read again; those with a read under way are closed after it, and returned. */
  async forget(segments: readonly LogPosition[]): Promise<Set<LogPosition>> {
    const pinned = new Set<LogPosition>();
    for (const segment of segments) {
      this.#gone.add(segment);
      const name = segmentFileName(segment);
      for (const [key, open] of this.#open) {
        if (!key.endsWith(`/${name}`)) continue;
        this.#open.delete(key);
        open.forgotten = true;
        if (open.reads > 0) {
          pinned.add(segment);
          // What a read still opens must be there until it is open: only then may its name go.
          await open.file.catch(() => undefined);
        } else await closeQuietly(open);
      }
    }
    return pinned;
  }

  async close(): Promise<void> {
    for (const open of this.#open.values()) await closeQuietly(open);
    this.#open.clear();
  }
}

async function closeQuietly(open: OpenSegment): Promise<void> {
  // It was only read: what closing it could still report concerns nobody.
  await open.file.then((file) => file.close()).catch(() => undefined);
}
