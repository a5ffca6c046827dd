/** One operation on a data connection, from its opening frame to its end (DESIGN §4.6). */
import { asGfsError, type GfsError } from "../base/errors.ts";
import type { FrameConnection } from "../net/frame-connection.ts";
import { encodeHeader, ErrorHeader } from "../wire/data/headers.ts";
import type { Frame, FrameType } from "../wire/data/frame.ts";
import type { VolumeId } from "../wire/ids.ts";

export interface DataStream {
  /**
   * The next frame of this stream. While a returned promise is pending no other frame is read from the connection: that is the back-pressure.
   * What it throws or rejects with ends the stream with an error frame.
   */
  accept(frame: Frame): Promise<void> | undefined;
  /** Called now and then: gives up what has made no progress for too long. */
  check(nowMs: number): void;
  /** The connection is gone or the stream failed: let go of everything. Called exactly once, unless the stream ended itself by `StreamReply.done`. */
  abandon(): void;
}

/** The way back to whoever opened the stream. Does nothing after the stream has ended. */
export class StreamReply {
  readonly #frames: FrameConnection;
  readonly #stream: number;
  readonly #atEnd: (() => void)[] = [];
  #ended = false;

  constructor(frames: FrameConnection, stream: number) {
    this.#frames = frames;
    this.#stream = stream;
  }

  /** Called once, when the stream has ended in whatever way. */
  onEnd(listener: () => void): void {
    this.#atEnd.push(listener);
  }

  get ended(): boolean {
    return this.#ended;
  }

  get remote(): string {
    return this.#frames.remote;
  }

  /** Bytes waiting to leave on the connection. */
  get queuedBytes(): number {
    return this.#frames.queuedBytes;
  }

  send(type: FrameType, header: Uint8Array, payload?: readonly Uint8Array[]): void {
    if (!this.#ended) this.#frames.send(type, this.#stream, header, payload);
  }

  /** Resolves when at most `bytes` wait to leave. @throws StreamError("closed") */
  sent(bytes: number): Promise<void> {
    return this.#frames.sent(bytes);
  }

  /** The last frame of the stream. */
  done(type: FrameType, header: Uint8Array): void {
    this.send(type, header);
    this.end();
  }

  /** Ends the stream with an error frame; `volume` is the one that failed, where that is known. */
  fail(error: GfsError, volume?: VolumeId): void {
    if (this.#ended) return;
    this.#frames.send("error", this.#stream, errorHeader(error, volume));
    this.end();
  }

  /** Without a frame: the other side is gone, or said so itself. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const listener of this.#atEnd) listener();
  }
}

export function errorHeader(thrown: unknown, volume?: VolumeId): Uint8Array {
  const error = asGfsError(thrown);
  return encodeHeader(ErrorHeader, {
    code: error.code,
    message: error.message.slice(0, 4_096),
    ...(volume === undefined ? {} : { volume }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
