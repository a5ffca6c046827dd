/**
 * What a checkpoint leaves out of the namespace because it follows from the rest (DESIGN §4.1): the index of names, parents, the way back through a directory's
 * children, landmarks, the trash's index, and the sums of directories; made in one walk over the tree, which finds what can't be.
 */
import { GfsError } from "../../base/errors.ts";
import { fromUtf8, viewOf } from "../../base/bytes.ts";
import { linkRestored } from "./children.ts";
import { trashTimesBytes } from "./dump-namespace.ts";
import { fileBytes } from "./extents.ts";
import {
  detachedSlot,
  firstFreeSlot,
  type Inodes,
  isDirectory,
  isFile,
  nameSeed,
  rootSlot,
  takeRow,
  trashSlot,
} from "./inodes.ts";
import { indexInTrash, type Trash } from "./trash.ts";

/** For inodes, with their extents, that were just loaded. @throws GfsError("Corrupt") where they are no tree */
export function restoreTree(inodes: Inodes, trash: Trash): void {
  const { directories: rows, index, arena } = inodes;
  index.reserve(inodes.slotEnd);
  rows.end = 1;
  const directories: number[] = [rootSlot, trashSlot, detachedSlot];
  for (const directory of directories) {
    inodes.content.set(directory, takeRow(rows));
    if (!isDirectory(inodes, directory)) corrupt(directory, "is no directory");
  }
  // Grows while it is read: breadth first, so that sums can go up from its end.
  for (const directory of directories) {
    const row = inodes.content.get(directory);
    const seed = nameSeed(directory);
    let [files, below, bytes, storedBytes, previous] = [0, 0, 0, 0, 0];
    for (let slot = inodes.first.get(directory); slot !== 0; slot = inodes.next.get(slot)) {
      const file = isFile(inodes, slot);
      if (!file && !isDirectory(inodes, slot)) corrupt(slot, "is a child, and holds nothing");
      if (inodes.parent.get(slot) !== 0 || slot <= detachedSlot) corrupt(slot, "is in two places");
      if (inodes.link.get(slot) <= inodes.link.get(previous)) corrupt(slot, "is not in the order of its links");
      linkRestored(inodes, slot, { parent: directory, previous });
      if (file) {
        const own = fileBytes(inodes, slot);
        files++;
        bytes += own;
        storedBytes += own * inodes.replicas.get(slot);
      } else {
        below++;
        inodes.content.set(slot, takeRow(rows));
        directories.push(slot);
      }
      const name = inodes.name.get(slot);
      if ((name === 0) !== (directory === detachedSlot)) corrupt(slot, "has a name where it has none, or none");
      if (directory === trashSlot) restoreTrashed(inodes, trash, slot);
      else if (directory !== detachedSlot) index.insert(arena.hash(name, seed), slot);
      previous = slot;
    }
    rows.files.set(row, files);
    rows.directories.set(row, below);
    rows.bytes.set(row, bytes);
    rows.storedBytes.set(row, storedBytes);
  }
  for (let i = directories.length - 1; i > 0; i--) addToParent(inodes, directories[i] ?? 0);
  for (let slot = firstFreeSlot; slot < inodes.slotEnd; slot++)
    if ((isFile(inodes, slot) || isDirectory(inodes, slot)) && inodes.parent.get(slot) === 0)
      corrupt(slot, "is in no directory");
}

function addToParent(inodes: Inodes, directory: number): void {
  const { files, directories, bytes, storedBytes } = inodes.directories;
  const parent = inodes.parent.get(directory);
  if (parent === 0) return;
  const [from, to] = [inodes.content.get(directory), inodes.content.get(parent)];
  for (const column of [files, directories, bytes, storedBytes]) column.add(to, column.get(from));
}

function restoreTrashed(inodes: Inodes, trash: Trash, slot: number): void {
  const block = inodes.name.get(slot);
  const kept = inodes.arena.get(block).slice();
  const path = fromUtf8(kept.subarray(trashTimesBytes));
  if (kept.length <= trashTimesBytes || path === undefined) return corrupt(slot, "is in the trash without its path");
  const view = viewOf(kept);
  inodes.arena.free(block);
  const facts = { path, removedMs: view.getFloat64(0, true), expiresMs: view.getFloat64(8, true) };
  inodes.name.set(slot, indexInTrash(trash, inodes, slot, facts));
  trash.expiry.add(slot, facts.expiresMs);
}

function corrupt(slot: number, why: string): never {
  throw new GfsError("Corrupt", `Cannot read the tree of a checkpoint: inode in slot ${slot} ${why}`);
}
