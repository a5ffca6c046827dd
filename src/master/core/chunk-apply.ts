/**
 * The durable changes of the chunk table, one function for each log record that touches chunks (wire/log-records.ts). Called by `apply` only,
 * the same live and at replay; what a record can't mean is a bug or a corrupt log, and asserts.
 */
import { assert, fail } from "../../base/assert.ts";
import { chunkHandle } from "../../wire/ids.ts";
import type { ChunkHandle, ChunkVersion, DraftId, InodeId } from "../../wire/ids.ts";
import type { PublishedChunk } from "../../wire/log-records.ts";
import { nameReplicas, replicasAt, stampFact } from "./chunk-replicas.ts";
import { giveSlotBack, handleAt, membersAt, reportedBit, setMembersAt, setStateAt } from "./chunk-table.ts";
import { slotOf, stateAt, takeSlot } from "./chunk-table.ts";
import type { ChunkState, ChunkTable, ReleasedChunk, VolumeIndex } from "./chunk-table.ts";

/** What a decision that needs new chunks puts before its other records: `reserveUpTo` where the mark must rise first. */
export interface HandlePlan {
  readonly handles: readonly ChunkHandle[];
  readonly reserveUpTo: number | undefined;
}

/** The next `count` (>= 1) handles. They are taken when the records that name them are applied. */
export function planHandles(table: ChunkTable, count: number, batch: number): HandlePlan {
  const handles: ChunkHandle[] = [];
  for (let i = 0; i < count; i++) handles.push(chunkHandle(table.nextHandle + i));
  const last = table.nextHandle + count - 1;
  return { handles, reserveUpTo: last <= table.handleMark ? undefined : Math.max(table.handleMark + batch, last) };
}

export function applyHandlesReserved(table: ChunkTable, upTo: number): void {
  table.handleMark = Math.max(table.handleMark, upTo);
}

/** Handles up to here that our log does not know are those of a lost log; new ones begin above. */
export function applyLostHandlesAccepted(table: ChunkTable, upTo: number): void {
  table.lostMark = Math.max(table.lostMark, upTo);
  table.nextHandle = Math.max(table.nextHandle, table.lostMark + 1);
}

/**
 * The log is replayed: from here on facts are dated, and handles begin above the mark, so that one which a lost tail of the log gave out is
 * never given again.
 */
export function beginServing(table: ChunkTable): void {
  table.live = true;
  skipReservedHandles(table);
}

/**
 * The next handle is the first above the mark. Also after a confirmed volume proved that handles above ours were given out: log `handles-reserved` up
 * to the highest one that any volume knows, then skip them, or a new chunk would meet an old replica under its handle.
 */
export function skipReservedHandles(table: ChunkTable): void {
  table.nextHandle = Math.max(table.nextHandle, table.handleMark + 1);
}

function addChunk(
  table: ChunkTable,
  chunk: { handle: ChunkHandle; version: ChunkVersion; owner: number; goal: number; members: readonly VolumeIndex[] },
  state: ChunkState,
): number {
  assert(chunk.goal >= 1 && chunk.goal <= 0xff, "a chunk wants 1 to 255 replicas");
  const slot = takeSlot(table, chunk.handle);
  table.versions.set(slot, chunk.version);
  table.owners.set(slot, chunk.owner);
  table.goals.set(slot, chunk.goal);
  setMembersAt(table, slot, chunk.members);
  setStateAt(table, slot, state);
  table.unsealed.add(chunk.handle);
  table.nextHandle = Math.max(table.nextHandle, chunk.handle + 1);
  stampFact(table, slot);
  return slot;
}

/** A put streams into it (record `draft-chunk-added`). */
export function applyDraftChunkAdded(
  table: ChunkTable,
  chunk: { draft: DraftId; handle: ChunkHandle; version: ChunkVersion; members: readonly VolumeIndex[]; goal: number },
): void {
  addChunk(table, { ...chunk, owner: -Number(chunk.draft) }, "writing");
}

/** A chunk of a draft holds all that it will (`draft-written`). */
export function applyChunkWritten(table: ChunkTable, chunk: PublishedChunk): void {
  const slot = known(table, chunk.handle);
  if (stateAt(table, slot) !== "writing") fail(`chunk ${chunk.handle} is not being written`);
  table.versions.set(slot, chunk.version);
  table.lengths.set(slot, chunk.length);
  table.crcs.set(slot, chunk.crc);
  setMembersAt(table, slot, chunk.members);
}

/** A chunk of a draft becomes part of a file (`file-published`, `file-spliced`): sealed, with one reference. */
export function applyChunkPublished(
  table: ChunkTable,
  chunk: PublishedChunk,
  owner: { readonly inode: InodeId },
): void {
  const slot = known(table, chunk.handle);
  if (stateAt(table, slot) !== "writing") fail(`chunk ${chunk.handle} is not being written`);
  table.versions.set(slot, chunk.version);
  table.owners.set(slot, owner.inode);
  table.references.set(slot, 1);
  becomeSealed(table, slot, chunk);
}

