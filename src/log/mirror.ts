/** One directory of a log that is written to: its current segment and the spare files that wait to become segments. */
import { defined } from "../base/assert.ts";
import { type Disk, DiskError, type DiskFile } from "../io.ts";
import type { LogPosition } from "./log-types.ts";
import { encodeSegmentHeader, segmentFileName, type SegmentHeader } from "./segment.ts";

const zeros = new Uint8Array(1_048_576);

/** Errors are the disk's: after any but a full disk in `addSpare`, this directory can't be trusted any more. */
export class Mirror {
  readonly directory: string;
  readonly #disk: Disk;
  readonly #segmentBytes: number;
  readonly #spares: string[] = [];
  #current: DiskFile | undefined;
  #nextSpare = 1;

  constructor(disk: Disk, directory: string, segmentBytes: number) {
    this.directory = directory;
    this.#disk = disk;
    this.#segmentBytes = segmentBytes;
  }

  get spareCount(): number {
    return this.#spares.length;
  }

  /** Takes over whole spare files of an earlier run, removes other leftovers, and opens the segment to go on with. */
  async start(current: LogPosition | undefined, sparesMax: number): Promise<void> {
    for (const name of await this.#disk.list(this.directory)) {
      if (name.endsWith(".segment")) continue;
      const path = `${this.directory}/${name}`;
      const number = /^spare-(\d{1,9})$/.exec(name)?.[1];
      const info = await this.#disk.info(path);
      if (number !== undefined) this.#nextSpare = Math.max(this.#nextSpare, Number(number) + 1);
      if (number !== undefined && info?.bytes === this.#segmentBytes && this.#spares.length < sparesMax)
        this.#spares.push(name);
      else await this.#disk.remove(path);
    }
    if (current !== undefined)
      this.#current = await this.#disk.open(`${this.directory}/${segmentFileName(current)}`, "through");
  }

  /** Makes one more spare, every byte of it written and synced. @throws DiskError; "full" leaves nothing behind. */
  async addSpare(): Promise<void> {
    const name = `spare-${this.#nextSpare++}`;
    const path = `${this.directory}/${name}`;
    const partial = `${path}.partial`;
    const file = await this.#disk.open(partial, "write");
    try {
      for (let at = 0; at < this.#segmentBytes; at += zeros.length)
        await file.write([zeros.subarray(0, Math.min(zeros.length, this.#segmentBytes - at))], at);
      await file.sync();
    } catch (error) {
      await file.close();
      if (error instanceof DiskError && error.kind === "full") await this.#disk.remove(partial);
      throw error;
    }
    await file.close();
    await this.#disk.rename(partial, path);
    await this.#disk.syncDirectory(this.directory);
    this.#spares.push(name);
  }

  /** Turns a spare (made now where none waits) into the current segment; its header is durable before its name. */
  async begin(header: SegmentHeader): Promise<void> {
    if (this.#spares.length === 0) await this.addSpare();
    const spare = `${this.directory}/${defined(this.#spares[0], "a spare segment")}`;
    const file = await this.#disk.open(spare, "through");
    try {
      await file.write([encodeSegmentHeader(header)], 0);
      await this.#disk.rename(spare, `${this.directory}/${segmentFileName(header.first)}`);
      await this.#disk.syncDirectory(this.directory);
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#spares.shift();
    const before = this.#current;
    this.#current = file;
    await before?.close();
  }

  /** Durable when it resolves: in one operation, which costs half of a write and a sync. */
  writeThrough(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    return defined(this.#current, "a log's current segment").write(pieces, offset);
  }

  /** Segments become spares, up to `sparesMax`, or go. Those in `pinned` are being read: their bytes must not change. */
  async drop(segments: readonly LogPosition[], pinned: ReadonlySet<LogPosition>, sparesMax: number): Promise<void> {
    const freed: string[] = [];
    for (const first of segments) {
      const path = `${this.directory}/${segmentFileName(first)}`;
      const whole = (await this.#disk.info(path))?.bytes === this.#segmentBytes;
      if (!whole || pinned.has(first) || this.#spares.length + freed.length >= sparesMax) {
        await this.#disk.remove(path);
        continue;
      }
      const name = `spare-${this.#nextSpare++}`;
      await this.#disk.rename(path, `${this.directory}/${name}`);
      freed.push(name);
    }
    await this.#disk.syncDirectory(this.directory);
    this.#spares.push(...freed);
  }

  async close(): Promise<void> {
    await this.#current?.close();
    this.#current = undefined;
  }
}
