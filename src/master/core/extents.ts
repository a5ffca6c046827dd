/**
 * The sealed extents of files (DESIGN §3): the only one of most files lies in the inode's columns, several in arrays with running sums, where an
 * offset is found by binary search. An open tail is not among them: it has no length yet (tails.ts).
 */
import { assert } from "../../base/assert.ts";
import { chunkHandle, type ChunkHandle } from "../../wire/ids.ts";
import type { ExtentList, Inodes } from "./inodes.ts";

/** Bytes `offset`.. of a chunk lie at `fileOffset` of the file. Lengths are in bytes, from 1. */
export interface Extent {
  readonly handle: ChunkHandle;
  readonly offset: number;
  readonly length: number;
}
export interface PlacedExtent extends Extent {
  readonly fileOffset: number;
}

/** In a file's `content` column, in place of a handle: its extents are in a list. */
const inList = -1;

/** Sealed bytes of a file. */
export function fileBytes(inodes: Inodes, slot: number): number {
  const list = listOf(inodes, slot);
  return list === undefined ? inodes.second.get(slot) : endOf(list, list.count - 1);
}

export function extentCount(inodes: Inodes, slot: number): number {
  const list = listOf(inodes, slot);
  if (list !== undefined) return list.count;
  return inodes.content.get(slot) === 0 ? 0 : 1;
}

/** The extent at `index` below the count. */
export function extentAt(inodes: Inodes, slot: number, index: number): PlacedExtent {
  assert(index >= 0 && index < extentCount(inodes, slot), "no such extent");
  const list = listOf(inodes, slot);
  if (list === undefined) {
    const handle = chunkHandle(inodes.content.get(slot));
    return { handle, offset: inodes.first.get(slot), length: inodes.second.get(slot), fileOffset: 0 };
  }
  const fileOffset = endOf(list, index - 1);
  return {
    handle: chunkHandle(list.handles[index] ?? 0),
    offset: list.offsets[index] ?? 0,
    length: endOf(list, index) - fileOffset,
    fileOffset,
  };
}

/** Where the chunk lies in the file; undefined where it has no extent of it. */
export function extentOfChunk(inodes: Inodes, slot: number, handle: ChunkHandle): PlacedExtent | undefined {
  const list = listOf(inodes, slot);
  if (list === undefined) return inodes.content.get(slot) === handle ? extentAt(inodes, slot, 0) : undefined;
  const index = list.handles.lastIndexOf(handle, list.count - 1);
  return index < 0 ? undefined : extentAt(inodes, slot, index);
}

/** Index of the extent with the byte at `fileOffset`; the count for an offset at or past the end. */
export function findExtent(inodes: Inodes, slot: number, fileOffset: number): number {
  const list = listOf(inodes, slot);
  if (list === undefined) return fileOffset < inodes.second.get(slot) ? 0 : extentCount(inodes, slot);
  let low = 0;
  let high = list.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (endOf(list, middle) <= fileOffset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Adds an extent at the end of the file. Sums over directories are the caller's. */
export function appendExtent(inodes: Inodes, slot: number, extent: Extent): void {
  assert(extent.length > 0, "an extent holds at least one byte");
  const list = listOf(inodes, slot);
  if (list !== undefined) {
    push(list, extent);
    return;
  }
  if (inodes.content.get(slot) === 0) {
    inodes.content.set(slot, extent.handle);
    inodes.first.set(slot, extent.offset);
    inodes.second.set(slot, extent.length);
    return;
  }
  const begun = newList();
  push(begun, extentAt(inodes, slot, 0));
  push(begun, extent);
  inodes.extentLists.set(slot, begun);
  inodes.content.set(slot, inList);
  inodes.first.set(slot, 0);
  inodes.second.set(slot, 0);
}

/** Takes all extents from a file that ends, and names their chunks. */
export function dropExtents(inodes: Inodes, slot: number): ChunkHandle[] {
  const handles: ChunkHandle[] = [];
  for (let i = 0, count = extentCount(inodes, slot); i < count; i++) handles.push(extentAt(inodes, slot, i).handle);
  inodes.extentLists.delete(slot);
  inodes.content.set(slot, 0);
  inodes.first.set(slot, 0);
  inodes.second.set(slot, 0);
  return handles;
}

function listOf(inodes: Inodes, slot: number): ExtentList | undefined {
  return inodes.content.get(slot) === inList ? inodes.extentLists.get(slot) : undefined;
}

function endOf(list: ExtentList, index: number): number {
  return index < 0 ? 0 : (list.ends[index] ?? 0);
}

function newList(): ExtentList {
  return { count: 0, handles: new Float64Array(2), offsets: new Uint32Array(2), ends: new Float64Array(2) };
}

function push(list: ExtentList, extent: Extent): void {
  if (list.count === list.handles.length) {
    list.handles = grown(list.handles, new Float64Array(list.count * 2));
    list.offsets = grown(list.offsets, new Uint32Array(list.count * 2));
    list.ends = grown(list.ends, new Float64Array(list.count * 2));
  }
  list.handles[list.count] = extent.handle;
  list.offsets[list.count] = extent.offset;
  list.ends[list.count] = endOf(list, list.count - 1) + extent.length;
  list.count++;
}

function grown<Numbers extends Float64Array | Uint32Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}
