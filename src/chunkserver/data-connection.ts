/** One data connection: its frames go to the streams that they open (DESIGN §4.6). */
import { GfsError, hasCode } from "../base/errors.ts";
import type { FrameConnection } from "../net/frame-connection.ts";
import type { Frame } from "../wire/data/frame.ts";
import { operatingError, type Context } from "./context.ts";
import { StreamReply, type DataStream } from "./data-stream.ts";

/** Streams open at a time on one connection: a client needs one each for its reads in flight, a chain one. */
const streamsPerConnectionMax = 64;
/** Answers that wait for a reader: beyond it no more requests are read. */
const answerBytesMax = 262_144;
/** A connection on which nothing is open and nothing arrives is closed after this long. */
const idleMs = 120_000;
/** So is one whose frame does not get whole: memory that waits for the rest of it is held no longer. */
const slowFrameMs = 30_000;

/** Makes the stream that a frame opens; undefined for a frame that opens none, but may be answered later. @throws GfsError that refuses it */
export type OpenStream = (frame: Frame, reply: StreamReply) => DataStream | undefined;

const openers = new Set<string>(["writeOpen", "writeWhole", "read", "appendOpen", "chainOpen"]);

export class DataConnection {
  readonly #context: Context;
  readonly #frames: FrameConnection;
  readonly #open: OpenStream;
  readonly #streams = new Map<number, { readonly stream: DataStream; readonly reply: StreamReply }>();
  /** Frames that open no stream and are still to be answered. */
  #unanswered = 0;
  #arrivedMs: number;
  /** A stream holds the connection back. */
  #busy = false;
  /** Since when part of a frame waits for the rest of it, as `check` saw it. */
  #partSinceMs: number | undefined;

  constructor(context: Context, frames: FrameConnection, open: OpenStream) {
    this.#context = context;
    this.#frames = frames;
    this.#open = open;
    this.#arrivedMs = context.world.clock.monotonicMs();
  }

  /** When anything last arrived, of a connection on which nothing is open. */
  get idleSinceMs(): number | undefined {
    return this.#streams.size === 0 && this.#unanswered === 0 && !this.#busy ? this.#arrivedMs : undefined;
  }

  /** Serves until the connection ends, whoever ends it. */
  async run(): Promise<void> {
    try {
      for (;;) {
        // Pings too: they keep the connection, and whoever does not take their answers is read no further.
        const frame = this.#frames.takeAny() ?? (await this.#frames.next());
        if (frame === null) break;
        this.#arrivedMs = this.#context.world.clock.monotonicMs();
        const busy = this.#dispatch(frame);
        if (busy === undefined) continue;
        this.#busy = true;
        await busy;
        this.#busy = false;
      }
      this.#frames.end();
    } catch (thrown) {
      this.#refuse(thrown);
    } finally {
      for (const { stream, reply } of this.#streams.values()) {
        stream.abandon();
        reply.end();
      }
    }
  }

  check(nowMs: number): void {
    for (const { stream } of this.#streams.values()) stream.check(nowMs);
    const part = !this.#busy && this.#frames.queuedBytes === 0 && !this.#frames.quiet;
    this.#partSinceMs = part ? Math.max(this.#partSinceMs ?? nowMs, this.#arrivedMs) : undefined;
    if (this.#partSinceMs !== undefined && nowMs - this.#partSinceMs >= slowFrameMs) this.giveUpFrame();
    else if (this.#streams.size === 0 && nowMs - this.#arrivedMs >= idleMs) this.#frames.close();
  }

  /** A frame that waits for the rest of it, as the last `check` saw it. */
  get part(): { readonly sinceMs: number; readonly bytes: number } | undefined {
    const sinceMs = this.#partSinceMs;
    return sinceMs === undefined || this.#frames.closed ? undefined : { sinceMs, bytes: this.#frames.partBytes };
  }

  /** Ends a connection whose frame does not get whole. */
  giveUpFrame(): void {
    this.#frames.refuse(
      new GfsError("Timeout", `Cannot wait any longer for the rest of a frame of ${this.#frames.remote}`),
    );
  }

  close(): void {
    this.#frames.close();
  }

  #dispatch(frame: Frame): Promise<void> | undefined {
    const { stream: id, type } = frame;
    const opened = this.#streams.get(id);
    if (openers.has(type)) {
      if (opened !== undefined || id === 0)
        throw new GfsError("ProtocolError", `Cannot open stream ${id}: it is in use`);
      this.#begin(frame);
      return this.#answersTaken();
    }
    if (type === "ping") {
      this.#frames.pong(frame);
      return this.#answersTaken();
    }
    // What was on its way when its stream ended says nothing any more.
    if (opened === undefined) return undefined;
    const { stream, reply } = opened;
    const failed = (thrown: unknown): void => {
      if (reply.ended) return;
      stream.abandon();
      reply.fail(operatingError(this.#context, thrown), this.#context.store.volume);
    };
    try {
      return stream.accept(frame)?.catch(failed);
    } catch (thrown) {
      failed(thrown);
      return undefined;
    }
  }

  /** Of streams that send, each has its own bound, and must hear of its end while much is queued. */
  #answersTaken(): Promise<void> | undefined {
    if (this.#streams.size > 0 || this.#frames.queuedBytes <= answerBytesMax) return undefined;
    return this.#frames.sent(answerBytesMax);
  }

  #begin(frame: Frame): void {
    const reply = new StreamReply(this.#frames, frame.stream);
    if (this.#streams.size >= streamsPerConnectionMax && frame.type !== "writeWhole") {
      const why = `${streamsPerConnectionMax} streams are open on this connection`;
      return reply.fail(new GfsError("Busy", `Cannot open a stream: ${why}`, { retryAfterMs: 100 }));
    }
    try {
      const stream = this.#open(frame, reply);
      if (reply.ended) return;
      if (stream === undefined) {
        this.#unanswered++;
        return reply.onEnd(() => this.#unanswered--);
      }
      this.#streams.set(frame.stream, { stream, reply });
      reply.onEnd(() => this.#streams.delete(frame.stream));
    } catch (thrown) {
      reply.fail(operatingError(this.#context, thrown), this.#context.store.volume);
    }
  }

  /** Garbage gets a typed error, then the end; a lost connection needs none. */
  #refuse(thrown: unknown): void {
    // What was refused already is on its way out, with its reason.
    if (this.#frames.closed) return;
    if (!hasCode(thrown, "ProtocolError", "VersionUnsupported")) return this.#frames.close();
    this.#context.world.events.emit("info", "data.refused", { remote: this.#frames.remote, reason: thrown.message });
    this.#frames.refuse(thrown);
  }
}
