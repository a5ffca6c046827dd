/**
 * How records change state (DESIGN §4.1): the same code live, at replay and in the checkpoint's process, and the same records always give the same state.
 * A record that can't be is a bug or a corrupt log, and asserts.
 */
import { assert, AssertionError, fail, unreachable } from "../../base/assert.ts";
import { utf8 } from "../../base/bytes.ts";
import type { ChunkHandle, InodeId } from "../../wire/ids.ts";
import type { LogBatch, LogRecord } from "../../wire/log-records.ts";
import { applyAttributesSet } from "./attributes.ts";
import { dropInodeFromTables, dropSessionFromTables, mergeAppendTable } from "./append-tables.ts";
import { addBytesToAncestors, findChild, linkBlock, linkNamed, rename, unlinkBlock, unlinkNamed } from "./children.ts";
import {
  applyChunkPublished,
  applyChunkSealed,
  applyChunkWritten,
  applyWrittenPublished,
  applyDraftChunkAdded,
  applyDraftChunkDropped,
  applyHandlesReserved,
  applyLostHandlesAccepted,
  applySealBegun,
  applyTailOpened,
  unreferenceChunk,
} from "./chunk-apply.ts";
import { chunkOf } from "./chunk-table.ts";
import { addDraft, endDraft, touchAllDrafts } from "./drafts.ts";
import { appendExtent, dropExtents } from "./extents.ts";
import { applyChunkGoal, applyGoalSet } from "./goals.ts";
import {
  createInode,
  detachedSlot,
  firstFreeSlot,
  freeInode,
  type Inodes,
  isDirectory,
  isFile,
  reserveInodes,
  slotOfId,
} from "./inodes.ts";
import { applySettingChanged } from "./runtime-settings.ts";
import { closeSession, openSession, recordAnswer, touchAllSessions } from "./sessions.ts";
import type { MasterState } from "./state.ts";
import { addToTrash, isInTrash, takeFromTrash } from "./trash.ts";
import { applyVolumeAdded, applyVolumeMarked } from "./volumes.ts";

type RecordOf<Kind extends LogRecord["kind"]> = Extract<LogRecord, { kind: Kind }>;

/** Applies what one decision logged: its records, and the answer that a retry gets. */
export function applyBatch(state: MasterState, batch: LogBatch): void {
  assert(batch.clusterMs >= state.cluster.clusterMs, "cluster time does not go back");
  state.cluster.clusterMs = batch.clusterMs;
  for (const record of batch.records) apply(state, record);
  if (batch.mutation !== undefined) recordAnswer(state.sessions, batch.mutation, batch.clusterMs);
}

