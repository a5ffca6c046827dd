/**
 * What happened, for operators (`gfs events`): the master's own events that core/event-kinds.ts names, in words, on disk (event-files.ts) and as many in memory, where they
 * are looked for. Followers wait for the next one: a request each, held for a bounded time.
 */
import { GfsError } from "../base/errors.ts";
import type { Events, Timer, World } from "../io.ts";
import type { Limits } from "../limits.ts";
import { sleep } from "../net/deadline.ts";
import type { ReplyOf, RequestOf } from "../wire/control/common.ts";
import type { ClusterEvent, events } from "../wire/control/events.ts";
import type { MasterContext } from "./context.ts";
import { createEventFold, endWindows, foldEvent, nextFoldEnd, type Told } from "./core/event-fold.ts";
import { burstOf, eventKind } from "./core/event-kinds.ts";
import { EventFiles, lineOf, type StoredEvent } from "./event-files.ts";
import { type Emitted, inWords } from "./event-words.ts";

type Request = RequestOf<typeof events>;
type Reply = ReplyOf<typeof events>;

/**
 * A start numbers from far above what it finds, and from the time of day: events that a loss of power took, or all of them, had numbers too, and followers have seen them.
 */
const restartGap = 1_048_576;
/** Requests that wait at a time; more are told to come back. */
const followersMax = 1_024;
const busyRetryMs = 1_000;
/** How long a stop waits for the last events to be written: a disk that hangs must not hold it up. */
const stopMs = 2_000;
/** Of a flood that no disk takes: the newest wait. */
const unwrittenMax = 4_096;

export class KeptEvents {
  /** Emits as the world does, and keeps what is for operators. */
  readonly events: Events;
  readonly #world: World;
  readonly #limits: Limits;
  readonly #files: EventFiles;
  readonly #fold = createEventFold<Emitted>();
  readonly #loaded: Promise<void>;
  #isLoaded = false;
  /** Until the files are read nobody knows which number is next. */
  readonly #early: Told<Emitted>[] = [];
  #kept: StoredEvent[] = [];
  #keptBytes = 0;
  #last = 0;
  #unwritten: ClusterEvent[] = [];
  #writing: Promise<void> | undefined;
  readonly #waiting = new Set<() => void>();
  #foldTimer: Timer | undefined;
  #ctx: MasterContext | undefined;
  #mayWrite = false;
  #stopped = false;

