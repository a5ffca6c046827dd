/**
 * One volume on one disk, as the rest of a chunkserver sees it (DESIGN §3, §4.3, §4.7): identity, durable replica states, appends through
 * the volume log, put streams, verified reads. Made by `openStore` of `open-store.ts`.
 *
 * What each operation says is durable is synced on this disk when its promise resolves. A failed sync retires the volume: from then on
 * every operation that would promise anything throws VolumeRetired, and nothing is ever reported beyond the last good sync.
 */
import type { Limits } from "../../limits.ts";
import type { ReplicaReport, ReplicaState, VolumeSpace } from "../../wire/control/chunkservers.ts";
import type { Origin } from "../../wire/control/commands.ts";
import type { AppendTable } from "../../wire/control/common.ts";
import type { BlockRun } from "../../wire/data/blocks.ts";
import type { ChunkHandle, ChunkVersion, ClusterId, Epoch, Sequence, SessionId, VolumeId } from "../../wire/ids.ts";
import type { ScrubRound } from "../core/scrub-round.ts";
import type { MetadataFolder } from "./metadata-folder.ts";

export interface StoreOptions {
  /** Absolute; made when missing. Not empty and without an identity file: refused. */
  readonly directory: string;
  readonly limits: Limits;
  /** The most that replicas may take, in bytes; without it, what the disk has. */
  readonly spaceLimitBytes?: number | undefined;
  /** Free bytes of the disk that are never given to replicas. */
  readonly reserveBytes: number;
}

/** Grows with each thing queued to the volume log: what `append` returned is durable when `durable(position)` resolves. */
export type StorePosition = number;

/** One replica, at this moment. The object does not follow later changes. */
export interface Replica {
  readonly handle: ChunkHandle;
  /** Anything lower is refused. Rises at once when a fence comes in, before its answer is durable: look again before a vote. */
  readonly promisedVersion: ChunkVersion;
  /** What its bytes are; 0 before there are any. An open replica: the version it was opened at. */
  readonly dataVersion: ChunkVersion;
  readonly state: ReplicaState;
  /** Durable bytes. Open and fenced: the durable prepared length. Writing: 0. */
  readonly length: number;
  /** CRC-32 of the durable bytes. */
  readonly crc: number;
  /** Bytes accepted, with those whose sync is still to come; the next record's offset. Equal to `length` unless open. */
  readonly accepted: number;
  /** Most bytes that it may grow to; undefined where it can't grow. */
  readonly chunkBytes: number | undefined;
  /** Undefined for a replica whose chunk's owner was never told (an empty fenced one) and for sealed ones (`origin(handle)` reads the trailer). */
  readonly origin: Origin | undefined;
  /** True for an open one that this start of the process did not open: its role is lost, it takes no appends. */
  readonly inherited: boolean;
}

export interface WholeOptions {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly origin: Origin;
}

export interface WriteOptions extends WholeOptions {
  readonly chunkBytes: number;
  /** Length, where it is known: refuses early what can't fit, and keeps a small chunk in the log. */
  readonly bytes?: number | undefined;
  /** A clone may take the place of what is stale, corrupt, fenced at no higher version, or removed; a put may not. */
  readonly purpose: "put" | "clone";
}

/** One stream of bytes into a new replica. Exactly one of `close` and `abort` ends it. */
export interface ChunkWriter {
  readonly handle: ChunkHandle;
  /** Bytes taken so far. */
  readonly length: number;
  /** CRC-32 of the bytes taken so far. */
  readonly crc: number;
  /**
   * Takes the next run (`run.offset` = `length`; its CRCs were verified by the decoder). Resolves when the next may come: writes run behind, a
   * bounded number of bytes. The pieces must not be changed afterwards.
   * @throws GfsError NoSpace | ChunkFull | VersionStale (fenced meanwhile) | VolumeRetired | ProtocolError (out of order)
   */
  write(run: BlockRun): Promise<void>;
  /**
   * Syncs the bytes, then the record that makes them count. When it resolves the replica is sealed at the writer's version, durably.
   * @throws GfsError Corrupt where length or CRC are not those of the bytes taken; nothing is kept then.
   */
  close(length: number, crc: number): Promise<void>;
  /** Gives the space back. Idempotent; nothing to do after a failure or `close`. */
  abort(): Promise<void>;
}

export interface OpenOptions {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly role: "primary" | "secondary";
  /** Volumes of the chain, head first. */
  readonly chain: readonly VolumeId[];
  readonly chunkBytes: number;
  readonly origin: Origin;
  /** Handed on from the inode's tail before. */
  readonly appendTable: AppendTable;
}