/** Applies one record, at the cluster time of its batch. */
export function apply(state: MasterState, record: LogRecord): void {
  const { clusterMs } = state.cluster;
  switch (record.kind) {
    case "cluster-created":
      assert(state.cluster.clusterId === undefined, "a cluster is created once");
      state.cluster.clusterId = record.clusterId;
      return;
    case "feature-level":
      state.cluster.featureLevel = record.level;
      return;
    case "epoch-begun":
      assert(record.epoch.number > (state.cluster.epoch?.number ?? 0), "epochs rise");
      state.cluster.epoch = record.epoch;
      state.cluster.epochWallMs = record.wallMs;
      touchAllSessions(state.sessions, clusterMs);
      touchAllDrafts(state.drafts, clusterMs);
      return;
    case "data-directories":
      state.cluster.dataDirectories = record.directories;
      return;
    case "handles-reserved":
      applyHandlesReserved(state.chunks, record.upTo);
      return;
    case "volume-added":
      applyVolumeAdded(state.volumes, record);
      return;
    case "confirmed":
      // What else was stopped is soft; the record tells who reads the log that it was let go on.
      state.cluster.restored = undefined;
      return;
    case "session-opened":
      openSession(state.sessions, record, clusterMs);
      return;
    case "session-closed":
      closeSession(state.sessions, record.session);
      dropSessionFromTables(state.appendTables, record.session);
      return;
    case "inode-created":
      applyInodeCreated(state.inodes, record);
      return;
    case "inode-moved":
      applyInodeMoved(state.inodes, record);
      return;
    case "inode-trashed": {
      const slot = treeSlot(state.inodes, record.inode);
      unlinkNamed(state.inodes, slot);
      addToTrash(state.trash, state.inodes, slot, record);
      return;
    }
    case "inode-restored": {
      const slot = liveSlot(state.inodes, record.inode);
      takeFromTrash(state.trash, state.inodes, slot);
      linkNamed(state.inodes, slot, { parent: liveSlot(state.inodes, record.parent), name: utf8(record.name) });
      return;
    }
    case "inode-detached":
      applyInodeDetached(state, record.inode);
      return;
    case "inodes-reaped":
      for (const inode of record.inodes) reapInode(state, inode);
      return;
    case "draft-created": {
      const { draft, session, target, replicas, chunkBytes } = record;
      addDraft(state.drafts, {
        draft,
        session,
        target,
        replicas,
        chunkBytes,
        chunks: new Set(),
        lists: new Map(),
        touchedMs: clusterMs,
      });
      return;
    }
    case "draft-chunk-added": {
      const draft = state.drafts.byId.get(record.draft);
      assert(draft !== undefined, "a chunk is for a live draft");
      draft.chunks.add(record.handle);
      applyDraftChunkAdded(state.chunks, { ...record, goal: draft.replicas });
      return;
    }
    case "draft-written":
      applyDraftWritten(state, record);
      return;
    case "draft-ended":
      for (const handle of endDraft(state.drafts, record.draft))
        applyDraftChunkDropped(state.chunks, record.draft, handle);
      return;
    case "file-published":
    case "file-spliced":
      applyChunksAdded(state, record);
      return;
    case "tail-opened": {
      const slot = treeSlot(state.inodes, record.inode);
      if (!isFile(state.inodes, slot) || state.tails.has(record.inode)) fail(`inode ${record.inode} can't get a tail`);
      state.tails.set(record.inode, record.handle);
      applyTailOpened(state.chunks, { ...record, goal: state.inodes.replicas.get(slot) });
      return;
    }
    case "seal-begun":
      applySealBegun(state.chunks, record.handle, record.version);
      return;
    case "chunk-sealed":
      applyTailSealed(state, record);
      return;
    case "setting-changed":
      applySettingChanged(state.settings, record);
      return;
    case "lost-handles-accepted":
      applyLostHandlesAccepted(state.chunks, record.upTo);
      return;
    case "volume-marked":
      applyVolumeMarked(state.volumes, record.index, record.mark);
      return;
    case "master-restored":
      state.cluster.restored = { position: record.position, source: record.source };
      return;
    case "attributes-set":
      applyAttributesSet(state.inodes, liveSlot(state.inodes, record.inode), record);
      return;
    case "goal-set":
      applyGoalSet(state, liveSlot(state.inodes, record.inode), record);
      return;
    case "inodes-reserved":
      reserveInodes(state.inodes, record.inodes);
      return;
    default:
      unreachable(record);
  }
}

function liveSlot(inodes: Inodes, inode: InodeId): number {
  const slot = slotOfId(inodes, inode);
  if (slot === 0) throw new AssertionError(`no such inode: ${inode}`);
  return slot;
}

/** Of an inode that has a name in some directory. */
function treeSlot(inodes: Inodes, inode: InodeId): number {
  const slot = liveSlot(inodes, inode);
  assert(inodes.parent.get(slot) >= firstFreeSlot || inodes.name.get(slot) !== 0, "an inode of the tree has a name");
  assert(!isInTrash(inodes, slot), "an inode of the tree is not in the trash");
  return slot;
}

function applyInodeCreated(inodes: Inodes, record: RecordOf<"inode-created">): void {
  const parent = liveSlot(inodes, record.parent);
  const slot = createInode(inodes, record);
  linkNamed(inodes, slot, { parent, name: utf8(record.name) });
}

function applyInodeMoved(inodes: Inodes, record: RecordOf<"inode-moved">): void {
  const slot = treeSlot(inodes, record.inode);
  const parent = liveSlot(inodes, record.parent);
  const name = utf8(record.name);
  if (parent === inodes.parent.get(slot)) {
    assert(findChild(inodes, parent, name) === 0, "a name is taken once");
    rename(inodes, slot, name);
  } else {
    unlinkNamed(inodes, slot);
    linkNamed(inodes, slot, { parent, name });
  }
  inodes.modifiedMs.set(slot, record.modifiedMs);
  if (record.generation !== undefined) inodes.generation.set(slot, record.generation);
}

