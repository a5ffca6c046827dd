/** The durable facts of one volume in memory. They change only by `apply`, the same code live (once a record is durable) and at replay. */
import { assert, unreachable } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import { blockBytes } from "../../limits.ts";
import type { EntryPlace } from "../../log/log-types.ts";
import { partCrcs } from "../../wire/data/blocks.ts";
import { type ChunkHandle, chunkVersion, type ChunkVersion, type Epoch } from "../../wire/ids.ts";
import type { AppendedRecord, RareVolumeRecord, VolumeRecord } from "../../wire/volume-records.ts";
import { type ActiveReplica, newActive, newFenced } from "./active-replica.ts";
import { AppendAnswers } from "./append-answers.ts";
import { BlockSums } from "./block-sums.ts";
import { LogRanges } from "./log-ranges.ts";
import { ReplicaTable } from "./replica-table.ts";

/** Where a record's payload lies in the log, and the CRCs of its parts cut at block borders. */
export interface AppliedPayload {
  readonly place: EntryPlace;
  /** Where the payload begins in the entry. */
  readonly at: number;
  /** For `appended`: CRCs of the parts; a single one is the record's own. */
  readonly parts: readonly number[];
}

type Of<Kind extends RareVolumeRecord["kind"]> = Extract<RareVolumeRecord, { kind: Kind }>;

export class VolumeState {
  readonly table = new ReplicaTable();
  /** Objects only for those not at rest; their rows in the table name state and versions, not lengths. */
  readonly active = new Map<number, ActiveReplica>();
  epoch: Epoch | undefined;
  highestHandle = 0;
  /** Bytes of all replicas but those moved aside. */
  usedBytes = 0;
  #unfiledBytes = 0;

  /** Of all replicas, the bytes that are accepted and not in their data files yet. */
  get unfiledBytes(): number {
    return this.#unfiledBytes;
  }

  /** Durable length of a replica; 0 for what is not here. */
  lengthOf(handle: number): number {
    const active = this.active.get(handle);
    if (active !== undefined) return active.sums.length;
    const row = this.table.get(handle);
    return row === undefined || row.state === "removed" ? 0 : row.length;
  }

  /** A sealed replica's data file is whole, with its trailer, synced: no object is needed any more. */
  atRest(handle: number): void {
    assert(this.active.get(handle)?.state === "sealed", "only a sealed replica comes to rest");
    this.#counted(handle, () => this.active.delete(handle));
  }

  /** More bytes of an open replica are on their way to the log. */
  accepted(active: ActiveReplica, bytes: number): void {
    this.#counted(active.handle, () => (active.accepted += bytes));
  }

  /** [0, bytes) of an active replica is in its data file, synced. */
  filed(active: ActiveReplica, bytes: number): void {
    this.#counted(active.handle, () => (active.fileBytes = bytes));
  }

  /** At once, before its record is durable: what is known to be bad is not offered while that is on its way. */
  markCorrupt(handle: ChunkHandle): void {
    const active = this.active.get(handle);
    const row = this.table.get(handle);
    if (row === undefined || row.state === "removed") return;
    this.#counted(handle, () => this.active.delete(handle));
    const { length, crc } = active === undefined ? row : active.sums;
    this.table.set({ ...row, length, crc, state: "corrupt" });
  }

  /** @throws GfsError("Corrupt") for a record that does not follow from those before it. */
  apply(record: VolumeRecord, payload: AppliedPayload): void {
    if (record.kind === "epoch-seen") {
      this.epoch = record.epoch;
      this.highestHandle = Math.max(this.highestHandle, record.highestHandle);
      return;
    }
    this.highestHandle = Math.max(this.highestHandle, record.handle);
    const before = this.lengthOf(record.handle);
    this.#counted(record.handle, () => this.#applyToReplica(record, payload));
    this.usedBytes += this.lengthOf(record.handle) - before;
  }

