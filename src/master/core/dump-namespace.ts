/** Checkpoint sections of the tree, the trash and what waits to be reaped: inodes, extents of files with several, and unused slots. */
import { GfsError } from "../../base/errors.ts";
import { chunkHandle, inodeId } from "../../wire/ids.ts";
import { addBytesToAncestors, firstChild, linkBlock, linkNamed } from "./children.ts";
import { appendExtent, extentAt, extentCount } from "./extents.ts";
import {
  detachedSlot,
  firstFreeSlot,
  idOfSlot,
  type Inodes,
  isDirectory,
  isFile,
  restoreInode,
  restoreUnusedSlot,
  rootSlot,
  slotKind,
  slotOfId,
  trashSlot,
  usesOfUnusedSlot,
} from "./inodes.ts";
import { type SectionReader, SectionWriter } from "./sections.ts";
import { addToTrash, type Trash, trashFacts } from "./trash.ts";

const extentsPerEntry = 1_000;
/** Where an inode's extents are: it has none or is a directory; in its entry; in the section of extents. */
const extentsAre = { none: 0, inline: 1, listed: 2 } as const;

/** Directories before their children, children in the order of their links; then extents, then unused slots. */
export function* dumpNamespace(inodes: Inodes): Generator<Uint8Array> {
  const writer = new SectionWriter("inodes");
  const listed: number[] = [];
  const directories = [rootSlot, trashSlot, detachedSlot];
  // Grows while it is read: breadth first.
  for (const directory of directories) {
    for (let slot = firstChild(inodes, directory); slot !== 0; slot = inodes.next.get(slot)) {
      if (isDirectory(inodes, slot)) directories.push(slot);
      else if (extentCount(inodes, slot) > 1) listed.push(slot);
      writeInode(writer, inodes, slot, directory);
      const piece = writer.endEntry();
      if (piece !== undefined) yield piece;
    }
  }
  yield* left(writer);
  yield* dumpExtents(inodes, listed);
  const unused = new SectionWriter("unused-slots");
  for (let slot = firstFreeSlot; slot < inodes.slotEnd; slot++) {
    const kind = inodes.kind.get(slot);
    if (kind !== slotKind.free && kind !== slotKind.retired) continue;
    unused.u32(slot);
    unused.u32(usesOfUnusedSlot(inodes, slot));
    const piece = unused.endEntry();
    if (piece !== undefined) yield piece;
  }
  yield* left(unused);
}

/** The piece of what a writer still holds. */
export function* left(writer: SectionWriter): Generator<Uint8Array> {
  const piece = writer.end();
  if (piece !== undefined) yield piece;
}

/** Whether the section is one of these; if so its entries are in `inodes` now, which was empty before the first. */
export function loadNamespaceSection(reader: SectionReader, inodes: Inodes, trash: Trash): boolean {
  switch (reader.section) {
    case "inodes":
      while (reader.nextEntry()) readInode(reader, inodes, trash);
      return true;
    case "extents":
      while (reader.nextEntry()) readExtents(reader, inodes);
      return true;
    case "unused-slots":
      while (reader.nextEntry()) {
        const slot = reader.u32();
        restoreUnusedSlot(inodes, slot, reader.u32());
        inodes.slotEnd = Math.max(inodes.slotEnd, slot + 1);
      }
      return true;
    default:
      return false;
  }
}

function writeInode(writer: SectionWriter, inodes: Inodes, slot: number, parent: number): void {
  const file = isFile(inodes, slot);
  writer.u53(idOfSlot(inodes, slot));
  writer.u32(parent);
  writer.u53(inodes.link.get(slot));
  writer.u8(inodes.kind.get(slot));
  writer.u8(inodes.replicas.get(slot));
  writer.u32(inodes.generation.get(slot));
  writer.f64(inodes.modifiedMs.get(slot));
  if (parent === trashSlot) {
    const { path, removedMs, expiresMs } = trashFacts(inodes, slot);
    writer.f64(removedMs);
    writer.f64(expiresMs);
    writer.text(path);
  } else if (parent !== detachedSlot) writer.bytes(inodes.arena.get(inodes.name.get(slot)));
  const extents = file ? extentCount(inodes, slot) : 0;
  writer.u8(extents === 0 ? extentsAre.none : extents === 1 ? extentsAre.inline : extentsAre.listed);
  if (extents === 1) writeExtent(writer, inodes, slot, 0);
}

function readInode(reader: SectionReader, inodes: Inodes, trash: Trash): void {
  const inode = inodeId(reader.u53());
  const parent = reader.u32();
  const link = reader.u53();
  const kind = reader.u8();
  const type = kind === slotKind.file ? "file" : "directory";
  const [replicas, generation, modifiedMs] = [reader.u8(), reader.u32(), reader.f64()];
  const slot = restoreInode(inodes, { inode, type, replicas, generation, modifiedMs });
  let place: () => void;
  if (parent === trashSlot) {
    const [removedMs, expiresMs, path] = [reader.f64(), reader.f64(), reader.text()];
    place = () => addToTrash(trash, inodes, slot, { path, removedMs, expiresMs });
  } else if (parent === detachedSlot) place = () => linkBlock(inodes, slot, { parent, block: 0 });
  else {
    const name = reader.bytes();
    place = () => linkNamed(inodes, slot, { parent, name });
  }
  if (reader.u8() === extentsAre.inline) readExtent(reader, inodes, slot);
  inodes.nextLink = link;
  place();
}

function* dumpExtents(inodes: Inodes, slots: readonly number[]): Generator<Uint8Array> {
  const writer = new SectionWriter("extents");
  for (const slot of slots) {
    const count = extentCount(inodes, slot);
    for (let from = 0; from < count; from += extentsPerEntry) {
      const to = Math.min(from + extentsPerEntry, count);
      writer.u53(idOfSlot(inodes, slot));
      writer.u16(to - from);
      for (let i = from; i < to; i++) writeExtent(writer, inodes, slot, i);
      const piece = writer.endEntry();
      if (piece !== undefined) yield piece;
    }
  }
  yield* left(writer);
}

function readExtents(reader: SectionReader, inodes: Inodes): void {
  const inode = inodeId(reader.u53());
  const slot = slotOfId(inodes, inode);
  if (slot === 0 || !isFile(inodes, slot))
    throw new GfsError("Corrupt", `Cannot read a checkpoint: it has extents of inode ${inode}, which is no file in it`);
  let bytes = 0;
  for (let left = reader.u16(); left > 0; left--) bytes += readExtent(reader, inodes, slot);
  addBytesToAncestors(inodes, slot, bytes);
}

function writeExtent(writer: SectionWriter, inodes: Inodes, slot: number, index: number): void {
  const { handle, offset, length } = extentAt(inodes, slot, index);
  writer.u53(handle);
  writer.u32(offset);
  writer.u32(length);
}

function readExtent(reader: SectionReader, inodes: Inodes, slot: number): number {
  const [handle, offset, length] = [chunkHandle(reader.u53()), reader.u32(), reader.u32()];
  appendExtent(inodes, slot, { handle, offset, length });
  return length;
}
