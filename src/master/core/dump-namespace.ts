/**
 * Checkpoint sections of the tree, the trash and what waits to be reaped: the columns of inodes in blocks of slots with their names, and the extents of files
 * with several. What follows from these is not written: restore-tree.ts makes it anew.
 */
import { GfsError } from "../../base/errors.ts";
import { utf8, viewOf } from "../../base/bytes.ts";
import { Attributes } from "../../wire/control/attributes.ts";
import { chunkHandle, inodeId } from "../../wire/ids.ts";
import { applyAttributesSet, attributesAt } from "./attributes.ts";
import type { Column, Numbers } from "./column.ts";
import { appendExtent, extentAt, extentCount } from "./extents.ts";
import {
  firstFreeSlot,
  idOfSlot,
  type Inodes,
  isDirectory,
  isFile,
  restoreFreeSlots,
  rootSlot,
  slotKind,
  slotOfId,
  trashSlot,
} from "./inodes.ts";
import { type SectionReader, SectionWriter } from "./sections.ts";
import { trashFacts } from "./trash.ts";

const extentsPerEntry = 1_000;
/** Of one block: so it stays below what an entry of a section may have. */
const blockSlotsMax = 4_096;
const blockNameBytesMax = 131_072;
/** Before the path of an entry of the trash, in place of a name: when it was removed, when it expires. */
export const trashTimesBytes = 16;

/** Blocks of slots from the root's to the last ever used, then extents. */
export function* dumpNamespace(inodes: Inodes): Generator<Uint8Array> {
  const writer = new SectionWriter("inodes");
  for (let slot: number = rootSlot; slot < inodes.slotEnd;) {
    slot = writeBlock(writer, inodes, slot);
    const piece = writer.endEntry();
    if (piece !== undefined) yield piece;
  }
  yield* left(writer);
  yield* dumpExtents(inodes);
  yield* dumpAttributes(inodes);
}

/** The piece of what a writer still holds. */
export function* left(writer: SectionWriter): Generator<Uint8Array> {
  const piece = writer.end();
  if (piece !== undefined) yield piece;
}

/** Whether the section is one of these; if so its entries are in `inodes` now, which was empty before the first. */
export function loadNamespaceSection(reader: SectionReader, inodes: Inodes): boolean {
  switch (reader.section) {
    case "inodes":
      while (reader.nextEntry()) readBlock(reader, inodes);
      return true;
    case "attributes":
      while (reader.nextEntry()) readAttributes(reader, inodes);
      return true;
    case "extents":
      while (reader.nextEntry()) readExtents(reader, inodes);
      return true;
    default:
      return false;
  }
}

/** Columns of so many slots, and what each writer and reader of a block goes through in this order. */
function blockOf(count: number) {
  return {
    modifiedMs: new Float64Array(count),
    link: new Float64Array(count),
    content: new Float64Array(count),
    first: new Uint32Array(count),
    second: new Uint32Array(count),
    next: new Uint32Array(count),
    generation: new Uint32Array(count),
    reuse: new Uint16Array(count),
    kind: new Uint8Array(count),
    replicas: new Uint8Array(count),
  };
}
type Block = ReturnType<typeof blockOf>;

/** Writes the block that begins at `from`; the slot after it. */
function writeBlock(writer: SectionWriter, inodes: Inodes, from: number): number {
  const names: Uint8Array[] = [];
  let nameBytes = 0;
  let slot = from;
  for (; slot < inodes.slotEnd && slot - from < blockSlotsMax && nameBytes < blockNameBytesMax; slot++) {
    const name = nameInDump(inodes, slot);
    names.push(name);
    nameBytes += name.length;
  }
  const block = blockOf(slot - from);
  for (const [column, values] of columnsOf(inodes, block)) column.getRun(from, values);
  for (let i = 0; i < block.kind.length; i++) {
    const kind = block.kind[i];
    if (kind === slotKind.file && inodes.extentLists.has(from + i)) block.content[i] = 0;
    // What depends on how memory was used is left out: rows of directories, and the list of free slots.
    if (kind === slotKind.directory) block.content[i] = block.second[i] = 0;
    else if (kind !== slotKind.file) block.next[i] = 0;
  }
  writer.u32(from);
  writer.u32(slot - from);
  for (const [, values] of columnsOf(inodes, block)) writer.column(values);
  writer.column(Uint16Array.from(names, (name) => name.length));
  for (const name of names) writer.column(name);
  return slot;
}

