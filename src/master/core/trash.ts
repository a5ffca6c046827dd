/**
 * The trash (DESIGN §4.5): subtrees that were removed or replaced, oldest first, each with the path it had. It is a directory without names: what the
 * arena holds for an entry in place of a name is when it was removed, when it expires, its neighbours of the same path, its place among what expires, and the path.
 */
import { assert, defined } from "../../base/assert.ts";
import { fromUtf8, utf8, viewOf } from "../../base/bytes.ts";
import { hashBytes, HashIndex } from "../../base/hash-index.ts";
import { childCount, firstChild, linkBlock, treeSums, unlinkBlock } from "./children.ts";
import { ExpiryHeap } from "./expiry-heap.ts";
import { type Inodes, trashSlot } from "./inodes.ts";

const pathSeed = 0x7a5b;
const slash = 0x2f;
const olderAt = 16;
const newerAt = 20;
const placeAt = 24;
const pathAt = 28;

export interface Trash {
  /** From a path to its newest entry. */
  readonly newest: HashIndex<Uint8Array>;
  readonly expiry: ExpiryHeap;
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
    expiry: new ExpiryHeap((slot, place) => viewOf(blockOf(inodes, slot)).setUint32(placeAt, place, true)),
  };
}

/** Puts an inode that is in no directory into the trash, as its newest entry. */
export function addToTrash(trash: Trash, inodes: Inodes, slot: number, facts: TrashFacts): void {
  linkBlock(inodes, slot, { parent: trashSlot, block: indexInTrash(trash, inodes, slot, facts) });
  trash.expiry.add(slot, facts.expiresMs);
}

/** The arena's block for a new entry, which is found by its path from now on; the caller gives it to the slot, and the slot to `expiry`. */
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
  trash.expiry.remove(slot, view.getUint32(placeAt, true));
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

/** Other entries of the same path as the newest one, counted up to `max`. */
export function olderOfPath(inodes: Inodes, slot: number, max: number): number {
  let count = 0;
  let at = viewOf(blockOf(inodes, slot)).getUint32(olderAt, true);
  for (; at !== 0 && count < max; at = viewOf(blockOf(inodes, at)).getUint32(olderAt, true)) count++;
  return count;
}

/** The oldest entries, at most `max`. */
export function oldestInTrash(inodes: Inodes, max: number): number[] {
  const slots: number[] = [];
  for (let slot = firstChild(inodes, trashSlot); slot !== 0 && slots.length < max; slot = inodes.next.get(slot))
    slots.push(slot);
  return slots;
}

export function trashTotals(inodes: Inodes): { entries: number; bytes: number; storedBytes: number } {
  const { bytes, storedBytes } = treeSums(inodes, trashSlot);
  return { entries: childCount(inodes, trashSlot), bytes, storedBytes };
}

/** Whether an entry was removed from the path, or (`below`) from there or below. */
export function wasAt(
  inodes: Inodes,
  slot: number,
  where: { readonly path: Uint8Array; readonly below: boolean },
): boolean {
  const { path, below } = where;
  const held = blockOf(inodes, slot).subarray(pathAt);
  if (held.length < path.length || (held.length > path.length && !below)) return false;
  for (let i = path.length - 1; i >= 0; i--) if (held[i] !== path[i]) return false;
  // Of the root every path is below.
  return held.length === path.length || path.length === 1 || held[path.length] === slash;
}

function blockOf(inodes: Inodes, slot: number): Uint8Array {
  return inodes.arena.get(inodes.name.get(slot));
}