  constructor(world: World, dataDirectories: readonly string[], limits: Limits) {
    this.#world = world;
    this.#limits = limits;
    this.#files = new EventFiles(world.disk, dataDirectories, limits);
    this.events = {
      enabled: (level) => world.events.enabled(level),
      emit: (level, name, fields = {}) => {
        world.events.emit(level, name, fields);
        const kind = eventKind(name);
        if (kind === undefined || this.#stopped || kind.keeps?.(fields) === false) return;
        const event = { atMs: world.clock.wallMs(), level, kind: name, fields };
        const fold = { burst: burstOf(kind), windowMs: limits.eventFoldMs };
        this.#tell(foldEvent(this.#fold, { kind: name, event }, { nowMs: world.clock.monotonicMs(), limits: fold }));
        this.#watchFold();
      },
    };
    this.#loaded = this.#load();
  }

  /** The master knows names now, and when its log is durable. Nothing is written before: a start that is refused leaves the directories as they are. */
  attach(ctx: MasterContext | undefined): void {
    this.#ctx = ctx;
    this.#mayWrite = true;
    this.#beginWriting();
  }

  /** Those that are asked for; where there are none, the next that is, if it comes in time. @throws GfsError("Busy") */
  async ask(request: Request): Promise<Reply> {
    await this.#loaded;
    const { clock } = this.#world;
    const endMs = clock.monotonicMs() + request.waitMs;
    for (let asked = request; ;) {
      const found = this.#find(asked);
      const leftMs = endMs - clock.monotonicMs();
      if (found.events.length > 0 || leftMs <= 0 || this.#stopped) return found;
      if (this.#waiting.size >= followersMax)
        throw new GfsError("Busy", `Cannot wait for events: ${followersMax} others do`, { retryAfterMs: busyRetryMs });
      asked = { ...request, after: found.last };
      await this.#next(leftMs);
    }
  }

  /** What was folded is told, and all is written if the disk takes it soon. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#foldTimer?.cancel();
    this.#tell(endWindows(this.#fold, Number.POSITIVE_INFINITY));
    this.#stopped = true;
    this.#wake();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#world.clock.after(stopMs, resolve);
    await Promise.race([this.#writeLast(), late]);
    timer.cancel();
  }

  async #writeLast(): Promise<void> {
    await this.#loaded;
    while (this.#writing !== undefined) await this.#writing;
    await this.#files.close();
  }

  async #load(): Promise<void> {
    const late: StoredEvent[] = [];
    try {
      for await (const batch of this.#files.read()) {
        for (const stored of batch) {
          if (stored.event.number > this.#last) this.#remember(stored);
          else late.push(stored);
        }
        // Others have their turn: reading all takes longer than one may.
        await sleep(this.#world.clock, 0);
      }
    } catch (error) {
      this.#world.events.emit("warn", "events.unread", { reason: String(error) });
    }
    if (late.length > 0) this.#merge(late);
    this.#last = Math.max(this.#last + restartGap, Math.floor(this.#world.clock.wallMs()));
    this.#isLoaded = true;
    this.#tell(this.#early.splice(0));
  }

  /** Seldom: of a directory that took the events while another one could not. */
  #merge(late: readonly StoredEvent[]): void {
    const all = new Map([...late, ...this.#kept].map((stored) => [stored.event.number, stored]));
    this.#kept = [];
    this.#keptBytes = 0;
    for (const stored of [...all.values()].sort((a, b) => a.event.number - b.event.number)) this.#remember(stored);
  }

  #tell(told: readonly Told<Emitted>[]): void {
    if (!this.#isLoaded) {
      this.#early.push(...told);
      return;
    }
    for (const { kind: name, event: emitted, count } of told) {
      const kind = eventKind(name);
      if (kind === undefined) continue;
      const event = inWords(emitted, kind, { number: this.#last + 1, count, ctx: this.#ctx });
      this.#remember({ event, bytes: lineOf(event).length });
      this.#unwritten.push(event);
    }
    if (told.length === 0) return;
    this.#wake();
    this.#beginWriting();
  }

  #beginWriting(): void {
    if (this.#mayWrite && this.#unwritten.length > 0) this.#writing ??= this.#writeAll();
  }

  /** Between its last look and its end nothing can be told. */
  async #writeAll(): Promise<void> {
    try {
      while ((await this.#write()) && this.#unwritten.length > 0);
    } finally {
      this.#writing = undefined;
    }
  }

  #remember(stored: StoredEvent): void {
    this.#kept.push(stored);
    this.#keptBytes += stored.bytes;
    this.#last = stored.event.number;
    const bytesMax = this.#limits.eventSegments * this.#limits.eventSegmentBytes;
    if (this.#keptBytes <= bytesMax) return;
    let gone = 0;
    // A quarter at once, as a file's worth goes from the disk.
    for (; this.#keptBytes > bytesMax * 0.75; gone++) this.#keptBytes -= this.#kept[gone]?.bytes ?? 0;
    this.#kept = this.#kept.slice(gone);
  }

  /** False: the disk does not take them. */
  async #write(): Promise<boolean> {
    while (this.#unwritten.length > 0) {
      // What a crash of the log could undo is not told; once the log has failed nothing is known to be undone.
      await this.#ctx?.engine.release(undefined).catch(() => undefined);
      const batch = this.#unwritten;
      this.#unwritten = [];
      const why = await this.#files.write(batch, this.#world.clock.monotonicMs());
      const warnings = this.#ctx?.soft.warnings;
      if (why === undefined) {
        warnings?.delete("events");
        continue;
      }
      // Tried again with the next event: nobody waits for it.
      this.#unwritten = [...batch, ...this.#unwritten].slice(-unwrittenMax);
      warnings?.set("events", `events are not kept on disk: ${why}`);
      return false;
    }
    return true;
  }

  #find(request: Request): Reply {
    const { kinds, limit, sinceMs } = request;
    const oldestMs = sinceMs === undefined ? Number.NEGATIVE_INFINITY : this.#world.clock.wallMs() - sinceMs;
    const fits = ({ kind, atMs }: ClusterEvent): boolean =>
      atMs >= oldestMs && (kinds.length === 0 || kinds.some((beginning) => kind.startsWith(beginning)));
    const found: ClusterEvent[] = [];
    if (request.after === undefined) {
      for (let at = this.#kept.length - 1; at >= 0 && found.length < limit; at--) {
        const event = this.#kept[at]?.event;
        if (event !== undefined && fits(event)) found.push(event);
      }
      return { events: found.reverse(), last: this.#last };
    }
    // A number that no start has given out yet is of files that are lost: all that is there came later.
    const after = request.after > this.#last ? 0 : request.after;
    for (let at = this.#placeAfter(after); at < this.#kept.length; at++) {
      const event = this.#kept[at]?.event;
      if (event === undefined || !fits(event)) continue;
      found.push(event);
      if (found.length === limit) return { events: found, last: event.number };
    }
    return { events: found, last: this.#last };
  }

  /** Of the first event with a higher number. */
  #placeAfter(number: number): number {
    let low = 0;
    for (let high = this.#kept.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((this.#kept[middle]?.event.number ?? 0) > number) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The next event, or `ms` are over. */
  #next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = this.#world.clock.after(ms, wake);
      this.#waiting.add(wake);
    });
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #watchFold(): void {
    if (this.#foldTimer !== undefined || this.#stopped) return;
    const endMs = nextFoldEnd(this.#fold);
    if (endMs === undefined) return;
    const { clock } = this.#world;
    this.#foldTimer = clock.after(Math.max(0, endMs - clock.monotonicMs()), () => {
      this.#foldTimer = undefined;
      this.#tell(endWindows(this.#fold, clock.monotonicMs()));
      this.#watchFold();
    });
  }
}
