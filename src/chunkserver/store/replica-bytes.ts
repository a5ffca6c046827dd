/** Bytes of a replica, from wherever they lie now, with the CRCs that they must have. */
import { assert } from "../../base/assert.ts";
import { crc32 } from "../../base/checksum.ts";
import { GfsError } from "../../base/errors.ts";
import type { DiskFile } from "../../io.ts";
import { blockBytes } from "../../limits.ts";
import { chunkHandle, chunkVersion } from "../../wire/ids.ts";
import type { ActiveReplica } from "./active-replica.ts";
import type { Ground } from "./ground.ts";
import type { SealedFile } from "./data-files.ts";
import type { Row } from "./replica-table.ts";

/** As the system has it, or what the medium has (io.ts, `OpenMode`). */
export type ReadMode = "read" | "medium";

/** Longest piece of log that is read at once. */
const spanBytesMax = 1_048_576;

/** Fills `into` from `offset` on. @throws GfsError Corrupt where the file ends before */
async function readWhole(file: DiskFile, into: Uint8Array, offset: number): Promise<void> {
  const read = await file.read(into, offset);
  if (read < into.length) {
    throw new GfsError(
      "Corrupt",
      `Cannot read ${into.length} bytes of ${file.path} at byte ${offset}: it ends after ${read} of them`,
    );
  }
}

/**
 * [from, to) of an active replica, unverified: first the part in the data file, then the part in the log.
 *
 * @throws GfsError Corrupt | DiskFailed, DiskError
 */
export async function readActive(
  ground: Ground,
  active: ActiveReplica,
  { from, to, mode }: { readonly from: number; readonly to: number; readonly mode: ReadMode },
): Promise<Uint8Array> {
  assert(to <= active.sums.length, "bytes that are not durable are not read");
  const into = new Uint8Array(to - from);
  // Both places are taken down before the first wait: bytes may move from the log to the file meanwhile, and the log keeps what is being read.
  const inFile = Math.max(from, Math.min(to, active.fileBytes));
  const spans = inFile < to ? active.log.spans(inFile, to, spanBytesMax) : [];
  let at = inFile - from;
  const reads = spans.map(async (span) => {
    const start = at;
    at += span.parts.reduce((sum, part) => sum + part.bytes, 0);
    const bytes = await ground.log.read({ segment: span.segment, offset: span.offset, bytes: span.bytes }, mode);
    let done = start;
    for (const part of span.parts) {
      into.set(bytes.subarray(part.at, part.at + part.bytes), done);
      done += part.bytes;
    }
  });
  const file =
    inFile > from ? readFile(ground.files.open(active.handle, mode), into.subarray(0, inFile - from), from) : undefined;
  const settled = await Promise.allSettled(file === undefined ? reads : [...reads, file]);
  for (const one of settled) if (one.status === "rejected") throw one.reason;
  return into;
}

async function readFile(opening: Promise<DiskFile>, into: Uint8Array, offset: number): Promise<void> {
  const file = await opening;
  try {
    await readWhole(file, into, offset);
  } finally {
    await file.close();
  }
}

/** Lends room for at least so many bytes. */
export type BufferOf = (bytes: number) => Uint8Array;

/** What can be read of a replica, and how it is checked. */
export interface ReplicaBytes {
  readonly length: number;
  /**
   * Blocks from the one of `from` (a block border) to the one before `to` (a border, or the length), verified. They may lie in a buffer that is lent.
   * @throws GfsError Corrupt
   */
  readBlocks(from: number, to: number, buffer?: BufferOf): Promise<Uint8Array>;
  /** CRC of all bytes that there are of the block. */
  blockCrc(index: number): number;
}

export function activeBytes(ground: Ground, active: ActiveReplica, mode: ReadMode = "read"): ReplicaBytes {
  // Later records change only what lies behind this length.
  const { length } = active.sums;
  const lastBlock = Math.floor(length / blockBytes);
  const lastCrc = length % blockBytes === 0 ? 0 : active.sums.block(lastBlock);
  const blockCrc = (index: number): number => (index === lastBlock ? lastCrc : active.sums.block(index));
  return {
    length,
    blockCrc,
    readBlocks: async (from, to) => {
      const bytes = await readActive(ground, active, { from, to, mode });
      checkBlocks(bytes, from, { handle: active.handle, blockCrc });
      return bytes;
    },
  };
}

export function sealedBytes(row: Row, { file, blocks }: SealedFile): ReplicaBytes {
  const blockCrc = (index: number): number => blocks[index] ?? 0;
  return {
    length: row.length,
    blockCrc,
    readBlocks: async (from, to, buffer) => {
      const bytes = buffer === undefined ? new Uint8Array(to - from) : buffer(to - from).subarray(0, to - from);
      await readWhole(file, bytes, from);
      checkBlocks(bytes, from, { handle: row.handle, blockCrc });
      return bytes;
    },
  };
}

function checkBlocks(
  bytes: Uint8Array,
  from: number,
  expected: { readonly handle: number; readonly blockCrc: (index: number) => number },
): void {
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const index = (from + at) / blockBytes;
    if (crc32(bytes.subarray(at, at + blockBytes)) !== expected.blockCrc(index)) {
      throw new GfsError("Corrupt", `Cannot read block ${index} of chunk ${expected.handle}: its checksum is wrong`);
    }
  }
}

/** Takes a replica out of service that was found bad, and remembers to report it. Returns at once; the record follows. */
export function markBad(ground: Ground, handle: number, reason: "corrupt" | "missing"): void {
  const { state, bad, log, retirement, world } = ground;
  const row = state.table.get(handle);
  const active = state.active.get(handle);
  if (row === undefined || row.state === "removed" || row.state === "corrupt" || active?.stopped === true) return;
  if (retirement.reason !== undefined || log.stopped) return;
  if (active !== undefined) active.stopped = true;
  const version = active?.dataVersion ?? row.dataVersion;
  bad.set(handle, { handle: chunkHandle(handle), version: chunkVersion(version), reason });
  world.events.emit("error", "replica.bad", { handle, version, reason });
  state.markCorrupt(chunkHandle(handle));
  log.write({ kind: "corrupted", handle: chunkHandle(handle), reason });
}
