/**
 * The children of a directory: a list in the order they came, so that a page of a listing costs a page and a cursor stays right whatever is
 * inserted or removed meanwhile; and sums over subtrees, kept up to date along the ancestors (so `du` costs nothing).
 */
import { assert } from "../../base/assert.ts";
import { fileBytes } from "./extents.ts";
import { type Inodes, isDirectory, isFile, nameHash } from "./inodes.ts";

/** Children between two landmarks, so the most that a cursor without its child walks. */
const landmarkSpacing = 512;

/** What a subtree holds. */
export interface TreeSums {
  readonly files: number;
  readonly directories: number;
  /** Of sealed extents. */
  readonly bytes: number;
  readonly storedBytes: number;
}

/** The child of `parent` with this name, or 0. */
export function findChild(inodes: Inodes, parent: number, name: Uint8Array): number {
  const key = { parent, name };
  return Math.max(inodes.index.find(nameHash(key), key), 0);
}

/** Puts an inode that is in no directory under a name that is free there. */
export function linkNamed(inodes: Inodes, slot: number, place: { parent: number; name: Uint8Array }): void {
  const hash = nameHash(place);
  assert(inodes.index.find(hash, place) < 0, "a name is taken once");
  linkBlock(inodes, slot, { parent: place.parent, block: inodes.arena.put(place.name) });
  inodes.index.insert(hash, slot);
}

/** Takes a named inode out of its directory. */
export function unlinkNamed(inodes: Inodes, slot: number): void {
  removeFromIndex(inodes, slot);
  unlinkBlock(inodes, slot);
}

/** Another name in the same directory; the place in a listing stays, so that it is seen once. */
export function rename(inodes: Inodes, slot: number, name: Uint8Array): void {
  removeFromIndex(inodes, slot);
  inodes.arena.free(inodes.name.get(slot));
  inodes.name.set(slot, inodes.arena.put(name));
  inodes.index.insert(nameHash({ parent: inodes.parent.get(slot), name }), slot);
}

/** Appends an inode to a directory's children without a name; `block`: what the arena holds for it, or 0. */
export function linkBlock(inodes: Inodes, slot: number, place: { parent: number; block: number }): void {
  const { parent, block } = place;
  assert(inodes.parent.get(slot) === 0 && isDirectory(inodes, parent), "an inode is linked once, and into a directory");
  const last = inodes.second.get(parent);
  inodes.name.set(slot, block);
  inodes.parent.set(slot, parent);
  inodes.previous.set(slot, last);
  inodes.next.set(slot, 0);
  inodes.link.set(slot, inodes.nextLink++);
  if (last === 0) inodes.first.set(parent, slot);
  else inodes.next.set(last, slot);
  inodes.second.set(parent, slot);
  inodes.directories.children.add(inodes.content.get(parent), 1);
  markLandmark(inodes, parent, slot);
  addToAncestors(inodes, parent, sumsWith(inodes, slot), 1);
}

/** While a checkpoint is read: `linkBlock` of an inode that has its link and its neighbour after it already. Sums over directories are the caller's. */
export function linkRestored(inodes: Inodes, slot: number, place: { parent: number; previous: number }): void {
  const { parent, previous } = place;
  inodes.parent.set(slot, parent);
  inodes.previous.set(slot, previous);
  inodes.second.set(parent, slot);
  inodes.directories.children.add(inodes.content.get(parent), 1);
  markLandmark(inodes, parent, slot);
}

/** Takes an inode out of its directory's children and frees its block. */
export function unlinkBlock(inodes: Inodes, slot: number): void {
  const parent = inodes.parent.get(slot);
  assert(parent !== 0, "an inode that is unlinked was linked");
  addToAncestors(inodes, parent, sumsWith(inodes, slot), -1);
  dropLandmark(inodes, parent, slot);
  const next = inodes.next.get(slot);
  const previous = inodes.previous.get(slot);
  if (next === 0) inodes.second.set(parent, previous);
  else inodes.previous.set(next, previous);
  if (previous === 0) inodes.first.set(parent, next);
  else inodes.next.set(previous, next);
  inodes.directories.children.add(inodes.content.get(parent), -1);
  const block = inodes.name.get(slot);
  if (block !== 0) inodes.arena.free(block);
  for (const column of [inodes.name, inodes.parent, inodes.next, inodes.previous, inodes.link]) column.set(slot, 0);
}

export function childCount(inodes: Inodes, directory: number): number {
  return inodes.directories.children.get(inodes.content.get(directory));
}

export function firstChild(inodes: Inodes, directory: number): number {
  return inodes.first.get(directory);
}

