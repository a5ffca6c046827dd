/** The store of one volume: the contract of `store.ts` over its parts. */
import { GfsError } from "../../base/errors.ts";
import { DiskError } from "../../io.ts";
import type { ReplicaReport, VolumeSpace } from "../../wire/control/chunkservers.ts";
import type { Origin } from "../../wire/control/commands.ts";
import type { AppendTable } from "../../wire/control/common.ts";
import type { BlockRun } from "../../wire/data/blocks.ts";
import {
  chunkHandle,
  chunkVersion,
  type ChunkHandle,
  type ChunkVersion,
  type ClusterId,
  type Epoch,
  type VolumeId,
} from "../../wire/ids.ts";
import type { ScrubRound } from "../core/scrub-round.ts";
import type { ActiveReplica } from "./active-replica.ts";
import type { Aside } from "./aside.ts";
import { readFailure, readReplica } from "./chunk-reader.ts";
import type { Ground, RunningWriter } from "./ground.ts";
import { type Identity, writeIdentity } from "./identity.ts";
import { appendRecord } from "./append-record.ts";
import { beginWrite, openReplica } from "./new-replica.ts";
import { promiseVersion } from "./promise-version.ts";
import { moveAside } from "./remove-replica.ts";
import type { MetadataFolder } from "./metadata-folder.ts";
import type { Row } from "./replica-table.ts";
import { keepScrub, loadScrub } from "./scrub-place.ts";
import { finishReplica } from "./seal-replica.ts";
import type {
  BadReplica,
  ChunkWriter,
  MissingTailOptions,
  OpenOptions,
  PromiseAnswer,
  ReadOptions,
  RecordToAppend,
  Replica,
  Store,
  StorePosition,
  TailOptions,
  TailWriter,
  Verdict,
  VerifyOptions,
  WholeOptions,
  WriteOptions,
} from "./store.ts";
import { beginTail } from "./tail-writer.ts";
import { verifyReplica } from "./verify-replica.ts";
import { writeWhole } from "./whole-chunk.ts";
import type { WriteBehind } from "./write-behind.ts";

/** One key for what concerns the volume and no replica: handles begin at 1. */
const volumeKey = 0;

export interface VolumeParts {
  readonly ground: Ground;
  readonly aside: Aside;
  readonly metadata: MetadataFolder;
  readonly writeBehind: WriteBehind;
  readonly lock: AsyncDisposable;
}

export class VolumeStore implements Store {
  readonly #ground: Ground;
  readonly #parts: VolumeParts;
  #epochAsked: Epoch | undefined;
  #closing: Promise<void> | undefined;

  constructor(parts: VolumeParts) {
    this.#parts = parts;
    this.#ground = parts.ground;
    this.#epochAsked = parts.ground.state.epoch;
  }

  get volume(): VolumeId {
    return this.#ground.identity.volume;
  }

  get clusterId(): ClusterId | undefined {
    return this.#ground.identity.clusterId;
  }

  get epoch(): Epoch | undefined {
    return this.#ground.state.epoch;
  }

  get highestHandle(): number {
    return this.#ground.state.highestHandle;
  }

  get retired(): string | undefined {
    return this.#ground.retirement.reason;
  }

  get metadata(): MetadataFolder {
    return this.#parts.metadata;
  }

  get replicaCount(): number {
    return this.#ground.state.table.replicaCount + this.#ground.writers.size;
  }

  get hasRoom(): boolean {
    return this.#ground.log.hasRoom;
  }

  get stalledMs(): number {
    return this.#ground.log.stalledMs;
  }

  onRetire(listener: (reason: string) => void): () => void {
    return this.#ground.retirement.onRetire(listener);
  }

