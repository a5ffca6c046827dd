/**
 * writeData and readData: a run of bytes of a chunk, cut at the 64 KiB borders of the chunk; a CRC-32 for each part. Header: offset in the chunk
 * u64, then a CRC u32 for each part. A part shorter than a block occurs only first (offset not on a border) and last.
 */
import { putUint32, putUint53, readUint53, viewOf } from "../../base/bytes.ts";
import { crc32 } from "../../base/checksum.ts";
import { GfsError } from "../../base/errors.ts";
import { blockBytes } from "../../limits.ts";
import type { Frame } from "./frame.ts";

export interface BlockRun {
  /** In the chunk, in bytes. */
  readonly offset: number;
  readonly bytes: number;
  readonly payload: readonly Uint8Array[];
  /** One for each part, verified. */
  readonly crcs: readonly number[];
}

/** How many block parts [offset, offset + bytes) touches. */
export function partCount(offset: number, bytes: number): number {
  if (bytes === 0) return 0;
  return Math.floor((offset + bytes - 1) / blockBytes) - Math.floor(offset / blockBytes) + 1;
}

/** CRCs of the parts of a run, in one pass over its pieces. */
export function partCrcs(offset: number, payload: readonly Uint8Array[]): number[] {
  const crcs: number[] = [];
  let crc = 0;
  let inPart = 0;
  let room = blockBytes - (offset % blockBytes);
  for (const piece of payload) {
    let at = 0;
    while (at < piece.length) {
      const take = Math.min(room, piece.length - at);
      crc = crc32(take === piece.length ? piece : piece.subarray(at, at + take), crc);
      inPart += take;
      at += take;
      room -= take;
      if (room > 0) continue;
      crcs.push(crc);
      crc = 0;
      inPart = 0;
      room = blockBytes;
    }
  }
  if (inPart > 0) crcs.push(crc);
  return crcs;
}

export function encodeBlockHeader(offset: number, crcs: readonly number[]): Uint8Array {
  const header = new Uint8Array(8 + 4 * crcs.length);
  putUint53(header, 0, offset);
  for (let i = 0; i < crcs.length; i++) putUint32(header, 8 + 4 * i, crcs[i] ?? 0);
  return header;
}

/** @throws GfsError("Corrupt") where a CRC does not fit its bytes, GfsError("ProtocolError") for a header that can't be. */
export function decodeBlocks(frame: Frame): BlockRun {
  const { header, payload, payloadBytes } = frame;
  const view = viewOf(header);
  const offset = header.length >= 8 ? readUint53(view, 0) : undefined;
  if (offset === undefined || payloadBytes === 0 || header.length !== 8 + 4 * partCount(offset, payloadBytes)) {
    throw new GfsError(
      "ProtocolError",
      `Cannot read a ${frame.type} frame: its header does not fit its ${payloadBytes} bytes`,
    );
  }
  const crcs = partCrcs(offset, payload);
  for (let i = 0; i < crcs.length; i++) {
    if (crcs[i] !== view.getUint32(8 + 4 * i, true)) {
      throw new GfsError(
        "Corrupt",
        `Cannot accept bytes at ${offset} of a chunk: the checksum of block ${Math.floor(offset / blockBytes) + i} is wrong`,
      );
    }
  }
  return { offset, bytes: payloadBytes, payload, crcs };
}
