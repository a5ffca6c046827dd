/**
 * The table of inodes: numbers in columns, names in an arena (about 80 bytes a file with its name). An inode's number is its slot plus
 * 2^32 × how often the slot was reused: never given twice, and found without an index.
 */
import { assert } from "../../base/assert.ts";
import { hashBytes, HashIndex } from "../../base/hash-index.ts";
import { protocol } from "../../limits.ts";
import type { Attributes } from "../../wire/control/attributes.ts";
import { inodeId, type InodeId, rootInode } from "../../wire/ids.ts";
import { ByteArena } from "./byte-arena.ts";
import { Column } from "./column.ts";

/** What a slot holds. A retired one was reused as often as its counter can tell. */
export const slotKind = { free: 0, file: 1, directory: 2, retired: 3 } as const;

/** Slots with a fixed use: the root, and the directories of the trash and of detached subtrees, which no path and no client reaches. */
export const rootSlot = 1;
export const trashSlot = 2;
export const detachedSlot = 3;
export const firstFreeSlot = 4;

export const reuseMax = 0xffff;
export const slotSpan = 0x1_0000_0000;

export interface NameKey {
  readonly parent: number;
  readonly name: Uint8Array;
}

/** Where a listing may start within a large directory without walking from its beginning; links ascending. */
export interface Landmarks {
  readonly links: number[];
  readonly slots: number[];
  sinceLast: number;
}

/** Extents in the order of the file, in arrays that grow by doubling; `ends` are running sums of their lengths. */
export interface ExtentList {
  count: number;
  handles: Float64Array;
  offsets: Uint32Array;
  ends: Float64Array;
}

/** Columns by slot; slot 0 is none. Fields of a free slot hold the free list, and 0. */
export interface Inodes {
  readonly kind: Column;
  readonly reuse: Column;
  /** Of a file: copies wanted. */
  readonly replicas: Column;
  readonly generation: Column;
  readonly modifiedMs: Column;
  /** Arena block: the name, or in the trash what trash.ts keeps; 0 for none. */
  readonly name: Column;
  readonly parent: Column;
  /** Neighbours among the children of the parent, in ascending order of `link`. */
  readonly next: Column;
  readonly previous: Column;
  readonly link: Column;
  /** Of a file: see extents.ts. Of a directory: its row in `directories`. */
  readonly content: Column;
  /** Of a file: offset of the only extent. Of a directory: the first child. */
  readonly first: Column;
  /** Of a file: length of the only extent. Of a directory: the last child. */
  readonly second: Column;
  /** Of files with more than one extent. */
  readonly extentLists: Map<number, ExtentList>;
  /** Of directories that have any (attributes.ts). */
  readonly attributes: Map<number, Attributes>;
  readonly directories: DirectoryRows;
  readonly arena: ByteArena;
  readonly index: HashIndex<NameKey>;
  readonly landmarks: Map<number, Landmarks>;
  readonly landmarkSlots: Set<number>;
  /** All slots from here on were never used. */
  slotEnd: number;
  freeSlot: number;
  /** The next link: grows with every linked child, so that a listing's cursor stays right whatever comes and goes. */
  nextLink: number;
}

/** Of a directory: its children, and sums over all below it (itself not counted). `storedBytes` counts wanted replicas. */
export interface DirectoryRows {
  readonly children: Column;
  readonly files: Column;
  readonly directories: Column;
  readonly bytes: Column;
  readonly storedBytes: Column;
  end: number;
  readonly free: number[];
}

export function newInodes(): Inodes {
  const parent = new Column("u32");
  const name = new Column("u32");
  const arena = new ByteArena();
  const inodes: Inodes = {
    kind: new Column("u8"),
    reuse: new Column("u16"),
    replicas: new Column("u8"),
    generation: new Column("u32"),
    modifiedMs: new Column("f64"),
    name,
    parent,
    next: new Column("u32"),
    previous: new Column("u32"),
    link: new Column("f64"),
    content: new Column("f64"),
    first: new Column("u32"),
    second: new Column("u32"),
    extentLists: new Map(),
    attributes: new Map(),
    directories: {
      children: new Column("u32"),
      files: new Column("f64"),
      directories: new Column("f64"),
      bytes: new Column("f64"),
      storedBytes: new Column("f64"),
      end: 1,
      free: [],
    },
    arena,
    index: new HashIndex((slot, key) => parent.get(slot) === key.parent && arena.equals(name.get(slot), key.name)),
    landmarks: new Map(),
    landmarkSlots: new Set(),
    slotEnd: firstFreeSlot,
    freeSlot: 0,
    nextLink: 1,
  };
  for (const slot of [rootSlot, trashSlot, detachedSlot]) {
    inodes.kind.set(slot, slotKind.directory);
    inodes.content.set(slot, takeRow(inodes.directories));
  }
  return inodes;
}

export function nameHash(key: NameKey): number {
  return hashBytes(key.name, nameSeed(key.parent));
}

/** What the hash of a name in this directory begins with. */
export function nameSeed(parent: number): number {
  return Math.imul(parent, 0x9e37_79b1);
}

export function idOfSlot(inodes: Inodes, slot: number): InodeId {
  return inodeId(inodes.reuse.get(slot) * slotSpan + slot);
}

/** The slot of a live inode, or 0 where there is none of this number (any more). */
export function slotOfId(inodes: Inodes, inode: InodeId): number {
  if (inode === rootInode) return rootSlot;
  const slot = inode % slotSpan;
  if (slot < firstFreeSlot || slot >= inodes.slotEnd) return 0;
  const kind = inodes.kind.get(slot);
  if (kind !== slotKind.file && kind !== slotKind.directory) return 0;
  return inodes.reuse.get(slot) === (inode - slot) / slotSpan ? slot : 0;
}

