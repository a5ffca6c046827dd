/**
 * Frequent frames of record append, in fixed fields, little endian:
 *
 * append: sequence u64, crc u32 · payload: the record
 * appendAnswer: code u8 (0 = done), sequence u64, file offset u64, bytes u32, crc u32; for another code the rest of the header is CBOR `{code, message}`
 * chainAppend: session u64, sequence u64, offset in the chunk u64, committed length u64, crc u32 · payload: the record
 * chainPrepared, chainCommitted: length u64
 */
import { putUint32, putUint53, readUint53, viewOf } from "../../base/bytes.ts";
import { crc32 } from "../../base/checksum.ts";
import { GfsError, isErrorCode } from "../../base/errors.ts";
import type { AppendAnswer } from "../control/common.ts";
import { decodeCbor, encodeCbor } from "../cbor.ts";
import { sequence, sessionId, type Sequence, type SessionId } from "../ids.ts";
import type { Frame } from "./frame.ts";

function refuse(frame: Frame): never {
  throw new GfsError("ProtocolError", `Cannot read a ${frame.type} frame: its header is out of range`);
}

function positive(value: number | undefined, frame: Frame): number {
  return value === undefined || value === 0 ? refuse(frame) : value;
}

function crcOf(payload: readonly Uint8Array[]): number {
  let crc = 0;
  for (const piece of payload) crc = crc32(piece, crc);
  return crc;
}

function checkPayload(frame: Frame, crc: number): void {
  if (crcOf(frame.payload) !== crc)
    throw new GfsError("Corrupt", `Cannot accept a record of ${frame.payloadBytes} bytes: its checksum is wrong`);
}

export interface AppendRecord {
  readonly sequence: Sequence;
  readonly crc: number;
  readonly payload: readonly Uint8Array[];
  readonly bytes: number;
}

export function encodeAppend(seq: Sequence, crc: number): Uint8Array {
  const header = new Uint8Array(12);
  putUint53(header, 0, seq);
  putUint32(header, 8, crc);
  return header;
}

/** @throws GfsError("Corrupt" | "ProtocolError") */
export function decodeAppend(frame: Frame): AppendRecord {
  if (frame.header.length !== 12 || frame.payloadBytes === 0) refuse(frame);
  const view = viewOf(frame.header);
  const crc = view.getUint32(8, true);
  const seq = sequence(positive(readUint53(view, 0), frame));
  checkPayload(frame, crc);
  return { sequence: seq, crc, payload: frame.payload, bytes: frame.payloadBytes };
}

/** An append refused; the stream takes no more of them. Nothing is said about earlier ones that are unanswered. */
export interface AppendRefusal {
  readonly sequence: Sequence;
  readonly error: GfsError;
}

export function encodeAppendAnswer(answer: AppendAnswer): Uint8Array {
  const header = new Uint8Array(25);
  putUint53(header, 1, answer.sequence);
  putUint53(header, 9, answer.fileOffset);
  putUint32(header, 17, answer.bytes);
  putUint32(header, 21, answer.crc);
  return header;
}

export function encodeAppendRefusal(seq: Sequence, error: GfsError): Uint8Array {
  const body = encodeCbor({ code: error.code, message: error.message });
  const header = new Uint8Array(9 + body.length);
  header[0] = 1;
  putUint53(header, 1, seq);
  header.set(body, 9);
  return header;
}

export type DecodedAppendAnswer =
  | { readonly kind: "done"; readonly answer: AppendAnswer }
  | { readonly kind: "refused"; readonly refusal: AppendRefusal };

export function decodeAppendAnswer(frame: Frame): DecodedAppendAnswer {
  const { header } = frame;
  if (header.length < 9) refuse(frame);
  const view = viewOf(header);
  const seq = sequence(positive(readUint53(view, 1), frame));
  if (view.getUint8(0) === 0) {
    if (header.length !== 25) refuse(frame);
    const fileOffset = readUint53(view, 9) ?? refuse(frame);
    return {
      kind: "done",
      answer: { sequence: seq, fileOffset, bytes: view.getUint32(17, true), crc: view.getUint32(21, true) },
    };
  }
  const body = decodeCbor(header.subarray(9));
  if (typeof body !== "object" || body === null || !("code" in body) || !("message" in body)) refuse(frame);
  const code = String(body.code);
  return {
    kind: "refused",
    refusal: { sequence: seq, error: new GfsError(isErrorCode(code) ? code : "Bug", String(body.message)) },
  };
}

export interface ChainRecord extends AppendRecord {
  readonly session: SessionId;
  /** In the chunk. */
  readonly offset: number;
  /** Committed length of the chunk when the primary sent this. */
  readonly committed: number;
}

export function encodeChainAppend(record: Omit<ChainRecord, "payload" | "bytes">): Uint8Array {
  const header = new Uint8Array(36);
  putUint53(header, 0, record.session);
  putUint53(header, 8, record.sequence);
  putUint53(header, 16, record.offset);
  putUint53(header, 24, record.committed);
  putUint32(header, 32, record.crc);
  return header;
}

/** @throws GfsError("Corrupt" | "ProtocolError") */
export function decodeChainAppend(frame: Frame): ChainRecord {
  if (frame.header.length !== 36 || frame.payloadBytes === 0) refuse(frame);
  const view = viewOf(frame.header);
  const session = sessionId(positive(readUint53(view, 0), frame));
  const seq = sequence(positive(readUint53(view, 8), frame));
  const offset = readUint53(view, 16) ?? refuse(frame);
  const committed = readUint53(view, 24) ?? refuse(frame);
  const crc = view.getUint32(32, true);
  checkPayload(frame, crc);
  return { session, sequence: seq, offset, committed, crc, payload: frame.payload, bytes: frame.payloadBytes };
}

export function encodeLength(length: number): Uint8Array {
  const header = new Uint8Array(8);
  putUint53(header, 0, length);
  return header;
}

export function decodeLength(frame: Frame): number {
  if (frame.header.length !== 8) refuse(frame);
  return readUint53(viewOf(frame.header), 0) ?? refuse(frame);
}