  adopt(clusterId: ClusterId): Promise<void> {
    const ground = this.#ground;
    return ground.locks.run(volumeKey, async () => {
      const mine = ground.identity.clusterId;
      if (mine === clusterId) return;
      if (mine !== undefined) {
        throw new GfsError(
          "WrongCluster",
          `Cannot serve cluster ${clusterId} from ${ground.directory}: it belongs to ${mine}`,
        );
      }
      const identity: Identity = { ...ground.identity, clusterId };
      await ground.retirement.attempt("write the identity file", () =>
        writeIdentity(ground.world.disk, ground.directory, identity),
      );
      ground.identity = identity;
    });
  }

  async seeEpoch(epoch: Epoch): Promise<void> {
    const { log, state } = this.#ground;
    const seen = this.#epochAsked;
    if (
      seen !== undefined &&
      (epoch.number < seen.number || (epoch.number === seen.number && epoch.startId !== seen.startId))
    ) {
      const why =
        epoch.number < seen.number
          ? "a later start was seen"
          : "another start has the same number: one of them runs on a copied directory";
      throw new GfsError(
        "EpochStale",
        `Cannot obey a master of epoch ${epoch.number} (${epoch.startId}): ${why}, ${seen.number} (${seen.startId})`,
      );
    }
    const durable = state.epoch;
    if (durable?.number === epoch.number && durable.startId === epoch.startId) return;
    this.#epochAsked = epoch;
    await log.commit({ kind: "epoch-seen", epoch, highestHandle: state.highestHandle });
  }

  async space(): Promise<VolumeSpace> {
    const { retirement, space } = this.#ground;
    try {
      await space.refresh();
    } catch (error) {
      // A retired volume still says what it has.
      if (!(error instanceof DiskError)) throw error;
      retirement.retire(error.message);
    }
    return space.now();
  }

  replica(handle: ChunkHandle): Replica | undefined {
    const { state, writers } = this.#ground;
    const row = state.table.get(handle);
    if (row !== undefined && row.state !== "removed") return this.#describe(row);
    const writer = writers.get(handle);
    return writer === undefined ? undefined : describeWriter(writer);
  }

