import { expect, test } from "bun:test";
import { inTurns } from "../../../src/base/in-turns.ts";

test("few are told all each time; of many each has its turn", () => {
  const all = new Set([1, 2, 3]);
  const next = inTurns(all, 3);
  expect([next(), next()]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  for (let i = 4; i <= 8; i++) all.add(i);
  expect([next(), next(), next(), next()]).toEqual([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8],
    [1, 2, 3],
  ]);
  for (let i = 4; i <= 8; i++) all.delete(i);
  expect(next()).toEqual([1, 2, 3]);
});
