/**
 * A walk over all files at or below an inode, a page at a time, by their slots: slots stay with their inodes, so whatever comes and goes meanwhile, a file that
 * stays is visited once. A file with many extents is visited in parts.
 */
import { GfsError } from "../../base/errors.ts";
import { extentCount } from "./extents.ts";
import { firstFreeSlot, type Inodes, isFile } from "./inodes.ts";
import { isUnder } from "./tails.ts";

/** `slot` and `extent`: where it goes on. */
export interface FileWalk {
  readonly top: number;
  slot: number;
  extent: number;
  /** Left for this page. */
  slotsLeft: number;
  extentsLeft: number;
}

export interface FilePart {
  readonly slot: number;
  /** Extents from here on, up to and without `to`; both 0 for an empty file. */
  readonly from: number;
  readonly to: number;
  readonly last: boolean;
}

const pageSlots = 65_536;
const pageExtents = 65_536;
const stepSlots = 256;
const stepExtents = 1_024;

/** @throws GfsError("ProtocolError") for a cursor that no page gave */
export function beginWalk(inodes: Inodes, top: number, cursor: string | undefined): FileWalk {
  const from = cursor === undefined ? { slot: isFile(inodes, top) ? top : firstFreeSlot, extent: 0 } : parse(cursor);
  return { top, ...from, slotsLeft: pageSlots, extentsLeft: pageExtents };
}

/** The next few parts; a step takes a few hundred microseconds. `page`: it was the last of this page. */
export function stepWalk(
  inodes: Inodes,
  walk: FileWalk,
): { readonly parts: readonly FilePart[]; readonly page: boolean } {
  const parts: FilePart[] = [];
  let extents = stepExtents;
  for (let slots = stepSlots; slots > 0 && extents > 0; slots--) {
    if (isOver(inodes, walk) || walk.slotsLeft <= 0 || walk.extentsLeft <= 0) return { parts, page: true };
    const { slot, extent: from } = walk;
    const visited = isFile(inodes, slot) && isUnder(inodes, slot, walk.top);
    const count = visited ? extentCount(inodes, slot) : 0;
    const to = Math.min(count, from + extents);
    if (visited) parts.push({ slot, from: Math.min(from, to), to, last: to >= count });
    extents -= Math.max(0, to - from);
    walk.extentsLeft -= Math.max(0, to - from);
    if (to < count) walk.extent = to;
    else {
      walk.slot++;
      walk.extent = 0;
      walk.slotsLeft--;
    }
  }
  return { parts, page: false };
}

/** Goes into the request for the next page; undefined after the last. */
export function cursorOf(inodes: Inodes, walk: FileWalk): string | undefined {
  return isOver(inodes, walk) ? undefined : `${walk.slot.toString(36)}.${walk.extent.toString(36)}`;
}

function isOver(inodes: Inodes, { top, slot }: FileWalk): boolean {
  return isFile(inodes, top) ? slot !== top : slot >= inodes.slotEnd;
}

function parse(cursor: string): { slot: number; extent: number } {
  const [, slot, extent] = /^([0-9a-z]{1,7})\.([0-9a-z]{1,7})$/.exec(cursor) ?? [];
  const at = { slot: Number.parseInt(slot ?? "", 36), extent: Number.parseInt(extent ?? "", 36) };
  if (at.slot >= firstFreeSlot && at.slot < 0xffff_ffff && at.extent < 0xffff_ffff) return at;
  throw new GfsError("ProtocolError", "Cannot go on: the cursor is not one that a page gave");
}
