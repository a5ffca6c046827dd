/**
 * The client's side of one HTTP/2 connection (RFC 9113), as much of it as calls need: bytes in, bytes out, no socket, no clock. Strict: an answer is one only with a
 * status, all the bytes that it declared, and its stream's regular end; what else comes is a failure of the call, or of the connection.
 */
import { assert } from "../../base/assert.ts";
import { concatBytes, utf8 } from "../../base/bytes.ts";
import {
  contentOf,
  decodeSettings,
  encodeFrame,
  encodeNumberFrame,
  encodeSettings,
  errorCode,
  frameBytesDefault,
  frameFlag,
  frameHead,
  FrameReader,
  frameType,
  Http2Error,
  type Http2Frame,
  numberAt,
  setting,
  writeFrameHead,
} from "./frames.ts";
import { HeaderDecoder, headerBlockBytesMax } from "./hpack.ts";
import { Http2Stream, type Http2Call } from "./http2-stream.ts";

const preface = utf8("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const windowBytesDefault = 65_535;
const windowBytesMax = 0x7fff_ffff;
/** What the server may send ahead: on one stream, so that a report's page fits, and on all together. */
const streamWindowBytes = 1 << 20;
const connectionWindowBytes = 16 << 20;
/** Until the server has said how many streams it takes at a time. */
const streamsBeforeSettings = 100;
/** Stream numbers end at 2^31: a connection that has used half of them takes no more. */
const streamNumberMax = 1 << 30;

/** A header block that goes on in the next frame. */
interface OpenBlock {
  readonly frame: Http2Frame;
  readonly pieces: Uint8Array[];
  bytes: number;
}

export class Http2Client {
  readonly #send: (pieces: readonly Uint8Array[]) => void;
  readonly #reader = new FrameReader();
  readonly #headers = new HeaderDecoder();
  readonly #streams = new Map<number, Http2Stream>();
  /** More than the server takes at a time. */
  #waiting: Http2Stream[] = [];
  /** With a body that the windows held back, in the order of their numbers. */
  readonly #heldBack = new Set<Http2Stream>();
  #nextNumber = 1;
  #streamsMax = streamsBeforeSettings;
  #streamWindow = windowBytesDefault;
  #window = windowBytesDefault;
  #unacknowledged = 0;
  #block: OpenBlock | undefined;
  #leaving = false;
  #lost = false;
  #heard = 0;

  /** `send` takes bytes for the server, in order. */
  constructor(send: (pieces: readonly Uint8Array[]) => void) {
    this.#send = send;
    const settings = encodeSettings([
      [setting.enablePush, 0],
      [setting.initialWindowSize, streamWindowBytes],
    ]);
    send([preface, settings, encodeNumberFrame(frameType.windowUpdate, 0, connectionWindowBytes - windowBytesDefault)]);
  }

  /** Takes new calls. */
  get usable(): boolean {
    return !this.#lost && !this.#leaving && this.#nextNumber < streamNumberMax;
  }

  /** Grows with everything that the server says about any call. */
  get heard(): number {
    return this.#heard;
  }

  /** `block`: the encoded headers. The body must not be changed until the call has ended, which it is told once, and not before this returns. */
  request(block: Uint8Array, body: Uint8Array, call: Http2Call): Http2Stream {
    assert(this.usable, "a call on a connection that takes none");
    const stream = new Http2Stream(block, body, call);
    if (this.#streams.size < this.#streamsMax) this.#open(stream);
    else this.#waiting.push(stream);
    return stream;
  }

  /** The call is told nothing any more. */
  cancel(stream: Http2Stream): void {
    if (stream.number === 0) this.#waiting = this.#waiting.filter((other) => other !== stream);
    else if (this.#streams.get(stream.number) === stream) {
      if (!this.#lost) this.#reset(stream, errorCode.cancel);
      this.#remove(stream);
    }
  }

  /** What the server sent, however it is cut. The bytes are given away. */
  receive(bytes: Uint8Array): void {
    if (this.#lost) return;
    try {
      for (const frame of this.#reader.feed(bytes)) this.#take(frame);
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error;
      this.#send([encodeNumberFrame(frameType.goaway, 0, 0, error.code)]);
      this.lose(`the server does not speak HTTP/2 as agreed: ${error.message}`);
    }
  }

  /** True once the connection is of no use: it was lost, or broke the protocol. */
  get lost(): boolean {
    return this.#lost;
  }

  /** The connection is gone: all calls fail. */
  lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    const sent = [...this.#streams.values()];
    const unsent = this.#waiting;
    this.#streams.clear();
    this.#heldBack.clear();
    this.#waiting = [];
    for (const stream of sent) stream.call.onFailure({ reason, processed: "perhaps" });
    for (const stream of unsent) stream.call.onFailure({ reason, processed: "no" });
  }

  #open(stream: Http2Stream): void {
    const { block, body } = stream;
    const number = this.#nextNumber;
    this.#nextNumber += 2;
    stream.open(number, this.#streamWindow);
    this.#streams.set(number, stream);
    const room = Math.min(stream.window, this.#window, frameBytesDefault);
    const bytes = body.length <= room ? body.length : 0;
    // Most requests are small: all of one in one piece.
    const head = 9 + block.length;
    const piece = new Uint8Array(head + (bytes === 0 ? 0 : 9 + bytes));
    const flags = frameFlag.endHeaders | (body.length === 0 ? frameFlag.endStream : 0);
    writeFrameHead(piece, 0, { type: frameType.headers, flags, stream: number, bytes: block.length });
    piece.set(block, 9);
    if (bytes > 0) {
      writeFrameHead(piece, head, { type: frameType.data, flags: frameFlag.endStream, stream: number, bytes });
      piece.set(body, head + 9);
      this.#spend(stream, bytes);
    }
    this.#send([piece]);
    if (stream.left > 0) this.#sendBody(stream);
  }

  /** As much of the body as the windows let go. */
  #sendBody(stream: Http2Stream): void {
    while (stream.left > 0) {
      const bytes = Math.min(stream.left, frameBytesDefault, stream.window, this.#window);
      if (bytes <= 0) {
        this.#heldBack.add(stream);
        return;
      }
      const piece = stream.body.subarray(stream.sent, stream.sent + bytes);
      const flags = bytes === stream.left ? frameFlag.endStream : 0;
      this.#send([frameHead(frameType.data, flags, stream.number, bytes), piece]);
      this.#spend(stream, bytes);
    }
    this.#heldBack.delete(stream);
  }

  #spend(stream: Http2Stream, bytes: number): void {
    stream.spend(bytes);
    this.#window -= bytes;
  }

  #sendHeldBack(): void {
    for (const stream of this.#heldBack) this.#sendBody(stream);
  }

  #take(frame: Http2Frame): void {
    if (this.#lost) return;
    if (this.#block !== undefined) return this.#takeContinuation(this.#block, frame);
    switch (frame.type) {
      case frameType.data:
        return this.#takeData(frame);
      case frameType.headers:
        return this.#takeHeaders(frame);
      case frameType.reset:
        return this.#takeReset(frame);
      case frameType.settings:
        return this.#takeSettings(frame);
      case frameType.ping:
        requireShape(frame, { bytes: 8, connection: true });
        if ((frame.flags & frameFlag.ack) === 0) this.#send([encodeFrame({ ...frame, flags: frameFlag.ack })]);
        return;
      case frameType.goaway:
        return this.#takeGoaway(frame);
      case frameType.windowUpdate:
        return this.#takeWindowUpdate(frame);
      case frameType.pushPromise:
      case frameType.continuation:
        throw new Http2Error(errorCode.protocol, "a frame that has no place here");
      default: // priorities, and what later versions have
    }
  }

  #takeData(frame: Http2Frame): void {
    const bytes = frame.payload.length;
    const stream = this.#streamOf(frame);
    this.#unacknowledged += bytes;
    if (this.#unacknowledged >= connectionWindowBytes / 2) {
      this.#send([encodeNumberFrame(frameType.windowUpdate, 0, this.#unacknowledged)]);
      this.#unacknowledged = 0;
    }
    if (stream === undefined) return;
    this.#heard++;
    stream.unacknowledged += bytes;
    stream.onData(contentOf(frame));
    if (this.#ended(stream, frame) || stream.unacknowledged < streamWindowBytes / 2) return;
    this.#send([encodeNumberFrame(frameType.windowUpdate, stream.number, stream.unacknowledged)]);
    stream.unacknowledged = 0;
  }

  #takeHeaders(frame: Http2Frame): void {
    const piece = contentOf(frame);
    if ((frame.flags & frameFlag.endHeaders) === 0) {
      this.#block = { frame, pieces: [piece], bytes: piece.length };
      return;
    }
    this.#takeBlock(frame, piece);
  }

  #takeContinuation(block: OpenBlock, frame: Http2Frame): void {
    if (frame.type !== frameType.continuation || frame.stream !== block.frame.stream)
      throw new Http2Error(errorCode.protocol, "headers that do not go on");
    block.pieces.push(frame.payload);
    // Counts the frame too, so that those without bytes come to an end.
    block.bytes += frame.payload.length + 1;
    if (block.bytes > headerBlockBytesMax) throw new Http2Error(errorCode.protocol, "headers that are too long");
    if ((frame.flags & frameFlag.endHeaders) === 0) return;
    this.#block = undefined;
    this.#takeBlock(block.frame, concatBytes(block.pieces));
  }

  #takeBlock(frame: Http2Frame, block: Uint8Array): void {
    const stream = this.#streamOf(frame);
    // Also of a call that is over: later blocks refer to it.
    const fields = this.#headers.decode(block);
    if (stream === undefined) return;
    this.#heard++;
    stream.onFields(fields, (frame.flags & frameFlag.endStream) !== 0);
    this.#ended(stream, frame);
  }

  /** True where the call is over, well or not. */
  #ended(stream: Http2Stream, { flags }: Http2Frame): boolean {
    const whole = (flags & frameFlag.endStream) !== 0;
    if (whole) stream.onEnd();
    const { outcome } = stream;
    if (outcome === undefined) return false;
    if (!whole || stream.left > 0) this.#reset(stream, errorCode.cancel);
    this.#remove(stream);
    if (outcome.kind === "answer") stream.call.onAnswer(outcome.answer);
    else stream.call.onFailure({ reason: outcome.reason, processed: "perhaps" });
    return true;
  }

  #takeReset(frame: Http2Frame): void {
    requireShape(frame, { bytes: 4, connection: false });
    const stream = this.#streamOf(frame);
    if (stream === undefined) return;
    const code = numberAt(frame.payload, 0);
    const processed = code === errorCode.refusedStream ? "no" : "perhaps";
    this.#remove(stream);
    stream.call.onFailure({ reason: `the server ended it (code ${code})`, processed });
  }

  #takeSettings(frame: Http2Frame): void {
    requireShape(frame, { connection: true });
    if ((frame.flags & frameFlag.ack) !== 0) return;
    for (const [id, value] of decodeSettings(frame.payload)) {
      if (id === setting.maxConcurrentStreams) this.#streamsMax = value;
      else if (id === setting.initialWindowSize) this.#resizeWindows(value);
    }
    const payload = new Uint8Array(0);
    this.#send([encodeFrame({ type: frameType.settings, flags: frameFlag.ack, stream: 0, payload })]);
    this.#sendHeldBack();
    this.#admit();
  }

  #resizeWindows(bytes: number): void {
    if (bytes > windowBytesMax) throw overWindow();
    for (const stream of this.#streams.values()) stream.window += bytes - this.#streamWindow;
    this.#streamWindow = bytes;
  }

  #takeGoaway(frame: Http2Frame): void {
    requireShape(frame, { connection: true });
    if (frame.payload.length < 8) throw new Http2Error(errorCode.frameSize, "a good-bye of a broken length");
    this.#leaving = true;
    const last = numberAt(frame.payload, 0) & windowBytesMax;
    const unprocessed = [...this.#streams.values()].filter(({ number }) => number > last);
    for (const stream of unprocessed) this.#streams.delete(stream.number);
    const unsent = this.#waiting;
    this.#waiting = [];
    for (const stream of [...unprocessed, ...unsent]) {
      this.#heldBack.delete(stream);
      stream.call.onFailure({ reason: "the server is stopping", processed: "no" });
    }
  }

  #takeWindowUpdate(frame: Http2Frame): void {
    requireShape(frame, { bytes: 4 });
    const more = numberAt(frame.payload, 0) & windowBytesMax;
    if (more === 0) throw new Http2Error(errorCode.protocol, "a window that grows by nothing");
    if (frame.stream === 0) {
      this.#window += more;
      if (this.#window > windowBytesMax) throw overWindow();
      return this.#sendHeldBack();
    }
    const stream = this.#streamOf(frame);
    if (stream === undefined) return;
    stream.window += more;
    if (stream.window > windowBytesMax) throw overWindow();
    if (this.#heldBack.has(stream)) this.#sendBody(stream);
  }

  /** Undefined for a call that is over. @throws Http2Error for one that never was */
  #streamOf({ stream: number }: Http2Frame): Http2Stream | undefined {
    const stream = this.#streams.get(number);
    if (stream === undefined && (number === 0 || number % 2 === 0 || number >= this.#nextNumber))
      throw new Http2Error(errorCode.protocol, `a frame of stream ${number}, which was not opened`);
    return stream;
  }

  #reset(stream: Http2Stream, code: number): void {
    this.#send([encodeNumberFrame(frameType.reset, stream.number, code)]);
  }

  #remove(stream: Http2Stream): void {
    this.#streams.delete(stream.number);
    this.#heldBack.delete(stream);
    if (this.#waiting.length > 0) this.#admit();
  }

  #admit(): void {
    while (!this.#lost && this.#streams.size < this.#streamsMax) {
      const stream = this.#waiting.shift();
      if (stream === undefined) return;
      this.#open(stream);
    }
  }
}

function overWindow(): Http2Error {
  return new Http2Error(errorCode.flowControl, "more than a window allows");
}

/** @throws Http2Error */
function requireShape(frame: Http2Frame, shape: { readonly bytes?: number; readonly connection?: boolean }): void {
  if (shape.bytes !== undefined && frame.payload.length !== shape.bytes)
    throw new Http2Error(errorCode.frameSize, "a frame of a broken length");
  if (shape.connection !== undefined && shape.connection !== (frame.stream === 0))
    throw new Http2Error(errorCode.protocol, "a frame of a stream where the connection's belongs, or the reverse");
}
