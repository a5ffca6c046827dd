/**
 * Segment files of a log: names, header, and the walk over their batches (docs/DISK-FORMAT.md, "Log").
 *
 * Header, 512 bytes, little endian: 0 magic "GFSLOG\r\n" · 8 format u16 · 10 zero u16 · 12 CRC u32 of all 512 bytes with this field zero · 16 position of the
 * first entry u64 · 24 segment id, 16 random bytes · 40 id of the cluster or volume, 16 bytes · 56 CRC of the last batch before this segment u32 ·
 * 60 length of the name u8 · 61 name · zeros.
 */
import { assert } from "../base/assert.ts";
import { equalBytes, fromUtf8, readUint53, utf8, viewOf, writeUint53 } from "../base/bytes.ts";
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import { aligned, decodeBatch, findLaterBatch } from "./batch.ts";
import type { LogPosition } from "./log-types.ts";

export const segmentHeaderBytes = 512;
export const logFormat = 1;
const magic = utf8("GFSLOG\r\n");

export interface SegmentHeader {
  readonly name: string;
  /** 32 hex digits. */
  readonly id: string;
  /** 32 hex digits, random: seeds the CRCs of this segment's batches. */
  readonly segmentId: string;
  readonly first: LogPosition;
  readonly previousCrc: number;
}

export function segmentFileName(first: LogPosition): string {
  return `${first.toString(16).padStart(16, "0")}.segment`;
}

/** The position of the first entry, or undefined for a file that is no segment. */
export function positionOfFileName(name: string): LogPosition | undefined {
  const match = /^([0-9a-f]{16})\.segment$/.exec(name);
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 16);
}

export function seedOf(header: SegmentHeader): number {
  return crc32(Uint8Array.fromHex(header.segmentId));
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes);
  const view = viewOf(bytes);
  const name = utf8(header.name);
  assert(name.length > 0 && name.length < 32, `a log's name has 1 to 31 bytes: ${header.name}`);
  bytes.set(magic, 0);
  view.setUint16(8, logFormat, true);
  writeUint53(view, 16, header.first);
  bytes.set(Uint8Array.fromHex(header.segmentId), 24);
  bytes.set(Uint8Array.fromHex(header.id), 40);
  view.setUint32(56, header.previousCrc, true);
  view.setUint8(60, name.length);
  bytes.set(name, 61);
  view.setUint32(12, crc32(bytes), true);
  return bytes;
}

/**
 * The header, or why it can't be read.
 *
 * @throws GfsError("FormatUnsupported") for a whole header of another format.
 */
export function decodeSegmentHeader(segment: Uint8Array, path: string): SegmentHeader | string {
  if (segment.length < segmentHeaderBytes) return "it is shorter than a header";
  const bytes = segment.slice(0, segmentHeaderBytes);
  const view = viewOf(bytes);
  if (!equalBytes(bytes.subarray(0, 8), magic)) return "it is not a log segment";
  const crc = view.getUint32(12, true);
  view.setUint32(12, 0, true);
  if (crc32(bytes) !== crc) return "its header's checksum is wrong";
  const format = view.getUint16(8, true);
  if (format !== logFormat) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot open ${path}: it has format ${format}, and this version of gfs knows ${logFormat}`,
    );
  }
  const first = readUint53(view, 16);
  const name = fromUtf8(bytes.subarray(61, 61 + view.getUint8(60)));
  if (first === undefined || first === 0 || name === undefined) return "its header is out of range";
  return {
    name,
    id: bytes.subarray(40, 56).toHex(),
    segmentId: bytes.subarray(24, 40).toHex(),
    first,
    previousCrc: view.getUint32(56, true),
  };
}

/** What the whole batches of a segment, from its beginning on, are. */
export interface SegmentWalk {
  /** Offset after the last whole batch, aligned. */
  readonly end: number;
  /** Of the last entry; one less than the segment's first where it has none. */
  readonly last: LogPosition;
  readonly lastCrc: number;
  /** Why there is no further batch. */
  readonly why: string;
}

/** Walks over the batches that follow each other; `each` gets the offset of every one. */
export function walkSegment(
  segment: Uint8Array,
  header: SegmentHeader,
  each: (at: number, batch: { first: LogPosition; count: number; bytes: number; crc: number }) => void,
): SegmentWalk {
  const seed = seedOf(header);
  let end = segmentHeaderBytes;
  let last = header.first - 1;
  let lastCrc = header.previousCrc;
  for (;;) {
    const batch = decodeBatch(segment, end, seed);
    if (typeof batch === "string") return { end, last, lastCrc, why: batch };
    if (batch.first !== last + 1)
      return { end, last, lastCrc, why: `it has entry ${batch.first} where ${last + 1} belongs` };
    if (batch.previousCrc !== lastCrc) return { end, last, lastCrc, why: "it does not follow the batch before" };
    each(end, batch);
    end = aligned(end + batch.bytes);
    last = batch.first + batch.count - 1;
    lastCrc = batch.crc;
  }
}

/** The last position of a whole batch beyond the end of a walk, or undefined: then the walk ended at a torn tail. */
export function positionBeyond(segment: Uint8Array, header: SegmentHeader, walk: SegmentWalk): LogPosition | undefined {
  return findLaterBatch(segment, walk.end, seedOf(header), walk.last)?.last;
}
