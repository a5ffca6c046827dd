/** Requests of one frame that are answered with one frame: those to one address share a connection, many at a time, and leave and arrive together. */
import { GfsError } from "../base/errors.ts";
import { StreamError, type Timer, type World } from "../io.ts";
import type { Frame, FrameType } from "../wire/data/frame.ts";
import { errorOfFrame, type FrameConnection } from "./frame-connection.ts";
import type { FramePool } from "./frame-pool.ts";

/** With this much waiting to leave, further calls wait: their time to be answered has not begun yet. */
const queuedBytesMax = 2 * 1_048_576;

export interface FrameCall {
  readonly type: FrameType;
  readonly header: Uint8Array;
  readonly payload: readonly Uint8Array[];
  /** For a new connection, where there is none. */
  readonly connectMs: number;
  /** How long after it was sent its answer may take where the server says nothing else meanwhile: it is asked with pings whether it lives. */
  readonly silentMs: number;
  /** How long its answer may take where the server lives. */
  readonly answerMs: number;
}

/** Pings have a stream of their own. */
const pingStream = 0;
/** A server that lives says something in this part of `silentMs`. */
const lifeSigns = 1 / 2;

/** There is no answer. */
export class CallFailure extends Error {
  override readonly name = "CallFailure";
  /** StreamError, or GfsError: Timeout, or what refused the connection. */
  readonly reason: unknown;
  /** The connection had waited in the pool, and broke without a word: its server was perhaps only started anew. */
  readonly stale: boolean;

  constructor(reason: unknown, stale: boolean) {
    super(reason instanceof Error ? reason.message : String(reason), { cause: reason });
    this.reason = reason;
    this.stale = stale;
  }
}

interface Pending {
  readonly call: FrameCall;
  readonly sinceMs: number;
  /** Nobody waits for the answer any more. */
  over: boolean;
  resolve(frame: Frame): void;
  reject(failure: CallFailure): void;
}

export class FrameCalls {
  readonly #world: World;
  readonly #pool: FramePool;
  readonly #lines = new Map<string, Line>();
  #timer: { readonly timer: Timer; readonly everyMs: number } | undefined;
  #closed = false;

  /** Connections come from the pool, and go back to it as soon as nothing is unanswered. */
  constructor(world: World, pool: FramePool) {
    this.#world = world;
    this.#pool = pool;
  }

  /** The answer, which may be an error frame. The payload must not be changed before. @throws CallFailure */
  async call(address: string, call: FrameCall): Promise<Frame> {
    if (this.#closed) throw new CallFailure(stopping(), false);
    let line = this.#lines.get(address);
    if (line === undefined) {
      line = new Line({ world: this.#world, pool: this.#pool, address, onEnd: (ended) => this.#forget(ended) });
      this.#lines.set(address, line);
      line.connect(call.connectMs);
    }
    this.#watch(call);
    return line.call(call);
  }

  /** Calls in progress fail. */
  close(): void {
    this.#closed = true;
    this.#timer?.timer.cancel();
    for (const line of this.#lines.values()) line.fail(stopping());
  }

  #forget(line: Line): void {
    if (this.#lines.get(line.address) === line) this.#lines.delete(line.address);
  }

  /** One timer for all, as exact as the least patient call wants it. */
  #watch({ silentMs }: FrameCall): void {
    const everyMs = Math.max(10, Math.min(500, silentMs / 20));
    if (this.#closed || (this.#timer !== undefined && this.#timer.everyMs <= everyMs)) return;
    this.#timer?.timer.cancel();
    const timer = this.#world.clock.after(everyMs, () => {
      this.#timer = undefined;
      const nowMs = this.#world.clock.monotonicMs();
      for (const line of this.#lines.values()) {
        const next = line.check(nowMs);
        if (next !== undefined) this.#watch(next);
      }
    });
    this.#timer = { timer, everyMs };
  }
}

function stopping(): GfsError {
  return new GfsError("Unavailable", "this side is stopping");
}

interface LineOptions {
  readonly world: World;
  readonly pool: FramePool;
  readonly address: string;
  readonly onEnd: (line: Line) => void;
}

/** One connection, from the first call that needs it to the last answer. */
class Line {
  readonly #options: LineOptions;
  readonly #pending = new Map<number, Pending>();
  #connecting: Promise<FrameConnection> | undefined;
  #frames: FrameConnection | undefined;
  /** Calls that wait for the connection, or until less is queued. */
  readonly #entering = new Set<FrameCall>();
  #lastStream = 0;
  #reading = false;
  #ended = false;
  #failure: unknown;
  #stale = false;
  #heardMs = Number.NEGATIVE_INFINITY;
  /** A ping is unanswered. */
  #pinging = false;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  get address(): string {
    return this.#options.address;
  }

  connect(timeoutMs: number): void {
    const { pool, address } = this.#options;
    this.#connecting = pool.take(address, timeoutMs).then((frames) => {
      this.#stale = pool.wasIdle(frames);
      this.#connecting = undefined;
      if (this.#ended) frames.close();
      else this.#frames = frames;
      return frames;
    });
    this.#connecting.catch((thrown: unknown) => this.fail(thrown));
  }

