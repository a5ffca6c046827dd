import { describe, expect, test } from "bun:test";
import { createRepairRate, estimateMs, noteRepairs } from "../../../../src/master/core/repair-estimate.ts";

const at = (atMs: number, chunks: number, bytes: number) => ({ atMs, chunks, bytes });

describe("the time until all is whole", () => {
  test("is by what was copied of late, of bytes or of chunks what takes longer", () => {
    const rate = createRepairRate();
    noteRepairs(rate, at(0, 0, 0), 10);
    noteRepairs(rate, at(10_000, 5, 1_000), 5);
    expect(estimateMs(rate, { chunks: 5, bytes: 4_000 }, at(10_000, 5, 1_000))).toBe(40_000);
    expect(estimateMs(rate, { chunks: 50, bytes: 4_000 }, at(10_000, 5, 1_000))).toBe(100_000);
    // Since the last round some were copied: what is left is less.
    expect(estimateMs(rate, { chunks: 5, bytes: 4_000 }, at(12_000, 6, 3_000))).toBe(8_000);
  });

  test("is not known before anything was copied, nor of bytes when only empty chunks were", () => {
    const rate = createRepairRate();
    const missing = { chunks: 5, bytes: 500 };
    expect(estimateMs(rate, missing, at(0, 0, 0))).toBeUndefined();
    noteRepairs(rate, at(0, 7, 700), 5);
    expect(estimateMs(rate, missing, at(1_000, 8, 800))).toBeUndefined();
    expect(estimateMs(rate, missing, at(60_000, 7, 700))).toBeUndefined();
    noteRepairs(rate, at(60_000, 8, 700), 5);
    expect(estimateMs(rate, missing, at(60_000, 8, 700))).toBeUndefined();
  });

  test("forgets the rate of long ago, and of the shortage before this one", () => {
    const rate = createRepairRate();
    for (let second = 0; second <= 600; second++) noteRepairs(rate, at(second * 1_000, second, second * 1_000), 100);
    for (let second = 601; second <= 900; second++) noteRepairs(rate, at(second * 1_000, 600, 600_000), 100);
    expect(rate.samples.length).toBeLessThan(130);
    expect(estimateMs(rate, { chunks: 100, bytes: 100_000 }, at(900_000, 600, 600_000))).toBeUndefined();
    noteRepairs(rate, at(901_000, 700, 700_000), 0);
    noteRepairs(rate, at(1_000_000, 700, 700_000), 1);
    expect(estimateMs(rate, { chunks: 1, bytes: 10 }, at(1_010_000, 700, 700_000))).toBeUndefined();
  });
});