function readBlock(reader: SectionReader, inodes: Inodes): void {
  const from = reader.u32();
  const count = reader.u32();
  if (count > blockSlotsMax || from !== (from === rootSlot ? rootSlot : inodes.slotEnd))
    throw new GfsError("Corrupt", `Cannot read a checkpoint: inodes from ${from} on do not follow the ones before`);
  const block = blockOf(count);
  for (const [column, values] of columnsOf(inodes, block)) column.setRun(from, reader.column(values));
  for (const [i, length] of reader.column(new Uint16Array(count)).entries())
    if (length > 0) inodes.name.set(from + i, inodes.arena.put(reader.data, reader.skip(length), length));
  inodes.slotEnd = Math.max(firstFreeSlot, from + count);
  restoreFreeSlots(inodes, from, block.kind);
}

function columnsOf(inodes: Inodes, block: Block): readonly (readonly [column: Column, values: Numbers])[] {
  return [
    [inodes.modifiedMs, block.modifiedMs],
    [inodes.link, block.link],
    [inodes.content, block.content],
    [inodes.first, block.first],
    [inodes.second, block.second],
    [inodes.next, block.next],
    [inodes.generation, block.generation],
    [inodes.reuse, block.reuse],
    [inodes.kind, block.kind],
    [inodes.replicas, block.replicas],
  ];
}

function nameInDump(inodes: Inodes, slot: number): Uint8Array {
  const parent = inodes.parent.get(slot);
  if (parent !== trashSlot) return inodes.name.get(slot) === 0 ? noName : inodes.arena.get(inodes.name.get(slot));
  const { path, removedMs, expiresMs } = trashFacts(inodes, slot);
  const text = utf8(path);
  const bytes = new Uint8Array(trashTimesBytes + text.length);
  viewOf(bytes).setFloat64(0, removedMs, true);
  viewOf(bytes).setFloat64(8, expiresMs, true);
  bytes.set(text, trashTimesBytes);
  return bytes;
}

const noName = new Uint8Array(0);

function* dumpExtents(inodes: Inodes): Generator<Uint8Array> {
  const writer = new SectionWriter("extents");
  for (const slot of [...inodes.extentLists.keys()].sort((a, b) => a - b)) {
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
  for (let left = reader.u16(); left > 0; left--)
    appendExtent(inodes, slot, { handle: chunkHandle(reader.u53()), offset: reader.u32(), length: reader.u32() });
}

function* dumpAttributes(inodes: Inodes): Generator<Uint8Array> {
  const writer = new SectionWriter("attributes");
  for (const slot of [...inodes.attributes.keys()].sort((a, b) => a - b)) {
    const { replicas, trashMs } = attributesAt(inodes, slot);
    writer.u53(idOfSlot(inodes, slot));
    writer.u8(replicas ?? 0);
    writer.u8(trashMs === undefined ? 0 : 1);
    writer.f64(trashMs ?? 0);
    const piece = writer.endEntry();
    if (piece !== undefined) yield piece;
  }
  yield* left(writer);
}

function readAttributes(reader: SectionReader, inodes: Inodes): void {
  const inode = inodeId(reader.u53());
  const slot = slotOfId(inodes, inode);
  const [replicas, hasTrash, trashMs] = [reader.u8(), reader.u8(), reader.f64()];
  const parsed = Attributes.safeParse({
    ...(replicas === 0 ? {} : { replicas }),
    ...(hasTrash === 0 ? {} : { trashMs }),
  });
  if (slot === 0 || !isDirectory(inodes, slot) || !parsed.success)
    throw new GfsError("Corrupt", `Cannot read a checkpoint: the attributes of inode ${inode} are none of a directory`);
  applyAttributesSet(inodes, slot, parsed.data);
}

function writeExtent(writer: SectionWriter, inodes: Inodes, slot: number, index: number): void {
  const { handle, offset, length } = extentAt(inodes, slot, index);
  writer.u53(handle);
  writer.u32(offset);
  writer.u32(length);
}
