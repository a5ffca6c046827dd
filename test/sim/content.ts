/**
 * What workloads write: records that tell whose they are, so that any content read back says which operations it is made of. A record: magic u32,
 * operation u32, length of all u32, seed of the body u32, then a body that follows from the operation's number.
 */
import { byteLengthOf, viewOf } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";

const magic = 0x4d49_5347; // "GSIM"
export const recordBytesMin = 16;

/** One operation's bytes in a file. */
export interface PlacedRecord {
  readonly operation: number;
  readonly offset: number;
  readonly bytes: number;
}

export type ParsedContent =
  | { readonly kind: "whole"; readonly records: readonly PlacedRecord[]; readonly bytes: number }
  | { readonly kind: "broken"; readonly records: readonly PlacedRecord[]; readonly why: string };

/** The record of an operation, `bytes` (at least `recordBytesMin`) long: the same at every call. */
export function recordOf(operation: number, bytes: number): Uint8Array {
  const record = new Uint8Array(bytes);
  const view = viewOf(record);
  view.setUint32(0, magic, true);
  view.setUint32(4, operation, true);
  view.setUint32(8, bytes, true);
  let state = (Math.imul(operation + 1, 0x9e37_79b1) ^ bytes) | 1;
  view.setUint32(12, state >>> 0, true);
  let at = recordBytesMin;
  for (; at + 4 <= bytes; at += 4) {
    state = step(state);
    view.setInt32(at, state, true);
  }
  for (; at < bytes; at++) {
    state = step(state);
    record[at] = state;
  }
  return record;
}

/** Which records the bytes of a whole file are; `broken` tells where they are not records, one whole after the other. */
export function parseContent(content: Uint8Array): ParsedContent {
  const view = viewOf(content);
  const records: PlacedRecord[] = [];
  const broken = (why: string): ParsedContent => ({ kind: "broken", records, why });
  for (let offset = 0; offset < content.length;) {
    if (content.length - offset < recordBytesMin) return broken(`${content.length - offset} stray bytes at ${offset}`);
    if (view.getUint32(offset, true) !== magic)
      return broken(`no record begins at ${offset} (of ${content.length} bytes), where one should`);
    const operation = view.getUint32(offset + 4, true);
    const bytes = view.getUint32(offset + 8, true);
    if (bytes < recordBytesMin || offset + bytes > content.length)
      return broken(
        `record of operation ${operation} at ${offset} is cut: ${content.length - offset} of ${bytes} bytes`,
      );
    const found = content.subarray(offset, offset + bytes);
    if (crc32(found) !== crcOf(operation, bytes)) {
      const wrong = firstDifference(recordOf(operation, bytes), found);
      return broken(
        `record of operation ${operation} at ${offset} differs from what was written at its byte ${wrong} of ${bytes}`,
      );
    }
    records.push({ operation, offset, bytes });
    offset += bytes;
  }
  return { kind: "whole", records, bytes: content.length };
}

/** For contents in pieces: lent to one call after the other, for fresh memory costs more than the copy. */
let scratch = new Uint8Array(1 << 20);

/** The same of a content that came in pieces. */
export function parsePieces(pieces: readonly Uint8Array[]): ParsedContent {
  const bytes = byteLengthOf(pieces);
  if (bytes > scratch.length) scratch = new Uint8Array(2 * bytes);
  let at = 0;
  for (const piece of pieces) {
    scratch.set(piece, at);
    at += piece.length;
  }
  return parseContent(scratch.subarray(0, bytes));
}

/** Files are read far more often than written: of each record only its checksum is kept. */
const crcs = new Map<string, number>();

function crcOf(operation: number, bytes: number): number {
  const key = `${operation} ${bytes}`;
  let crc = crcs.get(key);
  if (crc === undefined) {
    if (crcs.size > 100_000) crcs.clear();
    crc = crc32(recordOf(operation, bytes));
    crcs.set(key, crc);
  }
  return crc;
}

export function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? undefined : length;
}

function step(state: number): number {
  let next = state ^ (state << 13);
  next ^= next >>> 17;
  return next ^ (next << 5);
}
