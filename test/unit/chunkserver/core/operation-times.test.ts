import { expect, test } from "bun:test";
import { TimeTally } from "../../../../src/chunkserver/core/operation-times.ts";

test("a report has the means of what was done, later counts more", () => {
  const tally = new TimeTally();
  expect(tally.report()).toBeUndefined();
  for (const ms of [10, 20, 30, 40]) tally.note("sync", ms);
  tally.note("read", 1);
  expect(tally.report()).toEqual({ sync: { ms: 25, count: 4 }, read: { ms: 1, count: 1 } });
  for (let i = 0; i < 2; i++) tally.note("sync", 5);
  expect(tally.report()?.sync).toEqual({ ms: (50 + 10) / 4, count: 4 });
});

test("what was not done for a while is not told any more", () => {
  const tally = new TimeTally();
  for (let i = 0; i < 8; i++) tally.note("sync", 3);
  const told = Array.from({ length: 7 }, () => tally.report()?.sync?.count ?? 0);
  expect(told).toEqual([8, 4, 2, 1, 1, 0, 0]);
});
