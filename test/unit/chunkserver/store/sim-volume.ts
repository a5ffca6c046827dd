/** A store on a simulated disk, and data to put in it. */
import { defaultLimits, type Limits } from "../../../../src/limits.ts";
import { crc32 } from "../../../../src/base/checksum.ts";
import { GfsError } from "../../../../src/base/errors.ts";
import type { World } from "../../../../src/io.ts";
import type { Origin } from "../../../../src/wire/control/commands.ts";
import { type BlockRun, partCrcs } from "../../../../src/wire/data/blocks.ts";
import { chunkHandle, chunkVersion, inodeId, sequence, sessionId } from "../../../../src/wire/ids.ts";
import { openStore } from "../../../../src/chunkserver/store/open-store.ts";
import type { RecordToAppend, Store, StoreOptions, WriteOptions } from "../../../../src/chunkserver/store/store.ts";
import { Simulation } from "../../../sim/world/simulation.ts";
import type { Machine } from "../../../sim/world/machine.ts";

export const directory = "/disk/volume";

/** Small enough that a test fills them. */
export const smallLimits: Limits = {
  ...defaultLimits,
  smallChunkBytesMax: 20_000,
  logSegmentBytes: 256 * 1024,
  volumeLogBytesMax: 1024 * 1024,
  deleteGraceMs: 10_000,
  fullShare: 1,
};

export function optionsOf(changes: Partial<StoreOptions> = {}): StoreOptions {
  return { directory, limits: smallLimits, reserveBytes: 0, ...changes };
}

export const origin: Origin = { inode: inodeId(7), path: "/a/file", fileOffset: 1_000 };

/** Bytes that tell their place, so that no two ranges look alike. */
export function content(bytes: number, seed = 1): Uint8Array {
  const data = new Uint8Array(bytes);
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

export function runOf(data: Uint8Array, offset: number, bytes: number): BlockRun {
  const payload = [data.subarray(offset, offset + bytes)];
  return { offset, bytes, payload, crcs: partCrcs(offset, payload) };
}

export function writeOptions(handle: number, changes: Partial<WriteOptions> = {}): WriteOptions {
  return {
    handle: chunkHandle(handle),
    version: chunkVersion(1),
    chunkBytes: 64_000_000,
    origin,
    purpose: "put",
    ...changes,
  };
}

/** Puts a whole chunk, in runs of `runBytes`. */
export async function putChunk(
  store: Store,
  options: WriteOptions,
  data: Uint8Array,
  runBytes = 100_000,
): Promise<void> {
  const writer = await store.beginWrite(options);
  for (let at = 0; at < data.length; at += runBytes)
    await writer.write(runOf(data, at, Math.min(runBytes, data.length - at)));
  await writer.close(data.length, crc32(data));
}

export function openOptions(handle: number, version = 1): Parameters<Store["openReplica"]>[0] {
  return {
    handle: chunkHandle(handle),
    version: chunkVersion(version),
    role: "primary",
    chain: [],
    chunkBytes: 1_000_000,
    origin,
    appendTable: [],
  };
}

/** The n-th record (from 1) of session 5, at `offset` of the chunk. */
export function recordOf(
  handle: number,
  n: number,
  at: { readonly offset: number; readonly data: Uint8Array },
): RecordToAppend {
  return {
    handle: chunkHandle(handle),
    version: chunkVersion(1),
    session: sessionId(5),
    sequence: sequence(n),
    offset: at.offset,
    crc: crc32(at.data),
    payload: [at.data],
    bytes: at.data.length,
  };
}

export async function readAll(
  store: Store,
  handle: number,
  range?: { readonly offset: number; readonly length: number },
): Promise<Uint8Array> {
  const replica = store.replica(chunkHandle(handle));
  const { offset, length } = range ?? { offset: 0, length: replica?.length ?? 0 };
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const run of store.read(chunkHandle(handle), { offset, length })) {
    if (run.offset !== offset + at) throw new Error(`a run at ${run.offset}, not ${offset + at}`);
    const crcs = partCrcs(run.offset, run.payload);
    if (JSON.stringify(crcs) !== JSON.stringify(run.crcs)) throw new Error("a run's checksums are not of its bytes");
    for (const piece of run.payload) {
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  if (at !== length) throw new Error(`${at} bytes came, not ${length}`);
  return bytes;
}

export interface SimVolume {
  readonly simulation: Simulation;
  readonly machine: Machine;
  /** Runs code with an open store in the machine's process. */
  with<T>(code: (store: Store, world: World) => Promise<T>, options?: Partial<StoreOptions>): T;
}

export function simVolume(seed = 1, capacityBytes?: number): SimVolume {
  const simulation = new Simulation(seed);
  const machine = simulation.machine("disk", capacityBytes === undefined ? {} : { capacityBytes });
  return {
    simulation,
    machine,
    with: (code, options) =>
      simulation.do(machine, async (world) => {
        const store = await openStore(world, optionsOf(options));
        try {
          return await code(store, world);
        } finally {
          await store.close();
        }
      }),
  };
}

/** The code that a call is refused with. (`expect().rejects` would wait outside of virtual time.) */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "no refusal";
  } catch (error) {
    return error instanceof GfsError ? error.code : String(error);
  }
}