  async call(call: FrameCall): Promise<Frame> {
    this.#entering.add(call);
    try {
      const frames = this.#frames ?? (await this.#connecting);
      if (frames === undefined) throw this.#notConnected();
      while (!this.#ended && frames.queuedBytes > queuedBytesMax) await frames.sent(queuedBytesMax);
      if (this.#ended) throw this.#notConnected();
      return await this.#send(frames, call);
    } catch (thrown) {
      throw thrown instanceof CallFailure ? thrown : new CallFailure(this.#failure ?? thrown, this.#stale);
    }
  }

  #notConnected(): StreamError {
    return new StreamError("closed", `${this.address} is not connected`);
  }

  /** Fails what was not answered for too long; undefined where nothing waits, else the least patient call. */
  check(nowMs: number): FrameCall | undefined {
    let [least] = this.#entering;
    let wanted = false;
    for (const pending of this.#pending.values()) {
      const { call, sinceMs } = pending;
      const patience = pending.over ? "wait" : this.#patience(pending, nowMs);
      if (patience !== "wait") {
        const ms = Math.round(nowMs - sinceMs);
        const why = new GfsError("Timeout", `Cannot call ${this.address}: no answer within ${ms} ms`);
        if (patience === "all over") {
          this.fail(why);
          return undefined;
        }
        pending.over = true;
        pending.reject(new CallFailure(why, false));
      }
      if (!pending.over) wanted = true;
      if (!pending.over && nowMs - sinceMs >= call.silentMs * lifeSigns) this.#ping();
      if (least === undefined || call.silentMs < least.silentMs) least = call;
    }
    if (wanted || !this.#unanswered) return least;
    // Only answers that nobody wants any more are missing: what comes late must not meet the next user, and calls that wait for those to leave would wait for ever.
    this.fail(new GfsError("Timeout", `Cannot call ${this.address}: it takes nothing more`));
    return undefined;
  }

  /** Others may be answered where anything was since this one was sent, and the server lives. */
  #patience({ call, sinceMs }: Pending, nowMs: number): "wait" | "over" | "all over" {
    const waitedMs = nowMs - sinceMs;
    const silent = nowMs - Math.max(this.#heardMs, sinceMs) >= call.silentMs * lifeSigns;
    if (waitedMs >= call.silentMs && silent) return "all over";
    return waitedMs >= call.answerMs ? "over" : "wait";
  }

  get #unanswered(): boolean {
    return this.#pending.size > 0 || this.#pinging;
  }

  #ping(): void {
    if (this.#pinging) return;
    this.#pinging = true;
    this.#frames?.send("ping", pingStream, new Uint8Array(0));
  }

  fail(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = reason;
    // Who says nothing and holds the connection was not started anew.
    if (!(reason instanceof StreamError)) this.#stale = false;
    const { pool, address, onEnd } = this.#options;
    onEnd(this);
    // Others that wait for their next use are no better.
    pool.forget(address);
    for (const pending of this.#pending.values())
      if (!pending.over) pending.reject(new CallFailure(reason, this.#stale));
    this.#pending.clear();
    this.#frames?.close();
  }

  #send(frames: FrameConnection, call: FrameCall): Promise<Frame> {
    this.#entering.delete(call);
    const stream = ++this.#lastStream;
    const sinceMs = this.#options.world.clock.monotonicMs();
    return new Promise((resolve, reject) => {
      this.#pending.set(stream, { call, sinceMs, over: false, resolve, reject });
      frames.send(call.type, stream, call.header, call.payload);
      if (!this.#reading) this.#read(frames).catch((thrown: unknown) => this.fail(thrown));
    });
  }

  async #read(frames: FrameConnection): Promise<void> {
    this.#reading = true;
    while (this.#unanswered) {
      const frame = frames.take() ?? (await frames.read());
      if (this.#ended) return;
      if (frame === null) throw new StreamError("closed", `${this.address} closed the connection`);
      this.#stale = false;
      this.#heardMs = this.#options.world.clock.monotonicMs();
      if (frame.type === "error" && frame.stream === 0) throw errorOfFrame(frame, this.address);
      if (frame.type === "pong") this.#pinging = false;
      const pending = this.#pending.get(frame.stream);
      if (pending === undefined) continue;
      this.#pending.delete(frame.stream);
      if (!pending.over) pending.resolve(frame);
    }
    this.#reading = false;
    if (this.#entering.size > 0) return;
    this.#ended = true;
    this.#options.onEnd(this);
    this.#options.pool.give(frames);
  }
}
