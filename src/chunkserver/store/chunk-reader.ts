/** Verified reads: every block that goes out, or lies under what goes out, was compared with its stored CRC first (P5). */
import { GfsError, hasCode } from "../../base/errors.ts";
import { crc32 } from "../../base/checksum.ts";
import { DiskError } from "../../io.ts";
import { blockBytes, protocol } from "../../limits.ts";
import type { BlockRun } from "../../wire/data/blocks.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import type { Ground } from "./ground.ts";
import { activeBytes, type BufferOf, markBad, type ReplicaBytes, sealedBytes } from "./replica-bytes.ts";
import type { ReadOptions } from "./store.ts";

const runBytesMax = protocol.dataFrameBytesMax;
/** Reads in flight: one is sent while the next comes from the disk. */
const aheadMax = 2;

/** Buffers that are filled one after the other, and again when none can be in use; made when first needed, as large as their run. */
class RunBuffers {
  readonly #buffers: Uint8Array[] = [];
  readonly #count: number;

  constructor(runsKept: number) {
    this.#count = runsKept + aheadMax;
  }

  /** For run number `index`, of at most `bytes` bytes. */
  at(index: number, bytes: number): Uint8Array {
    const slot = index % this.#count;
    const kept = this.#buffers[slot];
    if (kept !== undefined && kept.length >= bytes) return kept;
    const made = new Uint8Array(bytes);
    this.#buffers[slot] = made;
    return made;
  }
}

/** Runs of [offset, offset + length), cut where a run's bytes end on a block border. */
function runsOf(offset: number, length: number): { readonly from: number; readonly to: number }[] {
  const runs: { from: number; to: number }[] = [];
  const end = offset + length;
  for (let from = offset; from < end;) {
    const firstBlock = Math.floor(from / blockBytes) * blockBytes;
    const to = Math.min(end, firstBlock + runBytesMax);
    runs.push({ from, to });
    from = to;
  }
  return runs;
}

async function readRun(
  bytes: ReplicaBytes,
  { from, to }: { readonly from: number; readonly to: number },
  buffer: BufferOf | undefined,
): Promise<BlockRun> {
  const start = Math.floor(from / blockBytes) * blockBytes;
  const end = Math.min(bytes.length, Math.ceil(to / blockBytes) * blockBytes);
  const blocks = await bytes.readBlocks(start, end, buffer);
  const crcs: number[] = [];
  for (let at = start; at < to; at += blockBytes) {
    const first = Math.max(at, from);
    const last = Math.min(at + blockBytes, to);
    const whole = first === at && last === Math.min(at + blockBytes, bytes.length);
    crcs.push(whole ? bytes.blockCrc(at / blockBytes) : crc32(blocks.subarray(first - start, last - start)));
  }
  return { offset: from, bytes: to - from, payload: [blocks.subarray(from - start, to - start)], crcs };
}

async function* pipelined(bytes: ReplicaBytes, options: ReadOptions): AsyncIterableIterator<BlockRun> {
  const runs = runsOf(options.offset, options.length);
  const buffers = options.runsKept === undefined ? undefined : new RunBuffers(options.runsKept);
  const ahead: Promise<BlockRun>[] = [];
  let next = 0;
  try {
    while (next < runs.length || ahead.length > 0) {
      if (options.signal?.aborted === true) throw new GfsError("Interrupted", "Cannot read on: the reader went away");
      for (let run = runs[next]; run !== undefined && ahead.length < aheadMax; run = runs[next]) {
        const index = next++;
        const reading = readRun(bytes, run, buffers && ((count) => buffers.at(index, count)));
        // Awaited below; until then its failure must not count as unhandled.
        reading.catch(() => undefined);
        ahead.push(reading);
      }
      const first = ahead.shift();
      if (first !== undefined) yield await first;
    }
  } finally {
    await Promise.allSettled(ahead);
  }
}

function checkRange(handle: ChunkHandle, length: number, { offset, length: wanted }: ReadOptions): void {
  if (offset + wanted <= length) return;
  throw new GfsError(
    "RangeInvalid",
    `Cannot read bytes ${offset} to ${offset + wanted} of chunk ${handle}: this replica has ${length}`,
  );
}

/** Contract: Store.read. A retired volume still serves what is durable and verified: it may be the last source for repair. */
export async function* readReplica(
  ground: Ground,
  handle: ChunkHandle,
  options: ReadOptions,
): AsyncIterableIterator<BlockRun> {
  const begun = ground.state.table.get(handle)?.dataVersion;
  try {
    const active = ground.state.active.get(handle);
    if (active !== undefined) {
      const bytes = activeBytes(ground, active);
      checkRange(handle, bytes.length, options);
      yield* pipelined(bytes, options);
      return;
    }
    const row = ground.state.table.get(handle);
    if (row === undefined || row.state === "removed") {
      throw new GfsError("ReplicaMissing", `Cannot read chunk ${handle}: this volume has no replica of it`);
    }
    if (row.state === "corrupt") throw new GfsError("Corrupt", `Cannot read chunk ${handle}: this replica is corrupt`);
    checkRange(handle, row.length, options);
    if (options.length === 0) return;
    yield* lent(ground, handle, options);
  } catch (error) {
    // Another replica has taken its place meanwhile: what was read of the one before says nothing about it.
    if (hasCode(error, "Corrupt") && ground.state.table.get(handle)?.dataVersion !== begun) throw error;
    throw readFailure(ground, handle, error);
  }
}

/** The data file is lent for as long as the runs are taken. */
async function* lent(ground: Ground, handle: ChunkHandle, options: ReadOptions): AsyncIterableIterator<BlockRun> {
  const row = ground.state.table.get(handle);
  if (row === undefined) return;
  const loan = await ground.files.borrow(row);
  try {
    yield* pipelined(sealedBytes(row, loan.sealed), options);
  } finally {
    loan.giveBack();
  }
}

/** What a failed read says about the replica, or about the disk. */
export function readFailure(ground: Ground, handle: ChunkHandle, error: unknown): unknown {
  if (error instanceof DiskError && (error.kind === "missing" || error.kind === "kind")) {
    // A replica that was moved aside under the reader is not damaged.
    markBad(ground, handle, "missing");
    return new GfsError("ReplicaMissing", `Cannot read chunk ${handle}: ${error.message}`, { cause: error });
  }
  if (hasCode(error, "Corrupt")) {
    markBad(ground, handle, "corrupt");
    return error;
  }
  return ground.retirement.translate(`read chunk ${handle}`, error);
}
