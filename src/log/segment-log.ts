/** A log that is open for appending: group commit over all its directories, one batch at a time (docs/ARCHITECTURE.md, src/log). */
import { assert, defined } from "../base/assert.ts";
import { byteLengthOf } from "../base/bytes.ts";
import { asGfsError, type GfsError } from "../base/errors.ts";
import { DiskError, type World } from "../io.ts";
import { protocol } from "../limits.ts";
import { sleepMs } from "./pause.ts";
import { aligned, batchHeaderBytes, encodeBatch, entryOverheadBytes } from "./batch.ts";
import type { EntryPlace, Log, LogEntry, LogOptions, LogPosition } from "./log-types.ts";
import { Mirror } from "./mirror.ts";
import { SegmentReaders } from "./readers.ts";
import type { Recovered } from "./recover.ts";
import { segmentFileName, segmentHeaderBytes, type SegmentHeader, seedOf } from "./segment.ts";
import { diskFailed } from "./survey.ts";

interface Queued {
  readonly entry: LogEntry;
  readonly bytes: number;
  readonly onDurable: ((place: EntryPlace) => void) | undefined;
}

interface Waiter {
  readonly position: LogPosition;
  readonly resolve: () => void;
  readonly reject: (error: GfsError) => void;
}

/** How long a full disk may keep the log waiting for a new segment before it fails, or before others go on without it, and how often it looks. */
const spaceWaitMs = { alone: 10_000, mirrored: 1_000 };
const spaceRetryMs = 100;
/** Recycled segments kept beyond `spareSegments`: writing zeros again would double the work of a busy log. */
const recycledMax = 3;

export type LogWorld = Pick<World, "disk" | "clock" | "random" | "events">;

export class SegmentLog implements Log {
  readonly entryBytesMax: number;
  readonly #world: LogWorld;
  readonly #options: LogOptions;
  readonly #spareSegments: number;
  readonly #batchBytesMax: number;
  readonly #readers: SegmentReaders;
  #mirrors: Mirror[];
  /** First positions of all segments, the current one last. */
  #segments: LogPosition[];
  #header: SegmentHeader | undefined;
  #seed = 0;
  #segmentEnd = 0;
  #offset = 0;
  #lastCrc: number;
  #queue: Queued[] = [];
  #queueHead = 0;
  #queuedBytes = 0;
  #last: LogPosition;
  #durable: LogPosition;
  #waiters: Waiter[] = [];
  #rolls: { readonly at: LogPosition; readonly resolve: () => void; readonly reject: (error: GfsError) => void }[] = [];
  #pumping: Promise<void> | undefined;
  #filling: Promise<void> | undefined;
  #trimming: Promise<void> = Promise.resolve();
  #failure: GfsError | undefined;
  #closed = false;
  #lacksSpace = false;

  constructor(world: LogWorld, options: LogOptions, recovered: Recovered | undefined) {
    this.#world = world;
    this.#options = options;
    this.#spareSegments = options.spareSegments ?? 1;
    const room = options.segmentBytes - segmentHeaderBytes - batchHeaderBytes - entryOverheadBytes;
    this.#batchBytesMax = Math.min(options.batchBytesMax ?? protocol.logEntryBytesMax, room);
    this.entryBytesMax = this.#batchBytesMax;
    assert(this.entryBytesMax > 0, `a log segment of ${options.segmentBytes} bytes holds no entry`);
    this.#mirrors = options.directories.map((directory) => new Mirror(world.disk, directory, options.segmentBytes));
    this.#segments = [...(recovered?.files ?? [])];
    this.#last = recovered?.last ?? 0;
    this.#durable = this.#last;
    this.#lastCrc = recovered?.lastCrc ?? 0;
    const tail = recovered?.segments.at(-1);
    if (tail !== undefined) {
      this.#header = tail.header;
      this.#seed = seedOf(tail.header);
      this.#segmentEnd = tail.fileBytes;
      this.#offset = tail.end;
    }
    this.#readers = new SegmentReaders(world.disk, () => this.directories);
  }

