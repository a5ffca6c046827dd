/**
 * A small chunk as one frame, to the head of its chain and from each member to the next, and its one answer. Fixed fields, little endian:
 *
 * writeWhole: handle u64, version u32, CRC of the chunk u32, inode u64, offset in the file u64, path length u16, the path, a CRC u32 for each block, then the chain from its
 * last member to the receiver, so that whoever passes the frame on cuts its own entry off: volume 16 bytes, address length u16, data address · payload: the chunk
 * wholeDone: length u32, CRC u32, volumes u8: the receiver and how many behind it have the chunk, synced and closed
 */
import { fromUtf8, putUint32, putUint53, readUint53, utf8, viewOf } from "../../base/bytes.ts";
import { crc32Combine } from "../../base/checksum.ts";
import { GfsError } from "../../base/errors.ts";
import { blockBytes, protocol } from "../../limits.ts";
import type { Origin } from "../control/commands.ts";
import {
  type ChunkHandle,
  chunkHandle,
  type ChunkVersion,
  chunkVersion,
  inodeId,
  type VolumeId,
  volumeIdBytes,
  volumeIdOf,
} from "../ids.ts";
import { type BlockRun, partCount, partCrcs } from "./blocks.ts";
import type { Frame } from "./frame.ts";

const fixedBytes = 34;
const memberBytes = 18;
const addressBytesMax = 262;

/** A volume of a chain and the address of its data port. */
export interface WholeMember {
  readonly volume: VolumeId;
  readonly data: string;
}

export interface WholeChunk {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  /** Of all bytes. */
  readonly crc: number;
  readonly origin: Origin;
  /** From the receiver on. */
  readonly chain: readonly WholeMember[];
}

export interface WholeWrite extends WholeChunk {
  /** All bytes, verified. */
  readonly run: BlockRun;
  /** The header for the next member of the chain; undefined for the last. */
  readonly passedOn: Uint8Array | undefined;
}

/** CRC of all bytes, from those of their blocks. */
export function wholeCrc(crcs: readonly number[], bytes: number): number {
  let crc = 0;
  for (let i = 0; i < crcs.length; i++)
    crc = i === 0 ? (crcs[0] ?? 0) : crc32Combine(crc, crcs[i] ?? 0, Math.min(blockBytes, bytes - i * blockBytes));
  return crc;
}

/** `crcs`: one for each block of the chunk. */
export function encodeWhole(chunk: WholeChunk, crcs: readonly number[]): Uint8Array {
  const { handle, version, crc, origin, chain } = chunk;
  const path = utf8(origin.path);
  const addresses = chain.map(({ data }) => utf8(data));
  let bytes = fixedBytes + path.length + 4 * crcs.length;
  for (const address of addresses) bytes += memberBytes + address.length;
  const header = new Uint8Array(bytes);
  putUint53(header, 0, handle);
  putUint32(header, 8, version);
  putUint32(header, 12, crc);
  putUint53(header, 16, origin.inode);
  putUint53(header, 24, origin.fileOffset);
  putUint16(header, 32, path.length);
  header.set(path, fixedBytes);
  let at = fixedBytes + path.length;
  for (const block of crcs) {
    putUint32(header, at, block);
    at += 4;
  }
  for (let i = chain.length - 1; i >= 0; i--) {
    const member = chain[i];
    const address = addresses[i];
    if (member === undefined || address === undefined) continue;
    header.set(volumeIdBytes(member.volume), at);
    putUint16(header, at + 16, address.length);
    header.set(address, at + memberBytes);
    at += memberBytes + address.length;
  }
  return header;
}

function putUint16(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
}

function refuse(why: string): never {
  throw new GfsError("ProtocolError", `Cannot read a writeWhole frame: ${why}`);
}

/** @throws GfsError("Corrupt") where a CRC does not fit its bytes, GfsError("ProtocolError") for a header that can't be. */
export function decodeWhole(frame: Frame): WholeWrite {
  const { header, payload, payloadBytes } = frame;
  if (payloadBytes === 0 || payloadBytes > protocol.dataFrameBytesMax) refuse(`a chunk of ${payloadBytes} bytes`);
  if (header.length < fixedBytes) refuse("its header is too short");
  const view = viewOf(header);
  const handle = readUint53(view, 0) ?? 0;
  const inode = readUint53(view, 16) ?? 0;
  const fileOffset = readUint53(view, 24);
  const crcsAt = fixedBytes + view.getUint16(32, true);
  const blocks = partCount(0, payloadBytes);
  const chainAt = crcsAt + 4 * blocks;
  if (handle === 0 || inode === 0 || fileOffset === undefined || chainAt > header.length)
    refuse("its header is out of range");
  const path = fromUtf8(header.subarray(fixedBytes, crcsAt));
  if (path === undefined || path.length > protocol.pathBytesMax) refuse("its path is not valid");
  const { chain, receiverAt } = readChain(header, view, chainAt);
  const crc = view.getUint32(12, true);
  const crcs = partCrcs(0, payload);
  for (let i = 0; i < blocks; i++)
    if (crcs[i] !== view.getUint32(crcsAt + 4 * i, true))
      throw new GfsError("Corrupt", `Cannot accept chunk ${handle}: the checksum of block ${i} is wrong`);
  if (wholeCrc(crcs, payloadBytes) !== crc)
    throw new GfsError("Corrupt", `Cannot accept chunk ${handle}: its checksum is not that of its blocks`);
  return {
    handle: chunkHandle(handle),
    version: chunkVersion(view.getUint32(8, true)),
    crc,
    origin: { inode: inodeId(inode), path, fileOffset },
    chain,
    run: { offset: 0, bytes: payloadBytes, payload, crcs },
    passedOn: chain.length === 1 ? undefined : header.subarray(0, receiverAt),
  };
}

/** From the receiver on; `receiverAt`: where its entry begins. */
function readChain(header: Uint8Array, view: DataView, chainAt: number): { chain: WholeMember[]; receiverAt: number } {
  const chain: WholeMember[] = [];
  let receiverAt = chainAt;
  for (let at = chainAt; at < header.length;) {
    if (at + memberBytes > header.length) refuse("its chain is cut off");
    const end = at + memberBytes + view.getUint16(at + 16, true);
    if (end > header.length || end - at - memberBytes > addressBytesMax) refuse("its chain is cut off");
    const data = fromUtf8(header.subarray(at + memberBytes, end));
    if (data === undefined || data === "") refuse("an address in its chain is not valid");
    chain.push({ volume: volumeIdOf(header.subarray(at, at + 16)), data });
    receiverAt = at;
    at = end;
  }
  if (chain.length === 0 || chain.length > protocol.replicasMax) refuse(`a chain of ${chain.length}`);
  return { chain: chain.reverse(), receiverAt };
}

export interface WholeDone {
  readonly length: number;
  readonly crc: number;
  /** How many members of the chain, from the sender on, have the chunk: synced, and closed. */
  readonly volumes: number;
}

export function encodeWholeDone({ length, crc, volumes }: WholeDone): Uint8Array {
  const header = new Uint8Array(9);
  putUint32(header, 0, length);
  putUint32(header, 4, crc);
  header[8] = volumes;
  return header;
}

/** @throws GfsError("ProtocolError") */
export function decodeWholeDone({ type, header }: Frame): WholeDone {
  if (type !== "wholeDone" || header.length !== 9)
    throw new GfsError("ProtocolError", `Cannot read a ${type} frame as the answer to a writeWhole`);
  const view = viewOf(header);
  return { length: view.getUint32(0, true), crc: view.getUint32(4, true), volumes: view.getUint8(8) };
}