export interface RecordToAppend {
  readonly handle: ChunkHandle;
  /** The chain's version of the chunk. */
  readonly version: ChunkVersion;
  readonly session: SessionId;
  readonly sequence: Sequence;
  /** In the chunk; must be the replica's `accepted`. */
  readonly offset: number;
  /** Of the whole record, checked against the payload by the decoder. */
  readonly crc: number;
  /** At least one byte in all; must not be changed until the position is durable. */
  readonly payload: readonly Uint8Array[];
  readonly bytes: number;
}

/** Answer to a fence, durable when it is returned. */
export type PromiseAnswer =
  | {
      readonly kind: "fenced";
      readonly prepared: number;
      readonly crc: number;
      readonly dataVersion: ChunkVersion;
      readonly appendTable: AppendTable;
    }
  | { readonly kind: "refused"; readonly promised: ChunkVersion }
  | { readonly kind: "sealed"; readonly dataVersion: ChunkVersion; readonly length: number; readonly crc: number };

export interface TailOptions {
  readonly handle: ChunkHandle;
  /** The fence's. */
  readonly version: ChunkVersion;
  /** The replica's length after it. */
  readonly length: number;
  /** Of the first `length` bytes. */
  readonly crc: number;
  readonly origin: Origin;
}

export interface MissingTailOptions extends TailOptions {
  /** The append answers of exactly `length` bytes, since the chunk was opened. */
  readonly appendTable: AppendTable;
}

/** Copies the missing end into a fenced replica. */
export interface TailWriter {
  /** The replica's length now: the first byte that is wanted; equal to `TailOptions.length` when nothing is. */
  readonly from: number;
  /** As ChunkWriter.write, from `from` on. */
  write(run: BlockRun): Promise<void>;
  /** Durable when it resolves; the replica stays fenced. @throws GfsError Corrupt where length or CRC differ from the wanted; the replica is as before then. */
  close(): Promise<void>;
  abort(): Promise<void>;
}