export function isFile(inodes: Inodes, slot: number): boolean {
  return inodes.kind.get(slot) === slotKind.file;
}

export function isDirectory(inodes: Inodes, slot: number): boolean {
  return inodes.kind.get(slot) === slotKind.directory;
}

/** The numbers that the next `count` inodes get, if nothing else is created in between. */
export function nextInodeIds(inodes: Inodes, count: number): InodeId[] {
  const ids: InodeId[] = [];
  for (let slot = inodes.freeSlot; slot !== 0 && ids.length < count; slot = inodes.next.get(slot))
    ids.push(idOfSlot(inodes, slot));
  for (let slot = inodes.slotEnd; ids.length < count; slot++) ids.push(idOfSlot(inodes, slot));
  return ids;
}

/** The next numbers of their slots, which are free: in this order they are the next of all. A slot whose number is beyond its last one retires. */
export function reserveInodes(inodes: Inodes, ids: readonly InodeId[]): void {
  for (const inode of ids) while (inodes.slotEnd <= inode % slotSpan) linkFree(inodes, inodes.slotEnd++);
  for (const inode of ids.toReversed()) {
    const slot = inode % slotSpan;
    const reuse = (inode - slot) / slotSpan;
    assert(slot >= firstFreeSlot, "a reserved inode has no fixed slot");
    assert(inodes.kind.get(slot) === slotKind.free, "a reserved inode's slot is free");
    assert(inodes.reuse.get(slot) <= reuse, "a reserved inode was not given before");
    unlinkFree(inodes, slot);
    if (reuse > reuseMax) inodes.kind.set(slot, slotKind.retired);
    else {
      inodes.reuse.set(slot, reuse);
      linkFree(inodes, slot);
    }
  }
}

/** What a new inode is made of; its place in the tree is given to it by children.ts. */
export interface NewInode {
  readonly inode: InodeId;
  readonly type: "file" | "directory";
  readonly replicas: number;
  readonly generation: number;
  readonly modifiedMs: number;
}

/** Takes the slot that the number names; it must be the next one or a free one. */
export function createInode(inodes: Inodes, made: NewInode): number {
  const slot = made.inode % slotSpan;
  const reuse = (made.inode - slot) / slotSpan;
  assert(slot >= firstFreeSlot && slot <= inodes.slotEnd, "a new inode skips slots");
  if (slot === inodes.slotEnd) inodes.slotEnd++;
  else {
    assert(inodes.kind.get(slot) === slotKind.free, "a new inode's slot is taken");
    unlinkFree(inodes, slot);
  }
  assert(inodes.reuse.get(slot) === reuse, "a new inode is not the next of its slot");
  assert(made.replicas <= protocol.replicasMax, "a new inode wants too many replicas");
  inodes.kind.set(slot, made.type === "file" ? slotKind.file : slotKind.directory);
  inodes.replicas.set(slot, made.replicas);
  inodes.generation.set(slot, made.generation);
  inodes.modifiedMs.set(slot, made.modifiedMs);
  if (made.type === "directory") inodes.content.set(slot, takeRow(inodes.directories));
  return slot;
}

/** Ends an inode that is in no directory any more and has neither children nor extents; its number is never seen again. */
export function freeInode(inodes: Inodes, slot: number): void {
  assert(inodes.parent.get(slot) === 0, "an inode that ends is in no directory");
  if (isDirectory(inodes, slot)) {
    giveRow(inodes.directories, inodes.content.get(slot));
    inodes.attributes.delete(slot);
  }
  for (const column of [inodes.replicas, inodes.generation, inodes.modifiedMs, inodes.link]) column.set(slot, 0);
  for (const column of [inodes.content, inodes.first, inodes.second]) column.set(slot, 0);
  const reuse = inodes.reuse.get(slot) + 1;
  if (reuse > reuseMax) inodes.kind.set(slot, slotKind.retired);
  else {
    inodes.reuse.set(slot, reuse);
    linkFree(inodes, slot);
  }
}

/** While a checkpoint is read: links those of the slots from `from` on that hold nothing and may be used, so that the lowest are used first. */
export function restoreFreeSlots(inodes: Inodes, from: number, kinds: Uint8Array): void {
  for (let i = kinds.length - 1; i >= 0; i--)
    if (kinds[i] === slotKind.free && from + i >= firstFreeSlot) linkFree(inodes, from + i);
}

function linkFree(inodes: Inodes, slot: number): void {
  inodes.kind.set(slot, slotKind.free);
  inodes.next.set(slot, inodes.freeSlot);
  inodes.previous.set(slot, 0);
  if (inodes.freeSlot !== 0) inodes.previous.set(inodes.freeSlot, slot);
  inodes.freeSlot = slot;
}

function unlinkFree(inodes: Inodes, slot: number): void {
  const next = inodes.next.get(slot);
  const previous = inodes.previous.get(slot);
  if (next !== 0) inodes.previous.set(next, previous);
  if (previous !== 0) inodes.next.set(previous, next);
  else inodes.freeSlot = next;
  inodes.next.set(slot, 0);
  inodes.previous.set(slot, 0);
}

/** A row of sums for a directory. */
export function takeRow(rows: DirectoryRows): number {
  return rows.free.pop() ?? rows.end++;
}

function giveRow(rows: DirectoryRows, row: number): void {
  for (const column of [rows.children, rows.files, rows.directories, rows.bytes, rows.storedBytes]) column.set(row, 0);
  rows.free.push(row);
}
