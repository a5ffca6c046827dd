import { describe, expect, test } from "bun:test";
import { createEventFold, endWindows, foldEvent, nextFoldEnd } from "../../../../src/master/core/event-fold.ts";

const limits = { burst: 3, windowMs: 1_000 };

function teller() {
  const fold = createEventFold<number>();
  const tell = (nowMs: number, event: number, kind = "a.b") => foldEvent(fold, { kind, event }, { nowMs, limits });
  return { fold, tell };
}

describe("a flood of events of one kind", () => {
  test("is told in full up to the burst, then as one with its count when the window is over", () => {
    const { fold, tell } = teller();
    const told = Array.from({ length: 10 }, (_, i) => tell(i, i)).flat();
    expect(told.map(({ event, count }) => [event, count])).toEqual([0, 1, 2].map((event) => [event, 1]));
    expect(nextFoldEnd(fold)).toBe(1_000);
    expect(endWindows(fold, 999)).toEqual([]);
    expect(endWindows(fold, 1_000)).toEqual([{ kind: "a.b", event: 9, count: 7 }]);
    expect(nextFoldEnd(fold)).toBeUndefined();
    expect(endWindows(fold, 5_000)).toEqual([]);
  });

  test("that goes on is told before the first of the next window", () => {
    const { tell } = teller();
    for (let i = 0; i < 5; i++) tell(0, i);
    expect(tell(1_000, 5)).toEqual([
      { kind: "a.b", event: 4, count: 2 },
      { kind: "a.b", event: 5, count: 1 },
    ]);
  });

  test("folds no other kind, and counts every event once", () => {
    const { fold, tell } = teller();
    let told = 0;
    for (let i = 0; i < 1_000; i++)
      for (const { count } of [...tell(i * 7, i), ...tell(i * 7, i, "c.d")]) told += count;
    for (const { count } of endWindows(fold, Number.POSITIVE_INFINITY)) told += count;
    expect(told).toBe(2_000);
  });
});
