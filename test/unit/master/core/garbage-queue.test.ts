import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type GarbageEntry, GarbageQueue } from "../../../../src/master/core/garbage-queue.ts";
import { HandleSet } from "../../../../src/master/core/handle-set.ts";

describe("a queue of garbage", () => {
  test("is what a plain list is, across many blocks", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 9_000 })), { maxLength: 12 }), (moves) => {
        const queue = new GarbageQueue(3);
        const list: GarbageEntry[] = [];
        let next = 1;
        for (const [pushes, count] of moves) {
          for (let i = 0; i < count; i++) {
            if (pushes) {
              const entry: GarbageEntry = {
                handle: next,
                cause: next % 2 === 0 ? "released" : "surplus",
                dueMs: next * 10,
              };
              next++;
              queue.push(entry);
              list.push(entry);
            } else {
              queue.shift();
              list.shift();
            }
          }
          expect(queue.size).toBe(list.length);
          expect(queue.first()).toEqual(list[0]);
          expect(list[0] === undefined || queue.has(list[0].handle)).toBe(true);
          expect(queue.has(next)).toBe(false);
        }
        expect([...queue]).toEqual(list);
      }),
      { numRuns: 20 },
    );
  });
});

describe("a set of handles", () => {
  test("forgets what is deleted, also of a page that was full", () => {
    const set = new HandleSet();
    set.addRun(0, 2 * 32_768);
    for (const handle of [0, 31, 32_767, 32_768, 70_000]) set.delete(handle);
    expect([0, 1, 31, 32, 32_766, 32_767, 32_768, 32_769].filter((handle) => set.has(handle))).toEqual([
      1, 32, 32_766, 32_769,
    ]);
    expect([...set.runs()]).toEqual([
      [1, 30],
      [32, 32_735],
      [32_769, 32_767],
    ]);
    set.add(31);
    expect(set.has(31)).toBe(true);
  });
});
