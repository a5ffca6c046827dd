import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  appendExtent,
  dropExtents,
  extentAt,
  extentCount,
  fileBytes,
  findExtent,
} from "../../../../src/master/core/extents.ts";
import {
  createInode,
  firstFreeSlot,
  type Inodes,
  newInodes,
  nextInodeIds,
} from "../../../../src/master/core/inodes.ts";
import { chunkHandle } from "../../../../src/wire/ids.ts";

function withFile(): Inodes {
  const inodes = newInodes();
  const [inode] = nextInodeIds(inodes, 1);
  createInode(inodes, { inode: inode!, type: "file", replicas: 3, generation: 1, modifiedMs: 0 });
  return inodes;
}

describe("extents", () => {
  test("every byte is found in the extent that a scan finds, and none past the end", () => {
    const extent = fc.record({ offset: fc.nat(1_000_000), length: fc.integer({ min: 1, max: 50 }) });
    fc.assert(
      fc.property(fc.array(extent, { maxLength: 40, size: "max" }), (given) => {
        const inodes = withFile();
        const slot = firstFreeSlot;
        const ends: number[] = [];
        for (const [i, { offset, length }] of given.entries()) {
          appendExtent(inodes, slot, { handle: chunkHandle(i + 1), offset, length });
          ends.push((ends.at(-1) ?? 0) + length);
        }
        const bytes = ends.at(-1) ?? 0;
        expect(fileBytes(inodes, slot)).toBe(bytes);
        expect(extentCount(inodes, slot)).toBe(given.length);
        for (let at = 0; at <= bytes + 1; at++) {
          const scanned = ends.findIndex((end) => at < end);
          expect(findExtent(inodes, slot, at)).toBe(scanned < 0 ? given.length : scanned);
        }
        for (const [i, { offset, length }] of given.entries()) {
          const fileOffset = ends[i]! - length;
          expect(extentAt(inodes, slot, i)).toEqual({ handle: chunkHandle(i + 1), offset, length, fileOffset });
        }
        expect(dropExtents(inodes, slot)).toEqual(given.map((_, i) => chunkHandle(i + 1)));
        expect(fileBytes(inodes, slot)).toBe(0);
        expect(inodes.extentLists.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("a file of terabytes keeps its lengths exact", () => {
    const inodes = withFile();
    for (let i = 1; i <= 5_000; i++)
      appendExtent(inodes, firstFreeSlot, { handle: chunkHandle(2 ** 52 + i), offset: 0, length: 2 ** 30 });
    expect(fileBytes(inodes, firstFreeSlot)).toBe(5_000 * 2 ** 30);
    expect(findExtent(inodes, firstFreeSlot, 4_999 * 2 ** 30 - 1)).toBe(4_998);
    expect(extentAt(inodes, firstFreeSlot, 4_999).handle).toBe(chunkHandle(2 ** 52 + 5_000));
  });

  test("an extent without bytes is a bug", () => {
    const none = { handle: chunkHandle(1), offset: 0, length: 0 };
    expect(() => appendExtent(withFile(), firstFreeSlot, none)).toThrow("at least one byte");
  });
});
