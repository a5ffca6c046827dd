/**
 * The chunk table (DESIGN §3, §4.1): what the master durably knows of every chunk, and beside it, in memory only, which volume holds
 * which replica. Columns of numbers by slot; no object an entry. It changes by the functions of chunk-apply.ts (durable) and
 * chunk-replicas.ts (soft); this file holds the layout, the lookups and the views.
 */
import { assert, defined, fail } from "../../base/assert.ts";
import { HashIndex, hashNumber } from "../../base/hash-index.ts";
import { chunkHandle, chunkVersion, draftId, inodeId } from "../../wire/ids.ts";
import type { ChunkHandle, ChunkVersion, DraftId, InodeId } from "../../wire/ids.ts";
import { Column } from "./column.ts";
import { HandleSet } from "./handle-set.ts";

/** The small number that the log record `volume-added` gave a volume; from 0. */
export type VolumeIndex = number;

/** writing: one put streams into it. open: its primary may append. sealing: fenced at `version`. sealed: immutable. */
export type ChunkState = "writing" | "open" | "sealing" | "sealed";
const states: readonly ChunkState[] = ["writing", "open", "sealing", "sealed"];

/** A chunk being written belongs to its draft, any other to the inode that it was made for. */
export type ChunkOwner =
  { readonly kind: "draft"; readonly draft: DraftId } | { readonly kind: "inode"; readonly inode: InodeId };

/** A copy of one entry. `version` of a sealing chunk is the fence's; `length` and `crc` are 0 until it is sealed, or named among what its draft wrote. */
export interface Chunk {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly state: ChunkState;
  readonly length: number;
  readonly crc: number;
  /** Replicas wanted. */
  readonly goal: number;
  readonly owner: ChunkOwner;
  /** Extents that refer to it; 0 while it is written. */
  readonly references: number;
  /** Durable: the chain of a chunk that isn't sealed (primary first), the holders named by the log record of a sealed one. */
  readonly members: readonly VolumeIndex[];
}

/** No reference is left: its replicas are garbage wherever they are, on the evidence of our own log. */
export interface ReleasedChunk {
  readonly handle: ChunkHandle;
  readonly volumes: readonly VolumeIndex[];
}

/** Replicas or members of one chunk that are kept in columns; more go to a map. */
export const inlineEntries = 4;
/** Bits of the state column that are the state. */
export const stateBits = 7;
/** Bit of the state column: a sealed chunk with a replica that was reported, or made, since this start. */
export const reportedBit = 8;

/** Treat as opaque outside chunk-*.ts. Slots are reused; a free one has state 0. */
export interface ChunkTable {
  readonly handles: Column;
  readonly versions: Column;
  readonly lengths: Column;
  readonly crcs: Column;
  /** An inode as it is, a draft negated. */
  readonly owners: Column;
  readonly references: Column;
  readonly states: Column;
  readonly goals: Column;
  readonly memberCounts: Column;
  readonly members: Column;
  readonly memberOverflow: Map<number, number[]>;
  readonly replicaCounts: Column;
  /** volume | health << 16 | seen << 24. */
  readonly replicas: Column;
  readonly replicaOverflow: Map<number, number[]>;
  /** Fact clock of the latest change that no report made. */
  readonly stamps: Column;
  readonly index: HashIndex<number>;
  /** Handles of chunks that aren't sealed. */
  readonly unsealed: Set<ChunkHandle>;
  /** Handles that the log let go of. */
  readonly releasedHandles: HandleSet;
  readonly released: ReleasedChunk[];
  slotEnd: number;
  /** First free slot + 1, each linked to the next by its length column. */
  freeSlot: number;
  /** Handles up to here may have been given out. Durable. */
  handleMark: number;
  /** Handles up to here that neither the table nor `releasedHandles` has were given out by a log that is lost, and an operator accepted that. Durable. */
  lostMark: number;
  nextHandle: number;
  factClock: number;
  factClockMs: number;
  /** False while the log is replayed. */
  live: boolean;
  sealedCount: number;
  sealedReportedCount: number;
  replicaTotal: number;
  /** By volume: replicas that ceased to be holders, since the start. Who looked at the table in slices sees by it whether what was seen still holds. */
  readonly lost: Map<VolumeIndex, number>;
}

export function createChunkTable(): ChunkTable {
  const handles = new Column("f64");
  return {
    handles,
    versions: new Column("u32"),
    lengths: new Column("u32"),
    crcs: new Column("u32"),
    owners: new Column("f64"),
    references: new Column("u32"),
    states: new Column("u8"),
    goals: new Column("u8"),
    memberCounts: new Column("u8"),
    members: new Column("u16"),
    memberOverflow: new Map(),
    replicaCounts: new Column("u8"),
    replicas: new Column("u32"),
    replicaOverflow: new Map(),
    stamps: new Column("u32"),
    index: new HashIndex<number>((slot, handle) => handles.get(slot) === handle),
    unsealed: new Set(),
    releasedHandles: new HandleSet(),
    released: [],
    slotEnd: 0,
    freeSlot: 0,
    handleMark: 0,
    lostMark: 0,
    nextHandle: 1,
    factClock: 1,
    factClockMs: 0,
    live: false,
    sealedCount: 0,
    sealedReportedCount: 0,
    replicaTotal: 0,
    lost: new Map(),
  };
}