  #applyToReplica(record: Exclude<VolumeRecord, { kind: "epoch-seen" }>, payload: AppliedPayload): void {
    switch (record.kind) {
      case "appended":
        this.#appended(record, payload);
        break;
      case "promised":
        this.#promised(record.handle, record.version);
        break;
      case "opened":
        this.#opened(record);
        break;
      case "closed":
        this.#closed(record, payload);
        break;
      case "tailed":
        this.#tailed(record);
        break;
      case "finished":
        this.#finished(record);
        break;
      case "removed": {
        const promised = this.table.get(record.handle)?.promised ?? 0;
        this.active.delete(record.handle);
        const { handle, wallSeconds } = record;
        this.table.set({ handle, promised, dataVersion: 0, length: wallSeconds, crc: 0, state: "removed" });
        break;
      }
      case "corrupted":
        this.markCorrupt(record.handle);
        break;
      default:
        unreachable(record);
    }
  }

  /** The row of an active replica follows it. */
  enter(active: ActiveReplica): void {
    this.#counted(active.handle, () => this.active.set(active.handle, active));
    const { handle, promised, dataVersion, state, sums } = active;
    this.table.set({ handle, promised, dataVersion, length: sums.length, crc: sums.crc, state });
  }

  /** Changes one replica. What changes it within counts once. */
  #counted(handle: number, change: () => void): void {
    const others = this.#unfiledBytes - unfiledOf(this.active.get(handle));
    change();
    this.#unfiledBytes = others + unfiledOf(this.active.get(handle));
  }

  #appended(record: AppendedRecord, { place, at, parts }: AppliedPayload): void {
    const active = this.active.get(record.handle);
    // Queued before it was found corrupt.
    if (active === undefined && this.table.get(record.handle)?.state === "corrupt") return;
    if (active?.state !== "open" || active.sums.length !== record.offset) refuse(record, "it takes no record there");
    const bytes = place.bytes - at;
    active.log.add(place.segment, place.offset + at, bytes);
    active.sums.add(parts, bytes);
    const fileOffset = (active.origin?.fileOffset ?? 0) + record.offset;
    active.answers.add(record.session, { sequence: record.sequence, fileOffset, bytes, crc: record.crc });
    active.accepted = Math.max(active.accepted, active.sums.length);
  }

  #promised(handle: ChunkHandle, version: ChunkVersion): void {
    const active = this.active.get(handle);
    const row = this.table.get(handle);
    if (row === undefined) {
      this.enter(newFenced(handle, version));
    } else if (active === undefined) {
      this.table.set({ ...row, promised: Math.max(row.promised, version) });
    } else {
      if (active.state === "open") active.state = "fenced";
      active.promised = chunkVersion(Math.max(active.promised, version));
      active.promising = chunkVersion(Math.max(active.promising, version));
      active.accepted = active.sums.length;
      this.enter(active);
    }
  }

  #opened(record: Of<"opened">): void {
    if (this.table.get(record.handle) !== undefined) refuse(record, "it is here already");
    const active = newActive(record.handle, record.version);
    active.chunkBytes = record.chunkBytes;
    active.origin = record.origin;
    active.answers = AppendAnswers.from(record.appendTable);
    this.enter(active);
  }

  #closed(record: Of<"closed">, { place, at }: AppliedPayload): void {
    const { handle, version, length, crc } = record;
    const promised = Math.max(version, this.table.get(handle)?.promised ?? 0);
    this.active.delete(handle);
    this.table.set({ handle, promised, dataVersion: version, length, crc, state: "sealed" });
    const bytes = place.bytes - at;
    if (bytes === 0) return;
    if (bytes !== length || record.blocks.length !== Math.ceil(length / blockBytes))
      refuse(record, "its bytes are not all here");
    const active = newActive(handle, version);
    active.state = "sealed";
    active.promised = chunkVersion(promised);
    active.origin = record.origin;
    active.sums = BlockSums.of(length, record.blocks);
    active.log.add(place.segment, place.offset + at, bytes);
    active.accepted = length;
    this.enter(active);
  }

  #tailed(record: Of<"tailed">): void {
    const active = this.active.get(record.handle);
    if (active === undefined && this.table.get(record.handle)?.state === "corrupt") return;
    if (active?.state !== "fenced" || active.sums.length !== record.from) refuse(record, "it does not lack that tail");
    const first = Math.floor(record.from / blockBytes);
    const blocks = [...active.sums.blocks().subarray(0, first), ...record.blocks];
    active.sums = BlockSums.of(record.length, blocks);
    active.origin ??= record.origin;
    active.answers.merge(record.appendTable);
    active.fileBytes = record.length;
    active.log = new LogRanges(record.length);
    active.accepted = record.length;
    // Its bytes are those of the members that were fenced: of the version before.
    active.dataVersion = chunkVersion(Math.max(active.dataVersion, record.version - 1));
    this.enter(active);
  }

  #finished(record: Of<"finished">): void {
    const active = this.active.get(record.handle);
    if (active === undefined && this.table.get(record.handle)?.state === "corrupt") return;
    if (active?.state !== "fenced" || active.sums.length < record.length) refuse(record, "it has fewer bytes");
    active.sums = active.sums.cut(record.length, record.lastBlock);
    active.log.cutAt(record.length);
    active.fileBytes = Math.min(active.fileBytes, record.length);
    active.accepted = record.length;
    active.state = "sealed";
    active.dataVersion = record.version;
    active.promised = chunkVersion(Math.max(active.promised, record.version));
    active.promising = chunkVersion(Math.max(active.promising, active.promised));
    active.origin = record.origin;
    active.answers = new AppendAnswers();
    this.enter(active);
  }
}

function refuse(record: Exclude<VolumeRecord, { kind: "epoch-seen" }>, why: string): never {
  throw new GfsError(
    "Corrupt",
    `Cannot apply a ${record.kind} record to the replica of chunk ${record.handle}: ${why}`,
  );
}

/** CRCs of a record's parts: its own where it lies within one block, else computed from the bytes. */
export function partsOf(record: VolumeRecord, payload: Uint8Array): readonly number[] {
  if (record.kind !== "appended") return [];
  const inBlock = (record.offset % blockBytes) + payload.length <= blockBytes;
  return inBlock ? [record.crc] : partCrcs(record.offset, [payload]);
}

function unfiledOf(active: ActiveReplica | undefined): number {
  return active === undefined ? 0 : Math.max(active.accepted, active.sums.length) - active.fileBytes;
}
