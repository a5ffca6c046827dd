/** HTTP/2 frames (RFC 9113 §4, §6): bytes to frames and back. No socket, no state beyond a frame that is not whole yet. */
import { concatBytes, viewOf } from "../../base/bytes.ts";

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** `ack` is of settings and pings, `endStream` of data and headers. */
export const frameFlag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const setting = {
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const;

export const errorCode = {
  none: 0,
  protocol: 1,
  flowControl: 3,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
} as const;

/** What makes a whole connection useless; `code` is told to the other side. */
export class Http2Error extends Error {
  override readonly name = "Http2Error";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Http2Frame {
  readonly type: number;
  readonly flags: number;
  /** 0: of the connection. */
  readonly stream: number;
  /** May be a view of the bytes that were fed. */
  readonly payload: Uint8Array;
}

const headBytes = 9;
/** Both sides start with it, and this side leaves it at that. */
export const frameBytesDefault = 16_384;

/** Nine bytes: length, type, flags and stream of a frame whose payload follows. */
export function frameHead(type: number, flags: number, stream: number, payloadBytes: number): Uint8Array {
  const head = new Uint8Array(headBytes);
  writeFrameHead(head, 0, { type, flags, stream, bytes: payloadBytes });
  return head;
}

export function writeFrameHead(
  into: Uint8Array,
  at: number,
  head: { readonly type: number; readonly flags: number; readonly stream: number; readonly bytes: number },
): void {
  into[at] = head.bytes >>> 16;
  into[at + 1] = head.bytes >>> 8;
  into[at + 2] = head.bytes;
  into[at + 3] = head.type;
  into[at + 4] = head.flags;
  into[at + 5] = head.stream >>> 24;
  into[at + 6] = head.stream >>> 16;
  into[at + 7] = head.stream >>> 8;
  into[at + 8] = head.stream;
}

export function encodeFrame({ type, flags, stream, payload }: Http2Frame): Uint8Array {
  return concatBytes([frameHead(type, flags, stream, payload.length), payload]);
}

/** A frame whose payload is 32-bit numbers: a window update, a reset. */
export function encodeNumberFrame(type: number, stream: number, ...numbers: readonly number[]): Uint8Array {
  const payload = new Uint8Array(4 * numbers.length);
  const view = viewOf(payload);
  for (const [i, number] of numbers.entries()) view.setUint32(4 * i, number);
  return encodeFrame({ type, flags: 0, stream, payload });
}

export function encodeSettings(settings: readonly (readonly [id: number, value: number])[]): Uint8Array {
  const payload = new Uint8Array(6 * settings.length);
  const view = viewOf(payload);
  for (const [i, [id, value]] of settings.entries()) {
    view.setUint16(6 * i, id);
    view.setUint32(6 * i + 2, value);
  }
  return encodeFrame({ type: frameType.settings, flags: 0, stream: 0, payload });
}

/** @throws Http2Error for a length that no list of settings has */
export function decodeSettings(payload: Uint8Array): [id: number, value: number][] {
  if (payload.length % 6 !== 0) throw new Http2Error(errorCode.frameSize, "settings of a broken length");
  const view = viewOf(payload);
  return Array.from({ length: payload.length / 6 }, (_, i) => [view.getUint16(6 * i), view.getUint32(6 * i + 2)]);
}

/** The payload of a data or headers frame, less its padding and, of headers, its priority. @throws Http2Error */
export function contentOf({ type, flags, payload }: Http2Frame): Uint8Array {
  let start = 0;
  let end = payload.length;
  if ((flags & frameFlag.padded) !== 0) {
    start = 1;
    end -= payload[0] ?? 0;
  }
  if (type === frameType.headers && (flags & frameFlag.priority) !== 0) start += 5;
  if (start > end) throw new Http2Error(errorCode.protocol, "a frame shorter than its padding");
  return payload.subarray(start, end);
}

/** Cuts what arrives into frames, wherever it was cut on its way. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * The frames that are whole now. What is left of the bytes is kept: the caller gives them away.
   * @throws Http2Error for a frame over `frameBytesDefault`; nothing can be fed any more
   */
  feed(bytes: Uint8Array): Http2Frame[] {
    const all = this.#rest.length === 0 ? bytes : concatBytes([this.#rest, bytes]);
    const frames: Http2Frame[] = [];
    let at = 0;
    while (at + headBytes <= all.length) {
      const length = (byteAt(all, at) << 16) | (byteAt(all, at + 1) << 8) | byteAt(all, at + 2);
      if (length > frameBytesDefault)
        throw new Http2Error(errorCode.frameSize, `a frame of ${length} bytes, ${frameBytesDefault} are allowed`);
      const end = at + headBytes + length;
      if (end > all.length) break;
      frames.push({
        type: byteAt(all, at + 3),
        flags: byteAt(all, at + 4),
        stream: numberAt(all, at + 5) & 0x7fff_ffff,
        payload: all.subarray(at + headBytes, end),
      });
      at = end;
    }
    this.#rest = at === all.length ? all.subarray(0, 0) : all.subarray(at);
    return frames;
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** 32 bits, big endian, without a sign. */
export function numberAt(bytes: Uint8Array, at: number): number {
  return (
    ((byteAt(bytes, at) << 24) |
      (byteAt(bytes, at + 1) << 16) |
      (byteAt(bytes, at + 2) << 8) |
      byteAt(bytes, at + 3)) >>>
    0
  );
}
