import { describe, expect, test } from "bun:test";
import {
  createInode,
  freeInode,
  idOfSlot,
  type Inodes,
  newInodes,
  nextInodeIds,
  reserveInodes,
  reuseMax,
  slotOfId,
} from "../../../../src/master/core/inodes.ts";
import { type InodeId, inodeId } from "../../../../src/wire/ids.ts";

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

  test("reserved numbers are the next ones, in their order, and none below them is given again", () => {
    const { inodes, ended } = withFreeSlots();
    const [span, slot] = [2 ** 32, ended[1]! % 2 ** 32];
    const reserved = [inodeId(5 * span + slot), inodeId(20), inodeId(3 * span + 15)];
    reserveInodes(inodes, reserved);
    expect(nextInodeIds(inodes, 3)).toEqual(reserved);
    const given = nextInodeIds(inodes, 30);
    expect(new Set(given.map((inode) => inode % span)).size).toBe(30);
    for (const inode of given) {
      expect(make(inodes, inode)).toBe(inode % span);
      expect(idOfSlot(inodes, inode % span)).toBe(inode);
    }
    expect(() => reserveInodes(inodes, [inodeId(span + slot)])).toThrow("slot is free");
    // The last one of its slot was given.
    const end = inodeId((reuseMax + 1) * span + 99);
    reserveInodes(inodes, [end]);
    expect(nextInodeIds(inodes, 80).map((inode) => inode % span)).not.toContain(99);
    freeInode(inodes, slot);
    expect(() => reserveInodes(inodes, [inodeId(5 * span + slot)])).toThrow("not given before");
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
