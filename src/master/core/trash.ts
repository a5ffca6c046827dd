/**
 * The trash (DESIGN §4.5): subtrees that were removed or replaced, oldest first, each with the path it had. It is a directory without names: what the
 * arena holds for an entry in place of a name is when it was removed, when it expires, its neighbours of the same path, and the path.
 */
import { assert, defined } from "../../base/assert.ts";
import { fromUtf8, utf8, viewOf } from "../../base/bytes.ts";
import { hashBytes, HashIndex } from "../../base/hash-index.ts";
import { childCount, firstChild, linkBlock, treeSums, unlinkBlock } from "./children.ts";
import { type Inodes, trashSlot } from "./inodes.ts";

const pathSeed = 0x7a5b;
const olderAt = 16;
const newerAt = 20;
const pathAt = 24;

export interface Trash {
  /** From a path to its newest entry. */
  readonly newest: HashIndex<Uint8Array>;
}

/** `removedMs` and `expiresMs` in cluster time. */
export interface TrashFacts {
  readonly path: string;
  readonly removedMs: number;
  readonly expiresMs: number;
}

export function newTrash(inodes: Inodes): Trash {
  return {
    newest: new HashIndex((slot, path) => {
      const held = blockOf(inodes, slot).subarray(pathAt);
      return held.length === path.length && held.every((byte, i) => byte === path[i]);
    }),
  };
}

/** Puts an inode that is in no directory into the trash, as its newest entry. */
export function addToTrash(trash: Trash, inodes: Inodes, slot: number, facts: TrashFacts): void {
  linkBlock(inodes, slot, { parent: trashSlot, block: indexInTrash(trash, inodes, slot, facts) });
}

/** The arena's block for a new entry, which is found by its path from now on. */
export function indexInTrash(trash: Trash, inodes: Inodes, slot: number, facts: TrashFacts): number {
  const path = utf8(facts.path);
  const block = new Uint8Array(pathAt + path.length);
  const view = viewOf(block);
  view.setFloat64(0, facts.removedMs, true);
  view.setFloat64(8, facts.expiresMs, true);
  block.set(path, pathAt);
  const hash = hashBytes(path, pathSeed);
  const older = trash.newest.find(hash, path);
  if (older >= 0) {
    view.setUint32(olderAt, older, true);
    trash.newest.remove(hash, older);
    viewOf(blockOf(inodes, older)).setUint32(newerAt, slot, true);
  }
  trash.newest.insert(hash, slot);
  return inodes.arena.put(block);
}

/** Takes an entry out of the trash; it is in no directory then. */
export function takeFromTrash(trash: Trash, inodes: Inodes, slot: number): void {
  assert(isInTrash(inodes, slot), "what leaves the trash was in it");
  const view = viewOf(blockOf(inodes, slot));
  const older = view.getUint32(olderAt, true);
  const newer = view.getUint32(newerAt, true);
  if (older !== 0) viewOf(blockOf(inodes, older)).setUint32(newerAt, newer, true);
  if (newer === 0) {
    const hash = hashBytes(blockOf(inodes, slot).subarray(pathAt), pathSeed);
    trash.newest.remove(hash, slot);
    if (older !== 0) trash.newest.insert(hash, older);
  } else viewOf(blockOf(inodes, newer)).setUint32(olderAt, older, true);
  unlinkBlock(inodes, slot);
}

/** Whether the slot is an entry of the trash (not something below one). */
export function isInTrash(inodes: Inodes, slot: number): boolean {
  return inodes.parent.get(slot) === trashSlot;
}

export function trashFacts(inodes: Inodes, slot: number): TrashFacts {
  const block = blockOf(inodes, slot);
  const view = viewOf(block);
  const path = defined(fromUtf8(block.subarray(pathAt)), "the path of a trash entry");
  return { path, removedMs: view.getFloat64(0, true), expiresMs: view.getFloat64(8, true) };
}

/** The newest removed entry of a path, or 0. */
export function newestOfPath(trash: Trash, path: string): number {
  const bytes = utf8(path);
  return Math.max(trash.newest.find(hashBytes(bytes, pathSeed), bytes), 0);
}

/** The oldest entries, at most `max`; with `expiredAtMs` only those that expired by then. */
export function oldestInTrash(inodes: Inodes, max: number, expiredAtMs?: number): number[] {
  const slots: number[] = [];
  for (let slot = firstChild(inodes, trashSlot); slot !== 0 && slots.length < max; slot = inodes.next.get(slot)) {
    if (expiredAtMs !== undefined && trashFacts(inodes, slot).expiresMs > expiredAtMs) break;
    slots.push(slot);
  }
  return slots;
}

export function trashTotals(inodes: Inodes): { entries: number; bytes: number } {
  return { entries: childCount(inodes, trashSlot), bytes: treeSums(inodes, trashSlot).bytes };
}

function blockOf(inodes: Inodes, slot: number): Uint8Array {
  return inodes.arena.get(inodes.name.get(slot));
}