  async origin(handle: ChunkHandle): Promise<Origin | undefined> {
    const { state, files } = this.#ground;
    const active = state.active.get(handle);
    if (active !== undefined) return active.origin;
    const row = state.table.get(handle);
    if (row?.state !== "sealed") return undefined;
    try {
      const loan = await files.borrow(row);
      loan.giveBack();
      return loan.sealed.trailer.origin;
    } catch (error) {
      throw readFailure(this.#ground, handle, error);
    }
  }

  *reports(): IterableIterator<ReplicaReport> {
    const { state, writers } = this.#ground;
    for (const row of state.table.rows()) {
      if (row.state === "removed") continue;
      const { handle, promisedVersion, dataVersion, length, crc, state: replicaState } = this.#describe(row);
      // Only what is durable: a promise that is on its way is no fact yet.
      const promised = state.active.get(row.handle)?.promised ?? promisedVersion;
      yield { handle, promisedVersion: promised, dataVersion, length, crc, state: replicaState };
    }
    for (const writer of writers.values()) {
      if (state.table.get(writer.handle) !== undefined) continue;
      const { handle, promisedVersion, dataVersion, length, crc, state: writing } = describeWriter(writer);
      yield { handle, promisedVersion, dataVersion, length, crc, state: writing };
    }
  }

  live(): Replica[] {
    const { state, writers } = this.#ground;
    const list = [...writers.values()].map(describeWriter);
    for (const active of state.active.values()) if (active.state !== "sealed") list.push(describeActive(active));
    return list;
  }

  beginWrite(options: WriteOptions): Promise<ChunkWriter> {
    return beginWrite(this.#ground, this.#parts.aside, options);
  }

  writeWhole(options: WholeOptions, run: BlockRun, crc: number): Promise<void> {
    return writeWhole(this.#ground, this.#parts.aside, { ...options, run, crc });
  }

  openReplica(options: OpenOptions): Promise<"created" | "exists"> {
    return openReplica(this.#ground, options);
  }

  append(record: RecordToAppend): StorePosition {
    return appendRecord(this.#ground, record);
  }

  durable(position: StorePosition): Promise<void> {
    return this.#ground.log.durable(position);
  }

  promised(handle: ChunkHandle): ChunkVersion {
    const active = this.#ground.state.active.get(handle);
    return active?.promising ?? chunkVersion(this.#ground.state.table.get(handle)?.promised ?? 0);
  }

  room(): Promise<void> {
    return this.#ground.log.room();
  }

  appendTable(handle: ChunkHandle): AppendTable {
    return this.#ground.state.active.get(handle)?.answers.table() ?? [];
  }

  promise(handle: ChunkHandle, version: ChunkVersion): Promise<PromiseAnswer> {
    return promiseVersion(this.#ground, handle, version);
  }

  beginTail(options: MissingTailOptions): Promise<TailWriter> {
    return beginTail(this.#ground, options);
  }

  finish(options: TailOptions): Promise<void> {
    return finishReplica(this.#ground, options);
  }

  read(handle: ChunkHandle, options: ReadOptions): AsyncIterableIterator<BlockRun> {
    return readReplica(this.#ground, handle, options);
  }

  verifyReplica(handle: ChunkHandle, options?: VerifyOptions): Promise<Verdict> {
    return verifyReplica(this.#ground, handle, options);
  }

  scrub(): Promise<ScrubRound | undefined> {
    return loadScrub(this.#ground);
  }

  keepScrub(round: ScrubRound): Promise<void> {
    return keepScrub(this.#ground, round);
  }

  bad(): readonly BadReplica[] {
    return [...this.#ground.bad.values()];
  }

  forgetBad(reported: readonly BadReplica[]): void {
    const { bad } = this.#ground;
    for (const one of reported) if (bad.get(one.handle) === one) bad.delete(one.handle);
  }

  moveAside(handle: ChunkHandle, below?: ChunkVersion): Promise<void> {
    return moveAside(this.#ground, this.#parts.aside, { handle, below });
  }

  flush(): Promise<void> {
    return this.#parts.writeBehind.flush();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { ground, aside, writeBehind, lock } = this.#parts;
    const stopped = new GfsError("Unavailable", "Cannot go on: this chunkserver is stopping");
    ground.log.stop(stopped);
    for (const writer of ground.writers.values()) {
      await ground.locks.run(writer.handle, () => writer.fail(stopped));
    }
    for (const tail of ground.tails.values()) await tail.abort();
    await writeBehind.close();
    await aside.close();
    ground.files.close();
    await ground.log.close();
    await lock[Symbol.asyncDispose]();
  }

  #describe(row: Row): Replica {
    const active = this.#ground.state.active.get(row.handle);
    return active === undefined ? describeRow(row) : describeActive(active);
  }
}

function describeActive(active: ActiveReplica): Replica {
  const { handle, promising, dataVersion, state, sums, accepted, origin, inherited } = active;
  return {
    handle,
    promisedVersion: promising,
    dataVersion,
    state,
    length: sums.length,
    crc: sums.crc,
    accepted,
    chunkBytes: state === "open" ? active.chunkBytes : undefined,
    origin,
    inherited: state === "open" && inherited,
  };
}

function describeRow(row: Row): Replica {
  return {
    handle: chunkHandle(row.handle),
    promisedVersion: chunkVersion(row.promised),
    dataVersion: chunkVersion(row.dataVersion),
    state: row.state === "removed" ? "corrupt" : row.state,
    length: row.length,
    crc: row.crc,
    accepted: row.length,
    chunkBytes: undefined,
    origin: undefined,
    inherited: false,
  };
}

function describeWriter(writer: RunningWriter): Replica {
  return {
    handle: writer.handle,
    promisedVersion: chunkVersion(writer.version),
    dataVersion: chunkVersion(0),
    state: "writing",
    length: 0,
    crc: 0,
    accepted: 0,
    chunkBytes: undefined,
    origin: undefined,
    inherited: false,
  };
}
