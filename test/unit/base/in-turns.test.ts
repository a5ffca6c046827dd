import { expect, test } from "bun:test";
import { inTurns } from "../../../src/base/in-turns.ts";

test("few are told all each time; of many each has its turn", () => {
  const all = new Set([1, 2, 3]);
  const next = (): number[] => inTurns(all, 3);
  expect([next(), next()]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  for (let i = 4; i <= 8; i++) all.add(i);
  expect([next(), next(), next(), next()]).toEqual([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 1],
    [2, 3, 4],
  ]);
  for (let i = 4; i <= 8; i++) all.delete(i);
  expect(next()).toEqual([1, 2, 3]);
});

test("none loses its turn to others that come and go", () => {
  const all = new Set([1, 2, 3, 4, 5]);
  expect(inTurns(all, 2)).toEqual([1, 2]);
  all.delete(1);
  all.add(6);
  expect(inTurns(all, 2)).toEqual([3, 4]);
  all.delete(2);
  expect(inTurns(all, 2)).toEqual([5, 6]);
});
