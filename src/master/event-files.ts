/**
 * Where events for operators are kept: `events/` in the first of the master's data directories that can be written to, a few files of a bounded size. They are a
 * convenience, so they are neither synced (a loss of power may take the last ones) nor mirrored, and whatever is wrong with them never stops the master.
 *
 * A line is the CRC-32 of the rest of it (8 hex digits), a space, and the event as JSON: one that is torn or damaged is passed over. A file's name is the number of its
 * first event (16 hex digits). docs/DISK-FORMAT.md.
 */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { crc32 } from "../base/checksum.ts";
import { type Disk, DiskError, type DiskFile } from "../io.ts";
import type { Limits } from "../limits.ts";
import { ClusterEvent } from "../wire/control/events.ts";

/** A directory that failed is tried again after this time. */
const retryMs = 60_000;
const suffix = ".events";

export type EventLimits = Pick<Limits, "eventSegmentBytes" | "eventSegments">;

export interface StoredEvent {
  readonly event: ClusterEvent;
  /** On the disk, and about as much in memory. */
  readonly bytes: number;
}

interface Segment {
  readonly directory: string;
  readonly file: DiskFile;
  bytes: number;
}

export class EventFiles {
  readonly #disk: Disk;
  /** In the order in which they are tried. */
  readonly #directories: readonly string[];
  readonly #limits: EventLimits;
  readonly #failedMs = new Map<string, number>();
  #segment: Segment | undefined;

  /** @param dataDirectories paths of the master's data directories */
  constructor(disk: Disk, dataDirectories: readonly string[], limits: EventLimits) {
    this.#disk = disk;
    this.#directories = dataDirectories.map((path) => `${path}/events`);
    this.#limits = limits;
  }

  /** Batches of events; of one directory in order. Of what can't be read nothing. */
  async *read(): AsyncGenerator<StoredEvent[]> {
    for (const directory of this.#directories) {
      for (const name of await this.#names(directory)) {
        const bytes = await this.#content(`${directory}/${name}`);
        for (let from = 0; from < bytes.length;) {
          const events: StoredEvent[] = [];
          for (let lines = 0; lines < linesPerBatch && from < bytes.length; lines++) {
            const found = bytes.indexOf(lineFeed, from);
            const end = found < 0 ? bytes.length : found;
            const event = parseLine(bytes.subarray(from, end));
            if (event !== undefined) events.push({ event, bytes: end + 1 - from });
            from = end + 1;
          }
          yield events;
        }
      }
    }
  }

  /** Undefined once the events are written, or why they are not, for people. */
  async write(events: readonly ClusterEvent[], nowMs: number): Promise<string | undefined> {
    const [first] = events;
    if (first === undefined) return undefined;
    const bytes = utf8(events.map(lineOf).join(""));
    let why = "every data directory failed a moment ago";
    for (const directory of this.#directories) {
      if ((this.#failedMs.get(directory) ?? Number.NEGATIVE_INFINITY) + retryMs > nowMs) continue;
      try {
        await this.#writeTo(directory, first.number, bytes);
        this.#failedMs.delete(directory);
        return undefined;
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        why = error.message;
        this.#failedMs.set(directory, nowMs);
        await this.close();
      }
    }
    return why;
  }

  async close(): Promise<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    await segment?.file.close().catch(() => undefined);
  }

  /** @throws DiskError */
  async #writeTo(directory: string, number: number, bytes: Uint8Array): Promise<void> {
    if (this.#segment !== undefined && this.#segment.directory !== directory) await this.close();
    this.#segment ??= await this.#resume(directory);
    if (this.#segment === undefined || this.#segment.bytes >= this.#limits.eventSegmentBytes) {
      await this.close();
      this.#segment = await this.#begin(directory, number);
    }
    const segment = this.#segment;
    await segment.file.write([bytes], segment.bytes);
    segment.bytes += bytes.length;
  }

  /** The newest file that is there: after a line end, for its last line may be torn. @throws DiskError */
  async #resume(directory: string): Promise<Segment | undefined> {
    const name = (await this.#names(directory)).at(-1);
    if (name === undefined) return undefined;
    const file = await this.#disk.open(`${directory}/${name}`, "write");
    try {
      const bytes = await file.size();
      if (bytes >= this.#limits.eventSegmentBytes) return { directory, file, bytes };
      await file.write([Uint8Array.of(lineFeed)], bytes);
      return { directory, file, bytes: bytes + 1 };
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** A new file, in the place of the oldest where there are enough. @throws DiskError */
  async #begin(directory: string, number: number): Promise<Segment> {
    await this.#disk.makeDirectory(directory);
    const names = await this.#names(directory);
    const surplus = names.slice(0, Math.max(0, names.length + 1 - this.#limits.eventSegments));
    for (const name of surplus) await this.#disk.remove(`${directory}/${name}`);
    const name = `${number.toString(16).padStart(16, "0")}${suffix}`;
    const file = await this.#disk.open(`${directory}/${name}`, "write");
    return { directory, file, bytes: await file.size() };
  }

  /** The oldest first. */
  async #names(directory: string): Promise<string[]> {
    try {
      const names = await this.#disk.list(directory);
      return names.filter((name) => name.endsWith(suffix)).sort();
    } catch (error) {
      if (error instanceof DiskError) return [];
      throw error;
    }
  }

  async #content(path: string): Promise<Uint8Array> {
    try {
      const file = await this.#disk.open(path, "read");
      try {
        const bytes = new Uint8Array(Math.min(await file.size(), this.#limits.eventSegmentBytes * 2));
        return bytes.subarray(0, await file.read(bytes, 0));
      } finally {
        await file.close();
      }
    } catch (error) {
      if (error instanceof DiskError) return new Uint8Array();
      throw error;
    }
  }
}

const lineFeed = 10;
const linesPerBatch = 64;
const checkDigits = 8;

export function lineOf(event: ClusterEvent): string {
  const json = JSON.stringify(event);
  return `${crc32(utf8(json)).toString(16).padStart(checkDigits, "0")} ${json}\n`;
}

/** Undefined for a line that is torn, damaged, or not of this release. */
function parseLine(line: Uint8Array): ClusterEvent | undefined {
  const json = line.subarray(checkDigits + 1);
  const check = fromUtf8(line.subarray(0, checkDigits + 1));
  if (check !== `${crc32(json).toString(16).padStart(checkDigits, "0")} `) return undefined;
  try {
    return ClusterEvent.safeParse(JSON.parse(fromUtf8(json) ?? "")).data;
  } catch {
    return undefined;
  }
}