  /** Opens the files; of a new log, makes the first segment. @throws GfsError("DiskFailed") */
  async start(): Promise<void> {
    try {
      for (const mirror of this.#mirrors) {
        await mirror.start(this.#header?.first, this.#spareSegments + recycledMax);
        if (this.#header === undefined && mirror.spareCount === 0) await mirror.addSpare();
      }
      if (this.#header === undefined) {
        const header = this.#nextHeader();
        for (const mirror of this.#mirrors) await mirror.begin(header);
        this.#enter(header);
      }
    } catch (error) {
      await this.close();
      throw diskFailed(`open the log in ${this.directories.join(", ")}`, error);
    }
    this.#fillSpares();
  }

  get lastPosition(): LogPosition {
    return this.#last;
  }

  get durablePosition(): LogPosition {
    return this.#durable;
  }

  get directories(): readonly string[] {
    return this.#mirrors.map(({ directory }) => directory);
  }

  get failure(): GfsError | undefined {
    return this.#failure;
  }

  get lacksSpace(): boolean {
    return this.#lacksSpace;
  }

  get heldBytes(): number {
    return this.#segments.length * this.#options.segmentBytes;
  }

  get readyBytes(): number {
    const spares = Math.min(...this.#mirrors.map(({ spareCount }) => spareCount));
    const current = this.#segmentEnd - this.#offset - this.#queuedBytes;
    const usable = (this.#options.segmentBytes - segmentHeaderBytes) * (Number.isFinite(spares) ? spares : 0);
    return Math.max(0, current + usable);
  }

  append(entry: LogEntry, onDurable?: (place: EntryPlace) => void): LogPosition {
    assert(!this.#closed, "an append to a closed log");
    const bytes = byteLengthOf(entry);
    assert(bytes <= this.entryBytesMax, `an entry of ${bytes} bytes, above ${this.entryBytesMax}`);
    this.#last++;
    if (this.#failure !== undefined) return this.#last;
    this.#queue.push({ entry, bytes, onDurable });
    this.#queuedBytes += bytes + entryOverheadBytes;
    this.#pump();
    return this.#last;
  }

  durable(position: LogPosition): Promise<void> {
    assert(position <= this.#last, `entry ${position} was not appended yet`);
    if (position <= this.#durable) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ position, resolve, reject });
    });
  }

  read(place: EntryPlace, from = 0, bytes = place.bytes - from): Promise<Uint8Array> {
    assert(from >= 0 && bytes >= 0 && from + bytes <= place.bytes, "a read beyond an entry");
    return this.#readers.read({ segment: place.segment, offset: place.offset + from, bytes });
  }

  readMedium(place: EntryPlace): Promise<Uint8Array> {
    return this.#readers.read(place, "medium");
  }

  trim(before: LogPosition): Promise<void> {
    this.#trimming = this.#trimming.then(() => this.#trim(before));
    return this.#trimming;
  }

  async roll(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await new Promise<void>((resolve, reject) => {
      this.#rolls.push({ at: this.#last, resolve, reject });
      this.#pump();
    });
  }

  closed(): { readonly files: readonly string[]; readonly last: LogPosition } {
    const last = defined(this.#segments.at(-1), "a log's current segment") - 1;
    return { files: this.#segments.slice(0, -1).map(segmentFileName), last };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#pumping !== undefined) await this.#pumping;
    await this.#filling;
    await this.#trimming;
    await this.#readers.close();
    for (const mirror of this.#mirrors) await mirror.close().catch(() => undefined);
  }

  #pump(): void {
    this.#pumping ??= this.#run();
  }

  async #run(): Promise<void> {
    // What this turn of the event loop still appends goes into the same batch.
    await Promise.resolve();
    try {
      while (this.#failure === undefined && (this.#queueHead < this.#queue.length || this.#rolls.length > 0))
        await this.#step();
    } catch (error) {
      this.#fail(asGfsError(diskFailed("write the log", error)));
    } finally {
      // In the same step as the last look at the queue: an append from here on starts a new run.
      this.#pumping = undefined;
    }
  }

  async #step(): Promise<void> {
    const roll = this.#rolls[0];
    if (roll !== undefined && this.#durable >= roll.at) {
      this.#rolls.shift();
      if (this.#durable >= defined(this.#segments.at(-1), "a current segment")) await this.#beginSegment();
      if (this.#failure === undefined) roll.resolve();
      else roll.reject(this.#failure);
      return;
    }
    const batch = this.#take(roll === undefined ? Number.POSITIVE_INFINITY : roll.at - this.#durable);
    if (batch.length === 0) await this.#beginSegment();
    else await this.#write(batch);
  }

  /** As many queued entries as fit the segment and one batch. */
  #take(countMax: number): Queued[] {
    let room = Math.min(this.#segmentEnd - this.#offset - batchHeaderBytes, this.#batchBytesMax + entryOverheadBytes);
    const batch: Queued[] = [];
    while (batch.length < countMax) {
      const next = this.#queue[this.#queueHead + batch.length];
      if (next === undefined || next.bytes + entryOverheadBytes > room) break;
      room -= next.bytes + entryOverheadBytes;
      batch.push(next);
    }
    return batch;
  }

  async #write(batch: readonly Queued[]): Promise<void> {
    const link = { seed: this.#seed, previousCrc: this.#lastCrc, first: this.#durable + 1 };
    const encoded = encodeBatch(
      link,
      batch.map(({ entry }) => entry),
      batch.map(({ bytes }) => bytes),
    );
    await this.#everywhere("write", (mirror) => mirror.writeThrough(encoded.pieces, this.#offset));
    if (this.#failure !== undefined) return;

    let offset = this.#offset + batchHeaderBytes + entryOverheadBytes * batch.length;
    const segment = defined(this.#segments.at(-1), "a current segment");
    this.#offset = aligned(this.#offset + encoded.bytes);
    this.#lastCrc = encoded.crc;
    this.#durable += batch.length;
    this.#queueHead += batch.length;
    if (this.#queueHead === this.#queue.length || this.#queueHead > 4_096) {
      this.#queue = this.#queue.slice(this.#queueHead);
      this.#queueHead = 0;
    }
    for (const { bytes, onDurable } of batch) {
      onDurable?.({ segment, offset, bytes });
      offset += bytes;
      this.#queuedBytes -= bytes + entryOverheadBytes;
    }
    this.#options.onDurable?.(this.#durable);
    this.#resolveWaiters();
  }

  #resolveWaiters(): void {
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.position <= this.#durable) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }

  async #beginSegment(): Promise<void> {
    await this.#filling;
    const header = this.#nextHeader();
    // Nothing was written to the next segment yet: a full disk may be waited for, unlike any other failure.
    const beganMs = this.#world.clock.monotonicMs();
    for (const mirror of this.#mirrors) {
      while (mirror.spareCount === 0) {
        try {
          await mirror.addSpare();
        } catch (error) {
          const full = error instanceof DiskError && error.kind === "full";
          const waitMs = this.#mirrors.length > 1 ? spaceWaitMs.mirrored : spaceWaitMs.alone;
          if (!full || this.#world.clock.monotonicMs() >= beganMs + waitMs) {
            this.#dropMirror(mirror, "extend", error);
            break;
          }
          this.#lacksSpace = true;
          await sleepMs(this.#world.clock, spaceRetryMs);
          await this.#trimming;
        }
      }
    }
    this.#lacksSpace = false;
    if (this.#failure !== undefined) return;
    await this.#everywhere("begin a segment of", (mirror) => mirror.begin(header));
    if (this.#failure === undefined) this.#enter(header);
    this.#fillSpares();
  }

  #nextHeader(): SegmentHeader {
    const { name, id } = this.#options;
    const segmentId = this.#world.random.bytes(16).toHex();
    return { name, id, segmentId, first: this.#durable + 1, previousCrc: this.#lastCrc };
  }

  #enter(header: SegmentHeader): void {
    this.#header = header;
    this.#seed = seedOf(header);
    this.#segmentEnd = this.#options.segmentBytes;
    this.#offset = segmentHeaderBytes;
    this.#segments.push(header.first);
  }

  /** Does it in every directory at once; those that fail are dropped. */
  async #everywhere(what: string, work: (mirror: Mirror) => Promise<void>): Promise<void> {
    const mirrors = this.#mirrors;
    const only = mirrors.length === 1 ? mirrors[0] : undefined;
    if (only !== undefined) {
      await work(only).catch((error: unknown) => this.#dropMirror(only, what, error));
      return;
    }
    await Promise.all(
      mirrors.map((mirror) => work(mirror).catch((error: unknown) => this.#dropMirror(mirror, what, error))),
    );
  }

  #dropMirror(mirror: Mirror, what: string, error: unknown): void {
    const failure = asGfsError(diskFailed(`${what} the log in ${mirror.directory}`, error));
    if (!this.#mirrors.includes(mirror)) return;
    if (this.#mirrors.length === 1) {
      this.#fail(failure);
      return;
    }
    this.#mirrors = this.#mirrors.filter((other) => other !== mirror);
    void mirror.close().catch(() => undefined);
    this.#world.events.emit("error", "log.directory-failed", {
      directory: mirror.directory,
      reason: failure.message,
    });
    this.#options.onDirectoryFailed?.(mirror.directory, failure);
  }

  #fail(failure: GfsError): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#world.events.emit("error", "log.failed", { reason: failure.message });
    const waiting = this.#waiters;
    const rolls = this.#rolls;
    this.#waiters = [];
    this.#rolls = [];
    this.#queue = [];
    this.#queueHead = 0;
    this.#options.onFailed?.(failure);
    for (const waiter of [...waiting, ...rolls]) waiter.reject(failure);
  }

  #fillSpares(): void {
    if (this.#filling !== undefined || this.#closed || this.#failure !== undefined) return;
    this.#filling = this.#fill().finally(() => {
      this.#filling = undefined;
    });
  }

  async #fill(): Promise<void> {
    for (const mirror of this.#mirrors) {
      try {
        while (mirror.spareCount < this.#spareSegments && !this.#closed) await mirror.addSpare();
      } catch (error) {
        if (error instanceof DiskError && error.kind === "full")
          this.#world.events.emit("warn", "log.no-spare", { directory: mirror.directory });
        else this.#dropMirror(mirror, "extend", error);
      }
    }
  }

  async #trim(before: LogPosition): Promise<void> {
    let count = 0;
    while (count + 1 < this.#segments.length && (this.#segments[count + 1] ?? 0) <= before) count++;
    if (count === 0 || this.#failure !== undefined) return;
    const dropped = this.#segments.slice(0, count);
    this.#segments = this.#segments.slice(count);
    const pinned = await this.#readers.forget(dropped);
    await this.#everywhere("trim", (mirror) => mirror.drop(dropped, pinned, this.#spareSegments + recycledMax));
  }
}
