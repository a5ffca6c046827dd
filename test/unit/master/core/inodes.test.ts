import { describe, expect, test } from "bun:test";
import {
  createInode,
  freeInode,
  idOfSlot,
  type Inodes,
  newInodes,
  nextInodeIds,
  slotOfId,
} from "../../../../src/master/core/inodes.ts";
import type { InodeId } from "../../../../src/wire/ids.ts";

const make = (inodes: Inodes, inode: InodeId): number =>
  createInode(inodes, { inode, type: "file", replicas: 1, generation: 1, modifiedMs: 0 });

/** Four files that ended: a free list of four slots. */
function withFreeSlots(): { inodes: Inodes; ended: InodeId[] } {
  const inodes = newInodes();
  const ended = nextInodeIds(inodes, 4);
  for (const slot of ended.map((inode) => make(inodes, inode))) freeInode(inodes, slot);
  return { inodes, ended };
}

describe("inodes", () => {
  test("free slots are taken in whatever order the log names them, as after a checkpoint", () => {
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [1, 3, 0, 2],
      [2, 1, 3, 0],
    ]) {
      const { inodes, ended } = withFreeSlots();
      const free = nextInodeIds(inodes, 4);
      for (const [taken, which] of order.entries()) {
        const inode = free[which]!;
        expect(ended).not.toContain(inode);
        expect(slotOfId(inodes, inode)).toBe(0);
        expect(idOfSlot(inodes, make(inodes, inode))).toBe(inode);
        const left = new Set(order.slice(taken + 1).map((each) => free[each]!));
        expect(new Set(nextInodeIds(inodes, left.size))).toEqual(left);
      }
      expect(nextInodeIds(inodes, 1)).toEqual([idOfSlot(inodes, inodes.slotEnd)]);
    }
  });

  test("a number of an ended inode, or beyond the next one, is a bug to create", () => {
    const { inodes, ended } = withFreeSlots();
    expect(() => make(inodes, ended[0]!)).toThrow("not the next of its slot");
    expect(() => make(inodes, idOfSlot(inodes, inodes.slotEnd + 1))).toThrow("skips slots");
    const [inode] = nextInodeIds(inodes, 1);
    make(inodes, inode!);
    expect(() => make(inodes, inode!)).toThrow("taken");
  });
});
