/**
 * A master's directory for volumes whose master is lost with all copies of its metadata (DESIGN §4.7): their chunks as files, by what the trailers tell. It is a log as a master would have
 * written it, so that the next start serves it; and it is marked as rebuilt, so that nothing is changed or deleted before an operator has looked at it and confirms.
 */
import { GfsError } from "../base/errors.ts";
import type { World } from "../io.ts";
import { type Limits, protocol } from "../limits.ts";
import { makeDurableDirectory } from "../log/durable-directory.ts";
import { openLog } from "../log/open-log.ts";
import { diskFailed } from "../log/survey.ts";
import {
  chunkHandle,
  chunkVersion,
  type ClusterId,
  type DraftId,
  draftId,
  type InodeId,
  sessionId,
  type VolumeId,
} from "../wire/ids.ts";
import type { LogRecord, PublishedChunk } from "../wire/log-records.ts";
import { parsePath } from "../wire/path.ts";
import { SalvagedInodes } from "./core/salvage-inodes.ts";
import { applyBatch } from "./core/apply.ts";
import { makeFile } from "./core/decide-files.ts";
import { resolve } from "./core/namespace.ts";
import type { FoundChunk } from "./core/salvage-chunks.ts";
import type { SalvagedFile } from "./core/salvage-plan.ts";
import { type MasterState, newMasterState } from "./core/state.ts";
import { foldersOf, markRestored } from "./data-directory.ts";
import { encodeEntry } from "./log-batches.ts";
import { operationLogName } from "./operation-log.ts";

export interface SalvageInput {
  readonly clusterId: ClusterId;
  /** Number of the newest start of a master that any volume obeyed. */
  readonly epoch: number;
  /** The highest handle that any volume has heard of. */
  readonly highestHandle: number;
  /** Numbers of inodes that any replica names. */
  readonly inodes: ReadonlySet<number>;
  /** By their index in `members` of chunks. */
  readonly volumes: readonly { readonly volume: VolumeId; readonly label: string }[];
  readonly files: readonly SalvagedFile[];
  /** For people: what it was made from. */
  readonly source: string;
}

type SalvageWorld = Pick<World, "disk" | "clock" | "random" | "events">;
const session = sessionId(1);
/** Records of one entry of the log. */
const chunksAtOnce = 1_024;
const inodesAtOnce = 65_536;

/** Whether a file may have this path. */
export function isFilePath(path: string): boolean {
  try {
    return parsePath(path).length > 0;
  } catch {
    return false;
  }
}

/**
 * Writes the log of a directory that holds nothing yet, and its identity last.
 *
 * @returns the last entry of the log
 * @throws GfsError("Exists") for one that is not empty, GfsError("DiskFailed")
 */
export async function writeSalvage(
  world: SalvageWorld,
  dataDir: string,
  { input, limits }: { readonly input: SalvageInput; readonly limits: Limits },
): Promise<number> {
  const { disk } = world;
  const { clusterId } = input;
  try {
    await makeDurableDirectory(disk, dataDir);
    await using _held = await disk.lock(dataDir);
    const other = (await disk.list(dataDir)).find((name) => !["lock", "lost+found"].includes(name));
    if (other !== undefined) throw new GfsError("Exists", `Cannot salvage to ${dataDir}: it is not empty (${other})`);
    const { logPath, checkpointPath } = foldersOf(dataDir);
    await makeDurableDirectory(disk, checkpointPath);
    const state = newMasterState(limits);
    const log = await openLog(
      world,
      {
        directories: [logPath],
        name: operationLogName,
        id: clusterId,
        segmentBytes: limits.logSegmentBytes,
        after: 0,
      },
      () => undefined,
    );
    let queued = 0;
    try {
      for (const records of batchesOf(state, input, world.clock.wallMs())) {
        const batch = { clusterMs: 0, records };
        applyBatch(state, batch);
        const position = log.append([encodeEntry(batch)]);
        // Memory stays bounded.
        if (++queued % 64 === 0) await log.durable(position);
      }
      await log.durable(log.lastPosition);
    } finally {
      await log.close();
    }
    const position = log.lastPosition;
    const restored = { position, source: input.source.slice(0, 1_024), epoch: input.epoch };
    const directoryId = world.random.bytes(8).toHex();
    await markRestored(disk, { path: dataDir, clusterId, directoryId, restored });
    return position;
  } catch (error) {
    throw diskFailed(`salvage to ${dataDir}`, error);
  }
}

/** Each made when those before it are applied. */
function* batchesOf(state: MasterState, input: SalvageInput, wallMs: number): Generator<LogRecord[]> {
  const { clusterId, volumes, highestHandle, files } = input;
  const numbers = new SalvagedInodes(input.inodes);
  yield [
    { kind: "cluster-created", clusterId },
    ...volumes.map(({ volume, label }, index): LogRecord => ({ kind: "volume-added", index, volume, label })),
    { kind: "handles-reserved", upTo: highestHandle },
    { kind: "session-opened", session, label: "salvage" },
  ];
  const passed = numbers.passed(files);
  for (let at = 0; at < passed.length; at += inodesAtOnce)
    yield [{ kind: "inodes-reserved", inodes: passed.slice(at, at + inodesAtOnce) }];
  let number = 0;
  for (const file of files) {
    const { missing } = resolve(state.inodes, file.path, "salvage");
    yield [{ kind: "inodes-reserved", inodes: numbers.take(file, missing) }];
    yield* batchesOfFile(state, file, { draft: draftId(++number), wallMs });
  }
  yield [{ kind: "session-closed", session }];
}

function* batchesOfFile(
  state: MasterState,
  { path, run }: SalvagedFile,
  { draft, wallMs }: { readonly draft: DraftId; readonly wallMs: number },
): Generator<LogRecord[]> {
  const { replicas, chunkBytes } = state.limits;
  const now = { clusterMs: 0, wallMs };
  const made = makeFile(state, resolve(state.inodes, path, "salvage"), { what: "salvage", replicas, now });
  const { inode } = made;
  yield made.records;
  const sealed = run.chunks.filter((chunk) => chunk.sealed);
  for (let at = 0; at < sealed.length; at += protocol.commitChunksMax) {
    const part = sealed.slice(at, at + protocol.commitChunksMax);
    const target = { kind: "append", inode } as const;
    yield [{ kind: "draft-created", draft, session, target, replicas, chunkBytes }];
    for (let i = 0; i < part.length; i += chunksAtOnce)
      yield part.slice(i, i + chunksAtOnce).map(({ handle, version, members }): LogRecord => ({
        kind: "draft-chunk-added",
        draft,
        handle: chunkHandle(handle),
        version: chunkVersion(version),
        members: [...members],
      }));
    yield [
      { kind: "file-spliced", draft, inode, chunks: part.map(published), modifiedMs: wallMs },
      { kind: "draft-ended", draft, reason: "committed" },
    ];
  }
  const tail = run.chunks.find((chunk) => !chunk.sealed);
  if (tail !== undefined) yield [tailOf(inode, tail)];
}

function published({ handle, version, length, crc, members }: FoundChunk): PublishedChunk {
  return { handle: chunkHandle(handle), version: chunkVersion(version), length, crc, members: [...members] };
}

/** It is sealed once the master runs and its members have told what they have. */
function tailOf(inode: InodeId, { handle, version, members }: FoundChunk): LogRecord {
  return {
    kind: "tail-opened",
    inode,
    handle: chunkHandle(handle),
    version: chunkVersion(version),
    members: [...members],
  };
}
