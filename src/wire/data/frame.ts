/**
 * Frames of the data plane (DESIGN §4.6, docs/PROTOCOL.md). Little endian:
 *
 * | at | size | field |
 * |---|---|---|
 * | 0 | 4 | magic "gfsd" |
 * | 4 | 1 | protocol version |
 * | 5 | 1 | type |
 * | 6 | 2 | flags, 0 |
 * | 8 | 4 | stream: chosen by who opens it, distinct among those open on the connection; 0 for the handshake |
 * | 12 | 4 | header length H, at most 65 536 |
 * | 16 | 4 | payload length P, at most 4 MiB |
 * | 20 | 4 | CRC-32 of bytes 0–19 and of the header |
 * | 24 | H | header: CBOR, or fixed fields for the frequent types |
 * | 24 + H | P | payload, covered by CRCs in the header |
 */
import { concatBytes, putUint32, viewOf } from "../../base/bytes.ts";
import { crc32 } from "../../base/checksum.ts";
import { GfsError } from "../../base/errors.ts";
import { protocol } from "../../limits.ts";

export const frameFixedBytes = 24;
const magic = 0x6473_6667; // "gfsd"

/** Codes are for ever: never renumber, never reuse. */
export const frameTypes = {
  hello: 1,
  helloReply: 2,
  authenticate: 3,
  authenticated: 4,
  error: 5,
  ping: 6,
  pong: 7,
  writeOpen: 10,
  writeData: 11,
  writeEnd: 12,
  writeDone: 13,
  writeAbort: 14,
  writeWhole: 15,
  wholeDone: 16,
  read: 20,
  readData: 21,
  readEnd: 22,
  readCancel: 23,
  appendOpen: 30,
  appendOpened: 31,
  append: 32,
  appendAnswer: 33,
  appendClose: 34,
  chainOpen: 40,
  chainOpened: 41,
  chainAppend: 42,
  chainPrepared: 43,
  chainCommitted: 44,
} as const;
export type FrameType = keyof typeof frameTypes;

const typeOfCode = new Map<number, FrameType>();
for (const type of Object.keys(frameTypes)) if (isFrameType(type)) typeOfCode.set(frameTypes[type], type);

function isFrameType(name: string): name is FrameType {
  return Object.hasOwn(frameTypes, name);
}

export interface Frame {
  readonly type: FrameType;
  readonly stream: number;
  /** One piece. */
  readonly header: Uint8Array;
  /** In as many pieces as it arrived in, so that nothing is copied. */
  readonly payload: readonly Uint8Array[];
  readonly payloadBytes: number;
}

/** The fixed part of the frame that is being encoded: one at a time, and nothing waits. */
const fixed = new Uint8Array(frameFixedBytes);
const fixedChecked = fixed.subarray(0, 20);
putUint32(fixed, 0, magic);
fixed[4] = protocol.versionMax;

/** The bytes of a frame, as pieces: fixed part with header, then the payload's own pieces. */
export function encodeFrame(
  type: FrameType,
  stream: number,
  header: Uint8Array,
  payload: readonly Uint8Array[] = [],
): Uint8Array[] {
  let payloadBytes = 0;
  for (const piece of payload) payloadBytes += piece.length;
  fixed[5] = frameTypes[type];
  putUint32(fixed, 8, stream);
  putUint32(fixed, 12, header.length);
  putUint32(fixed, 16, payloadBytes);
  putUint32(fixed, 20, crc32(header, crc32(fixedChecked)));
  const head = new Uint8Array(frameFixedBytes + header.length);
  head.set(fixed);
  head.set(header, frameFixedBytes);
  return [head, ...payload];
}

function refuse(why: string): never {
  throw new GfsError("ProtocolError", `Cannot read a frame: ${why}`);
}

const nothing = new Uint8Array(0);

/** Pieces below this are merged, so that a peer that sends byte by byte can't make us keep a million arrays. */
const smallPieceBytes = 4_096;

/**
 * Bytes in, frames out, whatever the borders of the pieces. Holds at most one unfinished frame. After a throw it must not be fed again.
 */
