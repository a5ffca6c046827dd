/**
 * Open tails of files (DESIGN §4.3). Whatever replaces, removes or splices a file first has its tails sealed and none opened until its own record is
 * durable. Tails are few: those under a directory are found by walking up from each.
 */
import { GfsError } from "../../base/errors.ts";
import type { ChunkHandle, InodeId } from "../../wire/ids.ts";
import type { PlacedChunk } from "./decision.ts";
import { type Inodes, isFile, rootSlot, slotOfId } from "./inodes.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import { describeInode } from "./namespace.ts";
import type { MasterState } from "./state.ts";

/** Held by an operation that has tails sealed; the inode and all below it open none meanwhile. */
export interface TailBlock {
  readonly inode: InodeId;
  readonly why: string;
}

/** The tail chunk of an inode, open or sealing. */
export function tailOf(state: MasterState, inode: InodeId): ChunkHandle | undefined {
  return state.tails.get(inode);
}

/** Inodes with a tail that is open or sealing: the inode itself and all below it. */
export function openTailsUnder(state: MasterState, inode: InodeId): InodeId[] {
  const above = slotOfId(state.inodes, inode);
  return above === 0
    ? []
    : [...state.tails.keys()].filter((each) => isUnder(state.inodes, slotOfId(state.inodes, each), above));
}

/** Blocks tails of the inode and all below it until `unblockTails`. Blocks may overlap. */
export function blockTails(state: MasterState, inode: InodeId, why: string): TailBlock {
  const block = { inode, why };
  state.tailBlocks.add(block);
  return block;
}

export function unblockTails(state: MasterState, block: TailBlock): void {
  state.tailBlocks.delete(block);
}

/**
 * The slot of a file that may be appended to.
 *
 * @throws GfsError("NotFound") for an inode that is not in the tree (any more), GfsError("IsDirectory")
 */
export function appendableFile(state: MasterState, inode: InodeId): number {
  const slot = slotOfId(state.inodes, inode);
  if (slot === 0 || !isUnder(state.inodes, slot, rootSlot))
    throw new GfsError("NotFound", `Cannot append to inode ${inode}: it was removed or replaced`);
  if (!isFile(state.inodes, slot))
    throw new GfsError("IsDirectory", `Cannot append to ${describeInode(state.inodes, slot)}: it is a directory`);
  return slot;
}

/**
 * Opens a tail on a chunk that was placed. `reserveUpTo`: see `planHandles`.
 *
 * @throws GfsError("NotFound"), GfsError("IsDirectory"), GfsError("Busy") while a tail is there or a block is over the inode
 */
export function decideTailOpen(state: MasterState, inode: InodeId, placed: PlacedChunk): LogRecord[] {
  const slot = appendableFile(state, inode);
  const path = describeInode(state.inodes, slot);
  if (state.tails.has(inode))
    throw new GfsError("Busy", `Cannot open a tail of ${path}: it has one`, { retryAfterMs: 50 });
  const block = blockOver(state, slot);
  if (block !== undefined)
    throw new GfsError("Busy", `Cannot append to ${path}: ${block.why} is under way`, { retryAfterMs: 50 });
  const { handle, version } = placed.placement;
  return [...reserveRecords(placed), { kind: "tail-opened", inode, handle, version, members: [...placed.members] }];
}

/** @throws GfsError("Busy") where a tail under the inode is not sealed yet: the shell seals them first. */
export function requireSealedTails(state: MasterState, inode: InodeId, what: string): void {
  const [open] = openTailsUnder(state, inode);
  if (open === undefined) return;
  const path = describeInode(state.inodes, slotOfId(state.inodes, open));
  throw new GfsError("Busy", `Cannot ${what}: the tail of ${path} is not sealed yet`, { retryAfterMs: 50 });
}

/** The record that must stand before one that names the chunk. */
export function reserveRecords(placed: PlacedChunk): LogRecord[] {
  return placed.reserveUpTo === undefined ? [] : [{ kind: "handles-reserved", upTo: placed.reserveUpTo }];
}

/** Whether `slot` is `above` or below it. */
export function isUnder(inodes: Inodes, slot: number, above: number): boolean {
  for (let at = slot; at !== 0; at = inodes.parent.get(at)) if (at === above) return true;
  return false;
}

function blockOver(state: MasterState, slot: number): TailBlock | undefined {
  for (const block of state.tailBlocks)
    if (isUnder(state.inodes, slot, slotOfId(state.inodes, block.inode))) return block;
  return undefined;
}
