/**
 * Entries of a chunkserver's volume log (DESIGN §4.7, docs/DISK-FORMAT.md): every durable fact about the replicas of one volume. Codes are for ever:
 * never renumber, never reuse. Little endian:
 *
 * | at | size | field |
 * |---|---|---|
 * | 0 | 1 | code |
 * | 1 | 3 | zero |
 * | 4 | 4 | header length H |
 * | 8 | H | header: fixed fields for `appended` and `promised`, else CBOR |
 * | 8 + H | … | payload: bytes of the chunk, for `appended` and for a `closed` that carries them |
 *
 * appended: handle u64, session u64, sequence u64, offset u32, crc u32. promised: handle u64, version u32.
 */
import { z } from "zod";
import { readUint53, viewOf, writeUint53 } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";
import { protocol } from "../limits.ts";
import { decodeStoredCbor, encodeCbor } from "./cbor.ts";
import { Origin } from "./control/commands.ts";
import { AppendTable, Crc, Uint32, Uint53 } from "./control/common.ts";
import {
  ChunkHandle,
  ChunkVersion,
  Epoch,
  VolumeId,
  chunkHandle,
  chunkVersion,
  sequence,
  sessionId,
  type Sequence,
  type SessionId,
} from "./ids.ts";

const BlockCrcs = z.array(Crc).max(protocol.chunkBytesMax / 65_536);

/** An empty open replica was made, with the role that its place in the chain gave. */
const Opened = z.object({
  kind: z.literal("opened"),
  handle: ChunkHandle,
  version: ChunkVersion,
  role: z.enum(["primary", "secondary"]),
  chain: z.array(VolumeId).max(protocol.replicasMax),
  chunkBytes: Uint32,
  origin: Origin,
  appendTable: AppendTable,
});
/** A put's or clone's chunk is whole. `blocks`: CRCs of its blocks where the payload is the chunk; empty where the data file has it. */
const Closed = z.object({
  kind: z.literal("closed"),
  handle: ChunkHandle,
  version: ChunkVersion,
  length: Uint32,
  crc: Crc,
  blocks: BlockCrcs,
  origin: Origin,
});
/**
 * A fenced replica got its missing end, into its data file; `blocks` are the CRCs from the block of `from` on. `appendTable`: the append answers of all
 * `length` bytes since the chunk was opened: those that this replica did not vote for come with the bytes.
 */
const Tailed = z.object({
  kind: z.literal("tailed"),
  handle: ChunkHandle,
  version: ChunkVersion,
  from: Uint32,
  length: Uint32,
  crc: Crc,
  blocks: BlockCrcs,
  origin: Origin,
  appendTable: AppendTable,
});
/** Sealed at `version`, cut to `length`; `lastBlock`: CRC of the last block as the cut leaves it, 0 for an empty chunk. */
const Finished = z.object({
  kind: z.literal("finished"),
  handle: ChunkHandle,
  version: ChunkVersion,
  length: Uint32,
  crc: Crc,
  lastBlock: Crc,
  origin: Origin,
});
/** Moved aside; a tombstone stays. `wallSeconds`: when, since 1970. */
const Removed = z.object({ kind: z.literal("removed"), handle: ChunkHandle, wallSeconds: Uint32 });
const Corrupted = z.object({
  kind: z.literal("corrupted"),
  handle: ChunkHandle,
  reason: z.enum(["corrupt", "missing"]),
});
const EpochSeen = z.object({ kind: z.literal("epoch-seen"), epoch: Epoch, highestHandle: Uint53 });

const InCbor = z.discriminatedUnion("kind", [Opened, Closed, Tailed, Finished, Removed, Corrupted, EpochSeen]);
export type RareVolumeRecord = z.infer<typeof InCbor>;

/** One record of an open replica was prepared. */
export interface AppendedRecord {
  readonly kind: "appended";
  readonly handle: ChunkHandle;
  readonly session: SessionId;
  readonly sequence: Sequence;
  /** In the chunk. */
  readonly offset: number;
  readonly crc: number;
}

/** A fence: nothing below `version` is accepted any more; a chunk that was not here became an empty fenced replica. */
export interface PromisedRecord {
  readonly kind: "promised";
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
}

