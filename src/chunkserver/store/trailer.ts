/**
 * What follows the bytes of a sealed chunk in its data file (DESIGN §4.7, docs/DISK-FORMAT.md): enough to check every block, and for salvage without the
 * volume log. Little endian:
 *
 * | at | size | field |
 * |---|---|---|
 * | 0 | 4 | magic "gfst" |
 * | 4 | 4 | format, 1 |
 * | 8 | 4 | B: count of blocks |
 * | 12 | 4 | H: bytes of the description |
 * | 16 | 4 B | CRC-32 of each block |
 * | 16 + 4 B | H | description: CBOR |
 * | … | 4 | whole length of the trailer |
 * | … | 4 | CRC-32 of everything before |
 * | … | 4 | magic "gfse": the end, where salvage begins |
 */
import { z } from "zod";
import { viewOf } from "../../base/bytes.ts";
import { crc32 } from "../../base/checksum.ts";
import { GfsError } from "../../base/errors.ts";
import { blockBytes, protocol } from "../../limits.ts";
import { encodeCbor } from "../../wire/cbor.ts";
import { Origin } from "../../wire/control/commands.ts";
import { Crc, Uint32 } from "../../wire/control/common.ts";
import { ChunkHandle, ChunkVersion, ClusterId, VolumeId } from "../../wire/ids.ts";
import { parseStoredCbor } from "../../wire/message-reader.ts";
import { BlockSums } from "./block-sums.ts";

const magic = 0x7473_6667; // "gfst"
const endMagic = 0x6573_6667; // "gfse"
const format = 1;
const fixedBytes = 16;
const endBytes = 12;
const descriptionBytesMax = protocol.pathBytesMax * 4 + 1_024;

/** Longest trailer of a chunk of `length` bytes. */
export function trailerBytesMax(length: number): number {
  return fixedBytes + 4 * Math.ceil(length / blockBytes) + descriptionBytesMax + endBytes;
}

export const Trailer = z.object({
  handle: ChunkHandle,
  version: ChunkVersion,
  volume: VolumeId,
  clusterId: ClusterId.optional(),
  length: Uint32,
  crc: Crc,
  origin: Origin.optional(),
});
export type Trailer = z.infer<typeof Trailer>;

export function encodeTrailer(trailer: Trailer, blocks: Uint32Array): Uint8Array {
  const description = encodeCbor(trailer);
  const bytes = new Uint8Array(fixedBytes + 4 * blocks.length + description.length + endBytes);
  const view = viewOf(bytes);
  view.setUint32(0, magic, true);
  view.setUint32(4, format, true);
  view.setUint32(8, blocks.length, true);
  view.setUint32(12, description.length, true);
  let at = fixedBytes;
  for (const crc of blocks) {
    view.setUint32(at, crc, true);
    at += 4;
  }
  bytes.set(description, at);
  at += description.length;
  view.setUint32(at, bytes.length, true);
  view.setUint32(at + 4, crc32(bytes.subarray(0, at + 4)), true);
  view.setUint32(at + 8, endMagic, true);
  return bytes;
}

/** What a trailer ends with: by it, it is found from the end of a file. */
export const trailerEndBytes = endBytes;

/**
 * Bytes of the trailer that a file ends with.
 *
 * @param end the last `trailerEndBytes` bytes of the file
 * @throws GfsError Corrupt where no trailer ends there
 */
export function trailerLength(end: Uint8Array, fileBytes: number): number {
  const view = viewOf(end);
  if (view.getUint32(8, true) !== endMagic) refuse("there is none");
  const bytes = view.getUint32(0, true);
  if (bytes < fixedBytes + endBytes || bytes > fileBytes) refuse("it has another length");
  return bytes;
}

function refuse(why: string): never {
  throw new GfsError("Corrupt", `Cannot read the trailer of a data file: ${why}`);
}

/**
 * A trailer, checked: its own checksum, and that the blocks' combine to the chunk's.
 *
 * @param bytes from the chunk's end to the file's
 * @throws GfsError Corrupt | FormatUnsupported
 */
export function decodeTrailer(bytes: Uint8Array): { readonly trailer: Trailer; readonly blocks: Uint32Array } {
  if (bytes.length < fixedBytes + endBytes) refuse("it is cut off");
  const view = viewOf(bytes);
  const end = bytes.length - endBytes;
  if (view.getUint32(0, true) !== magic || view.getUint32(end + 8, true) !== endMagic)
    refuse("its magic bytes are missing");
  if (view.getUint32(end, true) !== bytes.length) refuse("it has another length");
  if (view.getUint32(end + 4, true) !== crc32(bytes.subarray(0, end + 4))) refuse("its checksum is wrong");
  const written = view.getUint32(4, true);
  if (written !== format) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot read the trailer of a data file: format ${written}, this release knows ${format}`,
    );
  }
  const count = view.getUint32(8, true);
  if (fixedBytes + 4 * count + view.getUint32(12, true) !== end) refuse("its parts do not fit");
  const blocks = new Uint32Array(count);
  for (let i = 0; i < count; i++) blocks[i] = view.getUint32(fixedBytes + 4 * i, true);
  const description = bytes.subarray(fixedBytes + 4 * count, end);
  const parsed = parseStoredCbor(Trailer, description, "the trailer of a data file");
  if (!parsed.success) refuse(`its ${parsed.error.issues[0]?.path.join(".") ?? "description"} is wrong`);
  const trailer = parsed.data;
  if (count !== Math.ceil(trailer.length / blockBytes)) refuse("it has the wrong count of blocks");
  if (BlockSums.of(trailer.length, blocks).crc !== trailer.crc) refuse("its blocks are not of its chunk");
  return { trailer, blocks };
}
