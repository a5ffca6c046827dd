import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ExpiryHeap } from "../../../../src/master/core/expiry-heap.ts";

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("add" as const), dueMs: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ kind: fc.constant("remove" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("look" as const), nowMs: fc.integer({ min: 0, max: 21 }), max: fc.nat({ max: 5 }) }),
  ),
  { maxLength: 120, size: "max" },
);

describe("what expires", () => {
  test("is found when it is due and not before, whatever came and went", () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const places = new Map<number, number>();
        const dues = new Map<number, number>();
        const heap = new ExpiryHeap((slot, place) => places.set(slot, place));
        let next = 1;
        for (const step of steps) {
          if (step.kind === "add") {
            heap.add(next, step.dueMs);
            dues.set(next++, step.dueMs);
          } else if (step.kind === "remove" && dues.size > 0) {
            const slot = [...dues.keys()][step.which % dues.size]!;
            heap.remove(slot, places.get(slot)!);
            dues.delete(slot);
          } else if (step.kind === "look") {
            const due = [...dues].filter(([, dueMs]) => dueMs <= step.nowMs).map(([slot]) => slot);
            const found = heap.due(step.nowMs, step.max);
            expect(found).toHaveLength(Math.min(due.length, step.max));
            expect(found.filter((slot) => !due.includes(slot))).toEqual([]);
          }
          expect(heap.size).toBe(dues.size);
        }
        expect(heap.due(100, 1_000).toSorted((a, b) => a - b)).toEqual([...dues.keys()]);
      }),
    );
  });
});