export type VolumeRecord = AppendedRecord | PromisedRecord | RareVolumeRecord;

const codes = {
  appended: 1,
  promised: 2,
  opened: 3,
  closed: 4,
  tailed: 5,
  finished: 6,
  removed: 7,
  corrupted: 8,
  "epoch-seen": 9,
} as const satisfies Record<VolumeRecord["kind"], number>;

const kindOfCode = new Map<number, string>(Object.entries(codes).map(([kind, code]) => [code, kind]));

const prefixBytes = 8;
export const appendedHeaderBytes = prefixBytes + 32;

function prefix(code: number, headerBytes: number): Uint8Array {
  const bytes = new Uint8Array(prefixBytes + headerBytes);
  bytes[0] = code;
  viewOf(bytes).setUint32(4, headerBytes, true);
  return bytes;
}

/** Everything before the payload. */
export function encodeVolumeRecord(record: VolumeRecord): Uint8Array {
  if (record.kind === "appended") {
    const bytes = prefix(codes.appended, appendedHeaderBytes - prefixBytes);
    const view = viewOf(bytes);
    writeUint53(view, 8, record.handle);
    writeUint53(view, 16, record.session);
    writeUint53(view, 24, record.sequence);
    view.setUint32(32, record.offset, true);
    view.setUint32(36, record.crc, true);
    return bytes;
  }
  if (record.kind === "promised") {
    const bytes = prefix(codes.promised, 12);
    const view = viewOf(bytes);
    writeUint53(view, 8, record.handle);
    view.setUint32(16, record.version, true);
    return bytes;
  }
  const body = encodeCbor(record);
  const bytes = prefix(codes[record.kind], body.length);
  bytes.set(body, prefixBytes);
  return bytes;
}

export interface DecodedVolumeRecord {
  readonly record: VolumeRecord;
  /** Where the payload begins in the entry; it reaches to the entry's end. */
  readonly payloadAt: number;
}

function refuse(why: string): never {
  throw new GfsError("Corrupt", `Cannot read a record of the volume log: ${why}`);
}

/** @throws GfsError("Corrupt") for an entry that no volume can have written, FormatUnsupported for a kind that a later release may know. */
export function decodeVolumeRecord(entry: Uint8Array): DecodedVolumeRecord {
  if (entry.length < prefixBytes) refuse("it is shorter than a record's beginning");
  const view = viewOf(entry);
  const code = view.getUint8(0);
  const kind = kindOfCode.get(code);
  if (kind === undefined) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot read a record of the volume log: this release knows no code ${code}`,
    );
  }
  const payloadAt = prefixBytes + view.getUint32(4, true);
  if (payloadAt > entry.length) refuse(`a ${kind} record is cut off`);
  if (kind === "appended") {
    if (payloadAt !== appendedHeaderBytes || payloadAt === entry.length)
      refuse("an appended record has the wrong length");
    const record: AppendedRecord = {
      kind,
      handle: chunkHandle(positive(view, 8, kind)),
      session: sessionId(positive(view, 16, kind)),
      sequence: sequence(positive(view, 24, kind)),
      offset: view.getUint32(32, true),
      crc: view.getUint32(36, true),
    };
    return { record, payloadAt };
  }
  if (kind === "promised") {
    if (payloadAt !== prefixBytes + 12) refuse("a promised record has the wrong length");
    const handle = chunkHandle(positive(view, 8, kind));
    return { record: { kind, handle, version: chunkVersion(view.getUint32(16, true)) }, payloadAt };
  }
  const parsed = InCbor.safeParse(
    decodeStoredCbor(entry.subarray(prefixBytes, payloadAt), "a record of the volume log"),
  );
  if (!parsed.success) refuse(`a ${kind} record has a wrong ${parsed.error.issues[0]?.path.join(".") ?? "field"}`);
  if (parsed.data.kind !== kind) refuse(`a ${kind} record says that it is ${parsed.data.kind}`);
  return { record: parsed.data, payloadAt };
}

function positive(view: DataView, at: number, kind: string): number {
  const value = readUint53(view, at);
  return value === undefined || value === 0 ? refuse(`a ${kind} record has a number out of range`) : value;
}
