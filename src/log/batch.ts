/**
 * A batch of entries on disk (docs/DISK-FORMAT.md, "Log"). Little endian, at a multiple of 8 in the segment:
 *
 * 0 magic u32 · 4 CRC u32 of all that follows · 8 bytes u32 (header to the last entry) · 12 entries u32 · 16 position of the first entry u64 ·
 * 24 CRC of the batch before u32 · 28 CRC of bytes 8–27 u32 · 32 length of each entry u32 … · the entries.
 *
 * Both CRCs are seeded by the segment's random id, and each batch names the CRC of the one before it: bytes that a recycled segment still holds, or that
 * a user wrote, are never taken for a batch of this place.
 */
import { readUint53, viewOf, writeUint53 } from "../base/bytes.ts";
import { crc32 } from "../base/checksum.ts";
import type { LogEntry, LogPosition } from "./log-types.ts";

const magic = 0x424c_4647; // "GFLB"
export const batchHeaderBytes = 32;
export const batchAlignBytes = 8;
/** What an entry takes besides its bytes. */
export const entryOverheadBytes = 4;
/** Pieces below this are copied into one buffer: a system call's list of many small pieces costs more. */
const copyBelowBytes = 4_096;

export function aligned(bytes: number): number {
  return Math.ceil(bytes / batchAlignBytes) * batchAlignBytes;
}

/** Where in the chain of batches a batch stands. */
export interface BatchLink {
  /** CRC-32 of the segment's id. */
  readonly seed: number;
  /** Of the batch before; of the first batch of a log: 0. */
  readonly previousCrc: number;
  readonly first: LogPosition;
}

export interface EncodedBatch {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  readonly crc: number;
}

/** The batch's bytes; `sizes` are those of the entries. */
export function encodeBatch(link: BatchLink, entries: readonly LogEntry[], sizes: readonly number[]): EncodedBatch {
  let copied = batchHeaderBytes + entryOverheadBytes * entries.length;
  let bytes = copied;
  for (let i = 0; i < entries.length; i++) {
    bytes += sizes[i] ?? 0;
    for (const piece of entries[i] ?? []) if (piece.length < copyBelowBytes) copied += piece.length;
  }
  const scratch = new Uint8Array(copied);
  const view = viewOf(scratch);
  view.setUint32(0, magic, true);
  view.setUint32(8, bytes, true);
  view.setUint32(12, entries.length, true);
  writeUint53(view, 16, link.first);
  view.setUint32(24, link.previousCrc, true);
  view.setUint32(28, crc32(scratch.subarray(8, 28), link.seed), true);
  for (let i = 0; i < sizes.length; i++) view.setUint32(batchHeaderBytes + 4 * i, sizes[i] ?? 0, true);

  const pieces: Uint8Array[] = [];
  let from = 0;
  let at = batchHeaderBytes + entryOverheadBytes * entries.length;
  for (const entry of entries) {
    for (const piece of entry) {
      if (piece.length < copyBelowBytes) {
        scratch.set(piece, at);
        at += piece.length;
        continue;
      }
      if (at > from) pieces.push(scratch.subarray(from, at));
      pieces.push(piece);
      from = at;
    }
  }
  if (at > from) pieces.push(scratch.subarray(from, at));
  let crc = link.seed;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i];
    if (piece !== undefined) crc = crc32(i === 0 ? piece.subarray(8) : piece, crc);
  }
  view.setUint32(4, crc, true);
  return { pieces, bytes, crc };
}

export interface DecodedBatch {
  readonly first: LogPosition;
  readonly count: number;
  readonly bytes: number;
  readonly crc: number;
  readonly previousCrc: number;
}

/** The whole batch at `at`, or why there is none; whether it belongs there is for the caller to compare. */
export function decodeBatch(segment: Uint8Array, at: number, seed: number): DecodedBatch | string {
  const header = decodeBatchHeader(segment, at, seed);
  if (typeof header === "string") return header;
  const end = at + header.bytes;
  if (end > segment.length) return "it is longer than the segment";
  if (crc32(segment.subarray(at + 8, end), seed) !== header.crc) return "its checksum is wrong";
  const view = viewOf(segment);
  let sum = batchHeaderBytes + entryOverheadBytes * header.count;
  for (let i = 0; i < header.count && sum <= header.bytes; i++)
    sum += view.getUint32(at + batchHeaderBytes + entryOverheadBytes * i, true);
  return sum === header.bytes ? header : "its entries don't fill it";
}

function decodeBatchHeader(segment: Uint8Array, at: number, seed: number): DecodedBatch | string {
  if (at + batchHeaderBytes > segment.length) return "the segment ends";
  const view = viewOf(segment);
  if (view.getUint32(at, true) !== magic) return "no batch begins there";
  if (crc32(segment.subarray(at + 8, at + 28), seed) !== view.getUint32(at + 28, true))
    return "its header's checksum is wrong";
  const bytes = view.getUint32(at + 8, true);
  const count = view.getUint32(at + 12, true);
  const first = readUint53(view, at + 16);
  if (first === undefined || first === 0 || count === 0) return "its position is out of range";
  if (bytes < batchHeaderBytes + entryOverheadBytes * count) return "its length is out of range";
  return { first, count, bytes, crc: view.getUint32(at + 4, true), previousCrc: view.getUint32(at + 24, true) };
}

export interface EntrySpan {
  readonly position: LogPosition;
  /** In the segment. */
  readonly offset: number;
  readonly bytes: number;
}

/** The entries of a whole batch at `at`. */
export function* entriesOf(
  segment: Uint8Array,
  at: number,
  batch: { readonly first: LogPosition; readonly count: number },
): Generator<EntrySpan> {
  const view = viewOf(segment);
  let offset = at + batchHeaderBytes + entryOverheadBytes * batch.count;
  for (let i = 0; i < batch.count; i++) {
    const bytes = view.getUint32(at + batchHeaderBytes + entryOverheadBytes * i, true);
    yield { position: batch.first + i, offset, bytes };
    offset += bytes;
  }
}

/** Finds a whole batch at or after `from` that holds positions after `last`: the proof that what lies before it once was whole. */
export function findLaterBatch(
  segment: Uint8Array,
  from: number,
  seed: number,
  last: LogPosition,
): { readonly offset: number; readonly last: LogPosition } | undefined {
  const view = viewOf(segment);
  for (let at = aligned(from); at + batchHeaderBytes <= segment.length; at += batchAlignBytes) {
    if (view.getUint32(at, true) !== magic) continue;
    const batch = decodeBatch(segment, at, seed);
    if (typeof batch !== "string" && batch.first > last) return { offset: at, last: batch.first + batch.count - 1 };
  }
  return undefined;
}

/** The last position that anything which looks like a batch's header names, whole or not, of whatever segment; 0 for none. More than there ever was is possible, less is not. */
export function positionClaimed(segment: Uint8Array): LogPosition {
  const view = viewOf(segment);
  let claimed = 0;
  for (let at = 0; at + batchHeaderBytes <= segment.length; at += batchAlignBytes) {
    if (view.getUint32(at, true) !== magic) continue;
    const first = readUint53(view, at + 16);
    const count = view.getUint32(at + 12, true);
    if (first !== undefined && count <= segment.length) claimed = Math.max(claimed, first + count - 1);
  }
  return claimed;
}