/** How many chunks there are, of every state. */
export function chunkCount(table: ChunkTable): number {
  return table.index.size;
}

/** The chunk's slot, or -1. Good until the chunk is released. */
export function slotOf(table: ChunkTable, handle: ChunkHandle): number {
  return table.index.find(hashNumber(handle), handle);
}

/**
 * Our log never gave this handle out, and it knows every one that it did: only a log that went on from ours can have, so ours is an old copy; until an operator accepts
 * that (`lostMark`).
 */
export function isStranger(table: ChunkTable, handle: ChunkHandle): boolean {
  if (handle > table.handleMark) return true;
  return handle > table.lostMark && slotOf(table, handle) < 0 && !table.releasedHandles.has(handle);
}

/** State of a slot; undefined for a free one. For scans from 0 to `slotEnd`. */
export function stateAt(table: ChunkTable, slot: number): ChunkState | undefined {
  return states[(table.states.get(slot) & stateBits) - 1];
}

export function setStateAt(table: ChunkTable, slot: number, state: ChunkState): void {
  table.states.set(slot, states.indexOf(state) + 1);
}

export function handleAt(table: ChunkTable, slot: number): ChunkHandle {
  return chunkHandle(table.handles.get(slot));
}

export function chunkAt(table: ChunkTable, slot: number): Chunk | undefined {
  const state = stateAt(table, slot);
  if (state === undefined) return undefined;
  const owner = table.owners.get(slot);
  return {
    handle: handleAt(table, slot),
    version: chunkVersion(table.versions.get(slot)),
    state,
    length: table.lengths.get(slot),
    crc: table.crcs.get(slot),
    goal: table.goals.get(slot),
    owner: owner < 0 ? { kind: "draft", draft: draftId(-owner) } : { kind: "inode", inode: inodeId(owner) },
    references: table.references.get(slot),
    members: membersAt(table, slot),
  };
}

export function findChunk(table: ChunkTable, handle: ChunkHandle): Chunk | undefined {
  const slot = slotOf(table, handle);
  return slot < 0 ? undefined : chunkAt(table, slot);
}

/** The chunk, which the caller's own state says must exist. */
export function chunkOf(table: ChunkTable, handle: ChunkHandle): Chunk {
  return defined(findChunk(table, handle), `chunk ${handle}`);
}

export function membersAt(table: ChunkTable, slot: number): VolumeIndex[] {
  const count = table.memberCounts.get(slot);
  const members: VolumeIndex[] = [];
  for (let i = 0; i < Math.min(count, inlineEntries); i++) members.push(table.members.get(slot * inlineEntries + i));
  if (count > inlineEntries) members.push(...(table.memberOverflow.get(slot) ?? []));
  return members;
}

export function setMembersAt(table: ChunkTable, slot: number, members: readonly VolumeIndex[]): void {
  assert(members.length <= 0xff, "too many members");
  table.memberCounts.set(slot, members.length);
  for (let i = 0; i < Math.min(members.length, inlineEntries); i++)
    table.members.set(slot * inlineEntries + i, members[i] ?? 0);
  if (members.length > inlineEntries) table.memberOverflow.set(slot, members.slice(inlineEntries));
  else table.memberOverflow.delete(slot);
}

/** A slot for a new chunk, its columns cleared but for the handle. */
export function takeSlot(table: ChunkTable, handle: ChunkHandle): number {
  if (slotOf(table, handle) >= 0 || table.releasedHandles.has(handle))
    fail(`chunk ${handle} exists or was let go of already: a handle is never reused`);
  let slot = table.slotEnd;
  if (table.freeSlot > 0) {
    slot = table.freeSlot - 1;
    table.freeSlot = table.lengths.get(slot);
  } else table.slotEnd++;
  table.handles.set(slot, handle);
  table.lengths.set(slot, 0);
  table.crcs.set(slot, 0);
  table.references.set(slot, 0);
  table.replicaCounts.set(slot, 0);
  table.stamps.set(slot, 0);
  setMembersAt(table, slot, []);
  table.index.insert(hashNumber(handle), slot);
  return slot;
}

export function giveSlotBack(table: ChunkTable, slot: number): void {
  const handle = handleAt(table, slot);
  table.index.remove(hashNumber(handle), slot);
  table.memberOverflow.delete(slot);
  table.replicaOverflow.delete(slot);
  table.states.set(slot, 0);
  table.replicaCounts.set(slot, 0);
  table.handles.set(slot, 0);
  table.lengths.set(slot, table.freeSlot);
  table.freeSlot = slot + 1;
}

/** Memory held, in bytes, without the overflow of chunks with more than four replicas. */
export function chunkTableBytes(table: ChunkTable): number {
  const columns = [table.handles, table.versions, table.lengths, table.crcs, table.owners, table.references];
  const rest = [table.states, table.goals, table.memberCounts, table.members, table.replicaCounts, table.replicas];
  let bytes = table.index.bytes + table.stamps.bytes + table.releasedHandles.bytes;
  for (const column of [...columns, ...rest]) bytes += column.bytes;
  return bytes;
}