/** The same of a chunk that was named before (`draft-written`): nothing but its state changes. Its length. */
export function applyWrittenPublished(
  table: ChunkTable,
  handle: ChunkHandle,
  owner: { readonly inode: InodeId },
): number {
  const slot = known(table, handle);
  if (stateAt(table, slot) !== "writing") fail(`chunk ${handle} is not being written`);
  table.owners.set(slot, owner.inode);
  table.references.set(slot, 1);
  enterSealed(table, slot, { handle, members: membersAt(table, slot) });
  return table.lengths.get(slot);
}

/** Lets go of a chunk that its ended draft did not publish; one that was published, or is gone, stays as it is. */
export function applyDraftChunkDropped(table: ChunkTable, draft: DraftId, handle: ChunkHandle): void {
  const slot = slotOf(table, handle);
  if (slot >= 0 && stateAt(table, slot) === "writing" && table.owners.get(slot) === -Number(draft))
    release(table, slot);
}

/** A file gets an open tail, with one reference. */
export function applyTailOpened(
  table: ChunkTable,
  chunk: { inode: InodeId; handle: ChunkHandle; version: ChunkVersion; members: readonly VolumeIndex[]; goal: number },
): void {
  const slot = addChunk(table, { ...chunk, owner: chunk.inode }, "open");
  table.references.set(slot, 1);
}

/** `version`: the fence's, above the chunk's. A second seal at a higher version (after `gfs master confirm`) is fine. */
export function applySealBegun(table: ChunkTable, handle: ChunkHandle, version: ChunkVersion): void {
  const slot = known(table, handle);
  const state = stateAt(table, slot);
  if (state !== "open" && state !== "sealing") fail(`chunk ${handle} can't be sealed: it is ${state}`);
  if (version <= table.versions.get(slot)) fail(`the seal of chunk ${handle} does not raise its version`);
  table.versions.set(slot, version);
  setStateAt(table, slot, "sealing");
  stampFact(table, slot);
}

/** Its members hold all `length` bytes durably. With length 0 the caller drops the extent and the reference next. */
export function applyChunkSealed(
  table: ChunkTable,
  seal: { handle: ChunkHandle; version: ChunkVersion; length: number; crc: number; members: readonly VolumeIndex[] },
): void {
  const slot = known(table, seal.handle);
  if (stateAt(table, slot) !== "sealing") fail(`chunk ${seal.handle} is not being sealed`);
  if (table.versions.get(slot) !== seal.version) fail(`chunk ${seal.handle} is sealed at a version that was not begun`);
  becomeSealed(table, slot, seal);
}

/** One more extent refers to it. */
export function referenceChunk(table: ChunkTable, handle: ChunkHandle): void {
  table.references.add(known(table, handle), 1);
}

/** One extent less refers to it; the last one releases it. */
export function unreferenceChunk(table: ChunkTable, handle: ChunkHandle): void {
  const slot = known(table, handle);
  if (table.references.get(slot) <= 0) fail(`chunk ${handle} has no reference left to drop`);
  table.references.add(slot, -1);
  if (table.references.get(slot) === 0) release(table, slot);
}

/** Chunks released since the last call, at most `max`: for the garbage queue. */
export function takeReleased(table: ChunkTable, max: number): ReleasedChunk[] {
  return table.released.splice(0, max);
}

function known(table: ChunkTable, handle: ChunkHandle): number {
  const slot = slotOf(table, handle);
  if (slot < 0) fail(`no such chunk: ${handle}`);
  return slot;
}

function becomeSealed(
  table: ChunkTable,
  slot: number,
  seal: { handle: ChunkHandle; length: number; crc: number; members: readonly VolumeIndex[] },
): void {
  table.lengths.set(slot, seal.length);
  table.crcs.set(slot, seal.crc);
  setMembersAt(table, slot, seal.members);
  enterSealed(table, slot, seal);
}

/** Of a chunk whose length, CRC and members are set. */
function enterSealed(
  table: ChunkTable,
  slot: number,
  { handle, members }: { readonly handle: ChunkHandle; readonly members: readonly VolumeIndex[] },
): void {
  setStateAt(table, slot, "sealed");
  table.unsealed.delete(handle);
  table.sealedCount++;
  nameReplicas(table, slot, members);
}

/** At replay nobody asks for them: a checkpoint child would gather millions. */
const releasedAtReplayMax = 100_000;

function release(table: ChunkTable, slot: number): void {
  const handle = handleAt(table, slot);
  const volumes = new Set([...membersAt(table, slot), ...replicasAt(table, slot).map((replica) => replica.volume)]);
  if (stateAt(table, slot) === "sealed") {
    table.sealedCount--;
    if ((table.states.get(slot) & reportedBit) !== 0) table.sealedReportedCount--;
  }
  table.replicaTotal -= table.replicaCounts.get(slot);
  table.unsealed.delete(handle);
  giveSlotBack(table, slot);
  table.releasedHandles.add(handle);
  // What is left out here is found by the next report of its volume.
  if (table.live || table.released.length < releasedAtReplayMax) table.released.push({ handle, volumes: [...volumes] });
}