export interface ReadOptions {
  readonly offset: number;
  /** Not beyond the replica's `length`: the caller bounds it by what is committed. */
  readonly length: number;
  /** The caller uses only the last so many runs that it was given: the memory of older ones is used again. Where left out, each has its own. */
  readonly runsKept?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** missing: it is not here, or its file is not. */
export type Verdict = "healthy" | "corrupt" | "missing";

export interface VerifyOptions {
  /** Awaited before each piece of at most 1 MiB is read. */
  readonly pace?: ((bytes: number) => Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface BadReplica {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly reason: "corrupt" | "missing";
}

export interface Store extends AsyncDisposable {
  readonly volume: VolumeId;
  /** Undefined until `adopt`. */
  readonly clusterId: ClusterId | undefined;
  /** Highest epoch of a master seen, durable. */
  readonly epoch: Epoch | undefined;
  /** Of all chunks this volume ever heard of; 0 when none. */
  readonly highestHandle: number;
  /** What it keeps of its master's metadata. */
  readonly metadata: MetadataFolder;
  /** Why the volume is retired; undefined while it is in service. */
  readonly retired: string | undefined;
  /** Calls back once when the volume retires (at once if it has); the result removes the listener. */
  onRetire(listener: (reason: string) => void): () => void;

  /** Durable. The same id again is fine. @throws GfsError WrongCluster */
  adopt(clusterId: ClusterId): Promise<void>;
  /** Takes note of a command's epoch; durable where it is new. @throws GfsError EpochStale: lower, or equal with another start id */
  seeEpoch(epoch: Epoch): Promise<void>;
  /** `freeBytes`: what may still be given to replicas; `usedBytes`: by replicas, those moved aside and not yet purged too. */
  space(): Promise<VolumeSpace>;

  /** Undefined for what is not here, also for what was moved aside. */
  replica(handle: ChunkHandle): Replica | undefined;
  /** Of any replica, reading the trailer of a sealed one. */
  origin(handle: ChunkHandle): Promise<Origin | undefined>;
  /** Number of replicas, all states. */
  readonly replicaCount: number;
  /**
   * For reports: may be paused between two for as long as the caller likes. Each replica that is here all the while comes exactly once, as it is
   * when it comes; only durable facts.
   */
  reports(): IterableIterator<ReplicaReport>;
  /** All that are writing, open or fenced. */
  live(): Replica[];

  /**
   * A new replica to stream into; not durable before `close`.
   * @throws GfsError NoSpace | VersionStale (promised higher, or removed) | ChunkClosed (is here already) | VolumeRetired
   */
  beginWrite(options: WriteOptions): Promise<ChunkWriter>;
  /**
   * A put of a chunk that is here already, all of it: as `beginWrite`, one `write` and `close`. `crc`: of the whole, checked against the run's by the decoder.
   * @throws as these
   */
  writeWhole(options: WholeOptions, run: BlockRun, crc: number): Promise<void>;

  /**
   * Makes an empty open replica, durable when it resolves; the same again (handle and version) answers "exists". One that is `inherited` is
   * refused: its role is lost.
   * @throws GfsError NoSpace | VersionStale (promised higher, or removed) | ChunkClosed (here in another state, or inherited) | VolumeRetired
   */
  openReplica(options: OpenOptions): Promise<"created" | "exists">;
  /**
   * Queues one record of an open replica; synchronous, in order. The prepare may be voted for when `durable(position)` has resolved *and* the
   * replica's promise has not risen meanwhile.
   * @throws GfsError ReplicaMissing | VersionStale | ChunkClosed | ChunkFull | NoSpace | Busy (log full: await `room()`) | Corrupt | ProtocolError (offset is not `accepted`) | VolumeRetired
   */
  append(record: RecordToAppend): StorePosition;
  /** Resolves when everything up to `position` is synced. @throws GfsError VolumeRetired, for ever after a failed sync */
  durable(position: StorePosition): Promise<void>;
  /** The promised version now, cheaply; 0 where the replica is not here. */
  promised(handle: ChunkHandle): ChunkVersion;
  /** False: the volume log is full for now; whoever appends should `await room()` before the next. */
  readonly hasRoom: boolean;
  /** Milliseconds for which nothing has become durable though something waits for it; 0 where nothing does. */
  readonly stalledMs: number;
  /** Resolves when appends are taken again. @throws GfsError NoSpace (the disk is full, so that the log can't be emptied) | VolumeRetired */
  room(): Promise<void>;
  /** Of an open or fenced replica: handed table and own records durable so far; empty for others. */
  appendTable(handle: ChunkHandle): AppendTable;

  /**
   * Durably promises to refuse anything below `version` (a fence); a chunk that was never here gets an empty fenced replica. A put stream
   * into it ends. `version` again gives the same answer. @throws GfsError Corrupt | VersionStale (removed) | VolumeRetired
   */
  promise(handle: ChunkHandle, version: ChunkVersion): Promise<PromiseAnswer>;
  /** @throws GfsError ReplicaMissing | VersionStale (not fenced at exactly `version`) | ChunkClosed (open, or sealed otherwise) | NoSpace | VolumeRetired */
  beginTail(options: MissingTailOptions): Promise<TailWriter>;
  /**
   * Truncates a fenced replica to `length`, reads it back, verifies, writes the trailer, syncs, and only then raises `dataVersion` to `version`:
   * sealed, durably. Repeating it is fine. @throws GfsError ReplicaMissing | VersionStale (promised higher) | ChunkClosed (still open, or too short: fetch the tail first) | Corrupt | NoSpace | VolumeRetired
   */
  finish(options: TailOptions): Promise<void>;

  /**
   * Bytes of a replica in runs of at most 1 MiB, read ahead by two. Every block that a run touches was compared with its stored CRC before the
   * run comes out; `crcs` are of exactly the bytes in it. A mismatch marks the replica corrupt.
   * @throws GfsError ReplicaMissing | RangeInvalid (past `length`) | Corrupt | Interrupted (by the signal)
   */
  read(handle: ChunkHandle, options: ReadOptions): AsyncIterableIterator<BlockRun>;
  /**
   * Reads every byte that the medium has of the replica, and compares. What is not healthy is in `bad()` from then on; a replica that is moved, removed or replaced meanwhile is not
   * taken for a bad one. @throws GfsError Interrupted | VolumeRetired (the disk failed) | what `pace` throws
   */
  verifyReplica(handle: ChunkHandle, options?: VerifyOptions): Promise<Verdict>;
  /** Where the scrub is, as of the last `keepScrub` or a little before; undefined where it never was anywhere. Damage is told, and no error. */
  scrub(): Promise<ScrubRound | undefined>;
  /** Durable. A full disk is no error. @throws GfsError VolumeRetired */
  keepScrub(round: ScrubRound): Promise<void>;
  /** Replicas found corrupt or missing that `forgetBad` was not told of yet: for heartbeats. */
  bad(): readonly BadReplica[];
  /** Of those that `bad` gave. One that took the place of such a replica, and was found bad in its turn, is yet to be reported. */
  forgetBad(reported: readonly BadReplica[]): void;

  /**
   * Takes a replica out of service, keeps its bytes for `limits.deleteGraceMs`, and leaves a tombstone: an `open` or put that was delayed doesn't
   * revive it. Durable when it resolves. With `below`, only where `dataVersion` is lower; what is not here, or not lower, is left as it is.
   */
  moveAside(handle: ChunkHandle, below?: ChunkVersion): Promise<void>;

  /**
   * Everything durable now goes to data files and a checkpoint, and the volume log is trimmed. It happens by itself when the log fills; this is for a
   * clean stop and for tests. @throws GfsError NoSpace | VolumeRetired
   */
  flush(): Promise<void>;
  /** Syncs what is queued, releases the lock. Idempotent. Writers and readers in progress end with Unavailable. */
  close(): Promise<void>;
}