export class FrameParser {
  #head: Uint8Array = nothing;
  #current: { type: FrameType; stream: number; headerBytes: number; payloadBytes: number } | undefined;
  #header: Uint8Array = nothing;
  #payload: Uint8Array[] = [];
  #payloadBytes = 0;
  #small = 0;

  /** True between frames. */
  get idle(): boolean {
    return this.#current === undefined && this.#head.length === 0;
  }

  /** What is held of an unfinished frame. */
  get partBytes(): number {
    return this.#head.length + (this.#current === undefined ? 0 : this.#header.length + this.#payloadBytes);
  }

  /** @throws GfsError("ProtocolError" | "VersionUnsupported") */
  feed(bytes: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    const input = this.#head.length === 0 ? bytes : concatBytes([this.#head, bytes]);
    this.#head = nothing;
    // One view for all frames of the input: to make one costs as much as all else that is done to a small frame.
    const view = viewOf(input);
    let at = 0;
    for (;;) {
      if (this.#current === undefined) {
        const current = parseHead(input, view, at);
        if (current === undefined) {
          this.#head = input.slice(at);
          return frames;
        }
        const headerAt = at + frameFixedBytes;
        at = headerAt + current.headerBytes;
        this.#current = current;
        this.#header = input.subarray(headerAt, at);
      }
      const want = this.#current.payloadBytes - this.#payloadBytes;
      if (input.length - at < want) {
        this.#keep(input.subarray(at));
        return frames;
      }
      if (want > 0) this.#keep(input.subarray(at, at + want));
      frames.push({
        type: this.#current.type,
        stream: this.#current.stream,
        header: this.#header,
        payload: this.#payload,
        payloadBytes: this.#payloadBytes,
      });
      this.#current = undefined;
      this.#payload = [];
      this.#payloadBytes = 0;
      this.#small = 0;
      at += want;
      if (at === input.length) return frames;
    }
  }

  #keep(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#payloadBytes += piece.length;
    this.#payload.push(piece);
    if (piece.length >= smallPieceBytes) return;
    this.#small++;
    if (this.#small < 64) return;
    this.#payload = [concatBytes(this.#payload)];
    this.#small = 0;
  }
}

/** Fixed part and header at `at`, checked; undefined while they are incomplete. `view`: of the bytes. */
function parseHead(
  bytes: Uint8Array,
  view: DataView,
  at: number,
): { type: FrameType; stream: number; headerBytes: number; payloadBytes: number } | undefined {
  const have = bytes.length - at;
  // Garbage is refused at its first bytes: a peer that sends five bytes of something else must not keep the connection.
  if (have >= 4 && view.getUint32(at, true) !== magic) refuse("it does not begin with the magic bytes");
  if (have < frameFixedBytes) return undefined;
  const version = view.getUint8(at + 4);
  if (version < protocol.versionMin || version > protocol.versionMax) {
    throw new GfsError(
      "VersionUnsupported",
      `Cannot read a frame: protocol version ${version}, this side speaks ${protocol.versionMin} to ${protocol.versionMax}`,
    );
  }
  const type = typeOfCode.get(view.getUint8(at + 5));
  if (type === undefined) refuse(`unknown type ${view.getUint8(at + 5)}`);
  if (view.getUint16(at + 6, true) !== 0) refuse("unknown flags");
  const headerBytes = view.getUint32(at + 12, true);
  const payloadBytes = view.getUint32(at + 16, true);
  if (headerBytes > protocol.frameHeaderBytesMax) refuse(`a header of ${headerBytes} bytes is too long`);
  if (payloadBytes > protocol.framePayloadBytesMax) refuse(`a payload of ${payloadBytes} bytes is too long`);
  if (have < frameFixedBytes + headerBytes) return undefined;
  const headerAt = at + frameFixedBytes;
  const crc = crc32(bytes.subarray(headerAt, headerAt + headerBytes), crc32(bytes.subarray(at, at + 20)));
  if (crc !== view.getUint32(at + 20, true)) refuse("its header's checksum is wrong");
  return { type, stream: view.getUint32(at + 8, true), headerBytes, payloadBytes };
}