/** The first child linked after `link`, or 0. `hint`: the slot that had this link, where known. */
export function childAfter(inodes: Inodes, directory: number, after: { link: number; hint: number }): number {
  const { link, hint } = after;
  if (hint > 0 && inodes.parent.get(hint) === directory && inodes.link.get(hint) === link) return inodes.next.get(hint);
  let slot = landmarkBefore(inodes, directory, link) ?? inodes.first.get(directory);
  while (slot !== 0 && inodes.link.get(slot) <= link) slot = inodes.next.get(slot);
  return slot;
}

/** Sums over what is below a directory, itself not counted; of a file, itself. */
export function treeSums(inodes: Inodes, slot: number): TreeSums {
  if (isFile(inodes, slot)) return sumsWith(inodes, slot);
  const row = inodes.content.get(slot);
  const rows = inodes.directories;
  return {
    files: rows.files.get(row),
    directories: rows.directories.get(row),
    bytes: rows.bytes.get(row),
    storedBytes: rows.storedBytes.get(row),
  };
}

/** A file of `directory` (or below) grew by `bytes` (negative: shrank) with so many replicas each. */
export function addBytesToAncestors(inodes: Inodes, file: number, bytes: number): void {
  const sums = { files: 0, directories: 0, bytes, storedBytes: bytes * inodes.replicas.get(file) };
  addToAncestors(inodes, inodes.parent.get(file), sums, 1);
}

/** The file wants so many replicas of each byte. */
export function setReplicas(inodes: Inodes, file: number, replicas: number): void {
  const bytes = fileBytes(inodes, file);
  const storedBytes = bytes * (replicas - inodes.replicas.get(file));
  inodes.replicas.set(file, replicas);
  addToAncestors(inodes, inodes.parent.get(file), { files: 0, directories: 0, bytes: 0, storedBytes }, 1);
}

function sumsWith(inodes: Inodes, slot: number): TreeSums {
  if (isFile(inodes, slot)) {
    const bytes = fileBytes(inodes, slot);
    return { files: 1, directories: 0, bytes, storedBytes: bytes * inodes.replicas.get(slot) };
  }
  const below = treeSums(inodes, slot);
  return { ...below, directories: below.directories + 1 };
}

function addToAncestors(inodes: Inodes, from: number, sums: TreeSums, sign: 1 | -1): void {
  const rows = inodes.directories;
  for (let slot = from; slot !== 0; slot = inodes.parent.get(slot)) {
    const row = inodes.content.get(slot);
    if (sums.files !== 0) rows.files.add(row, sign * sums.files);
    if (sums.directories !== 0) rows.directories.add(row, sign * sums.directories);
    if (sums.bytes !== 0) rows.bytes.add(row, sign * sums.bytes);
    if (sums.storedBytes !== 0) rows.storedBytes.add(row, sign * sums.storedBytes);
  }
}

function removeFromIndex(inodes: Inodes, slot: number): void {
  const key = { parent: inodes.parent.get(slot), name: inodes.arena.get(inodes.name.get(slot)) };
  inodes.index.remove(nameHash(key), slot);
}

function markLandmark(inodes: Inodes, directory: number, slot: number): void {
  let marks = inodes.landmarks.get(directory);
  if (marks === undefined) {
    if (childCount(inodes, directory) < landmarkSpacing) return;
    marks = { links: [], slots: [], sinceLast: landmarkSpacing };
    inodes.landmarks.set(directory, marks);
  }
  if (++marks.sinceLast < landmarkSpacing) return;
  marks.sinceLast = 0;
  marks.links.push(inodes.link.get(slot));
  marks.slots.push(slot);
  inodes.landmarkSlots.add(slot);
}

/** A landmark that goes hands its part to the next child, unless that is one already. */
function dropLandmark(inodes: Inodes, directory: number, slot: number): void {
  if (!inodes.landmarkSlots.delete(slot)) return;
  const marks = inodes.landmarks.get(directory);
  assert(marks !== undefined, "a landmark belongs to its directory");
  const at = lastAtMost(marks.links, inodes.link.get(slot));
  assert(marks.slots[at] === slot, "a landmark is found by its link");
  const next = inodes.next.get(slot);
  if (next !== 0 && marks.slots[at + 1] !== next) {
    marks.links[at] = inodes.link.get(next);
    marks.slots[at] = next;
    inodes.landmarkSlots.add(next);
    return;
  }
  // The last child went: the next one takes its part, or appending and removing by turns would leave a long stretch without.
  if (next === 0) marks.sinceLast = landmarkSpacing - 1;
  marks.links.splice(at, 1);
  marks.slots.splice(at, 1);
  if (marks.links.length === 0) inodes.landmarks.delete(directory);
}

function landmarkBefore(inodes: Inodes, directory: number, link: number): number | undefined {
  const marks = inodes.landmarks.get(directory);
  return marks?.slots[lastAtMost(marks.links, link)];
}

/** Index of the last number that is not above `limit`, or -1. */
function lastAtMost(ascending: readonly number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
