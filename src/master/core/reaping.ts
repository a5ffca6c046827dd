/** Reaping of detached subtrees (DESIGN §4.5): inode by inode, children before their directory, in batches of a bounded size. */
import { childCount, firstChild } from "./children.ts";
import { detachedSlot, idOfSlot, type Inodes, isDirectory } from "./inodes.ts";
import type { InodeId } from "../../wire/ids.ts";

/** The next inodes to reap, at most `max`, in the order that leaves each without children when its turn comes; none when all is done. */
export function nextToReap(inodes: Inodes, max: number): InodeId[] {
  const batch: InodeId[] = [];
  let slot = firstLeaf(inodes, firstChild(inodes, detachedSlot));
  while (slot !== 0 && slot !== detachedSlot && batch.length < max) {
    batch.push(idOfSlot(inodes, slot));
    const next = inodes.next.get(slot);
    slot = next === 0 ? inodes.parent.get(slot) : firstLeaf(inodes, next);
  }
  return batch;
}

/** Subtrees waiting to be reaped. */
export function detachedCount(inodes: Inodes): number {
  return childCount(inodes, detachedSlot);
}

function firstLeaf(inodes: Inodes, from: number): number {
  let slot = from;
  while (slot !== 0 && isDirectory(inodes, slot)) {
    const child = firstChild(inodes, slot);
    if (child === 0) return slot;
    slot = child;
  }
  return slot;
}