function applyInodeDetached(state: MasterState, inode: InodeId): void {
  const slot = liveSlot(state.inodes, inode);
  if (isInTrash(state.inodes, slot)) takeFromTrash(state.trash, state.inodes, slot);
  else unlinkNamed(state.inodes, treeSlot(state.inodes, inode));
  linkBlock(state.inodes, slot, { parent: detachedSlot, block: 0 });
}

function reapInode(state: MasterState, inode: InodeId): void {
  const { inodes } = state;
  const slot = liveSlot(inodes, inode);
  assert(!state.tails.has(inode), "an inode is reaped without a tail");
  if (inodes.parent.get(slot) === detachedSlot) unlinkBlock(inodes, slot);
  else unlinkNamed(inodes, slot);
  if (isDirectory(inodes, slot)) assert(inodes.first.get(slot) === 0, "a directory is reaped without children");
  else for (const handle of dropExtents(inodes, slot)) unreferenceChunk(state.chunks, handle);
  dropInodeFromTables(state.appendTables, inode);
  freeInode(inodes, slot);
}

function applyDraftWritten({ drafts, chunks: table }: MasterState, record: RecordOf<"draft-written">): void {
  const draft = drafts.byId.get(record.draft);
  assert(draft !== undefined, "a list is of a live draft");
  const list = draft.lists.get(record.first) ?? [];
  draft.lists.set(record.first, list);
  for (const chunk of record.chunks) {
    assert(draft.chunks.delete(chunk.handle), "a chunk that was written is its draft's");
    applyChunkWritten(table, chunk);
    list.push(chunk.handle);
  }
}

/** The list that a commit names; it is no part of the draft any more, which ends with the rest. */
function takeList(
  { drafts }: MasterState,
  record: RecordOf<"file-published" | "file-spliced">,
): readonly ChunkHandle[] {
  if (record.first === undefined) return [];
  const lists = drafts.byId.get(record.draft)?.lists;
  const list = lists?.get(record.first);
  assert(list !== undefined, "a list that is published was written");
  lists?.delete(record.first);
  return list;
}

function applyChunksAdded(state: MasterState, record: RecordOf<"file-published" | "file-spliced">): void {
  const { inodes } = state;
  const slot = treeSlot(inodes, record.inode);
  assert(isFile(inodes, slot) && !state.tails.has(record.inode), "chunks are for a file without a tail");
  // Tens of thousands may be published at once: what is the same for all is done once.
  let bytes = 0;
  // Another number of replicas may be wanted of the file since the draft was made.
  const replicas = inodes.replicas.get(slot);
  const differs = state.drafts.byId.get(record.draft)?.replicas !== replicas;
  const add = (handle: ChunkHandle, length: number): void => {
    if (differs) applyChunkGoal(state.chunks, handle, replicas);
    appendExtent(inodes, slot, { handle, offset: 0, length });
    bytes += length;
  };
  for (const handle of takeList(state, record)) add(handle, applyWrittenPublished(state.chunks, handle, record));
  for (const chunk of record.chunks) {
    applyChunkPublished(state.chunks, chunk, record);
    add(chunk.handle, chunk.length);
  }
  addBytesToAncestors(inodes, slot, bytes);
  inodes.modifiedMs.set(slot, record.modifiedMs);
}

/** The tail's bytes become an extent; a tail that held nothing leaves none. */
function applyTailSealed(state: MasterState, record: RecordOf<"chunk-sealed">): void {
  const { owner } = chunkOf(state.chunks, record.handle);
  if (owner.kind !== "inode") fail(`chunk ${record.handle} is sealed, but is no tail`);
  const { inode } = owner;
  if (state.tails.get(inode) !== record.handle) fail(`chunk ${record.handle} is not the tail of inode ${inode}`);
  const slot = liveSlot(state.inodes, inode);
  applyChunkSealed(state.chunks, record);
  state.tails.delete(inode);
  mergeAppendTable(state.appendTables, inode, record.appendTable, (session) => state.sessions.byId.has(session));
  if (record.length === 0) {
    unreferenceChunk(state.chunks, record.handle);
    return;
  }
  applyChunkGoal(state.chunks, record.handle, state.inodes.replicas.get(slot));
  appendExtent(state.inodes, slot, { handle: record.handle, offset: 0, length: record.length });
  addBytesToAncestors(state.inodes, slot, record.length);
  state.inodes.modifiedMs.set(slot, record.modifiedMs);
}
