import { describe, expect, test } from "bun:test";
import { finishRound, newRound, passed, scrubPace } from "../../../../src/chunkserver/core/scrub-round.ts";

const day = 86_400_000;
const terabyte = 1e12;
const usual = {
  heldBytes: 10 * terabyte,
  leftBytes: 10 * terabyte,
  elapsedMs: 0,
  everyMs: 14 * day,
  busy: false,
  bytesPerSecondMax: 0,
};
const perSecond = (changes: Partial<typeof usual>): number => scrubPace({ ...usual, ...changes }) * 1_000;
const even = (10 * terabyte) / (14 * 86_400);

describe("DESIGN §4.5 the pace of a scrub", () => {
  test("an idle server is done in four fifths of its time", () => {
    expect(perSecond({})).toBeCloseTo(1.25 * even, 0);
    expect(perSecond({ elapsedMs: 5.6 * day, leftBytes: 5 * terabyte })).toBeCloseTo(1.25 * even, 0);
  });

  test("whoever is served goes first while the scrub is ahead of its time, and the scrub reads as fast as it must once it would be late", () => {
    expect(perSecond({ busy: true })).toBe(0);
    expect(perSecond({ busy: true, elapsedMs: 5.6 * day, leftBytes: 5 * terabyte })).toBe(0);
    expect(perSecond({ busy: true, elapsedMs: 7 * day, leftBytes: 6 * terabyte })).toBeCloseTo(1.2 * even, 0);
  });

  test("after a long stop it catches up at four times its usual rate, and never above the limit", () => {
    expect(perSecond({ elapsedMs: 13 * day, leftBytes: 10 * terabyte })).toBeCloseTo(4 * even, 0);
    expect(perSecond({ elapsedMs: 99 * day, leftBytes: 10 * terabyte, busy: true })).toBeCloseTo(4 * even, 0);
    expect(perSecond({ elapsedMs: 13 * day, leftBytes: 10 * terabyte, bytesPerSecondMax: 20e6 })).toBe(20e6);
    expect(perSecond({ bytesPerSecondMax: 1e6 })).toBe(1e6);
  });

  test("where nothing is held there is no pace", () => {
    expect(perSecond({ heldBytes: 0, leftBytes: 0 })).toBe(0);
  });
});

describe("DESIGN §4.5 since when all was read", () => {
  const everyMs = 1_000_000;

  test("nobody knows before the first round is whole; then the moment moves on with the next round", () => {
    const round = newRound(0);
    for (let handle = 1; handle <= 100; handle++) passed(round, handle, { nowMs: handle * 10_000, everyMs });
    expect(round.oldestMs).toBeUndefined();
    finishRound(round, 1_000_000);
    expect(round).toMatchObject({ rounds: 1, cursor: 0, beganMs: 1_000_000, chunks: 0, oldestMs: 0 });
    passed(round, 50, { nowMs: 1_500_000, everyMs });
    // Handle 51 was read at 510 000: told within a sixty-fourth of the round, and never too late.
    expect(round.oldestMs).toBeGreaterThan(510_000 - 2 * (everyMs / 64) - 10_000);
    expect(round.oldestMs).toBeLessThanOrEqual(510_000);
    finishRound(round, 2_000_000);
    expect(round.oldestMs).toBe(1_000_000);
  });

  test("what is kept of a round is bounded, however many replicas it has", () => {
    const round = newRound(0);
    for (let handle = 1; handle <= 100_000; handle++) passed(round, handle, { nowMs: handle * 100, everyMs });
    expect(round.passes.length).toBeLessThanOrEqual(128);
    finishRound(round, 20_000_000);
    for (let handle = 1; handle <= 1_000; handle++) passed(round, handle, { nowMs: 20_000_000 + handle, everyMs });
    expect(round.passes.length + round.passesBefore.length).toBeLessThanOrEqual(256);
  });
});
