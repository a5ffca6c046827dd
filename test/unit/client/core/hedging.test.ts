import { describe, expect, test } from "bun:test";
import { HedgeBudget, hedgeBurst } from "../../../../src/client/core/hedge-budget.ts";
import { ServerSpeeds } from "../../../../src/client/core/server-speeds.ts";

describe("the budget of hedges", () => {
  test("is a share of all reads, besides the first few", () => {
    const budget = new HedgeBudget(0.05);
    let hedges = 0;
    for (let i = 0; i < 10_000; i++) {
      budget.earn();
      if (budget.spend()) hedges++;
    }
    expect(hedges).toBeLessThanOrEqual(500 + hedgeBurst);
    expect(hedges).toBeGreaterThanOrEqual(500);
  });

  test("saves no more than a few", () => {
    const budget = new HedgeBudget(1);
    for (let i = 0; i < 1_000; i++) budget.earn();
    let hedges = 0;
    while (budget.spend()) hedges++;
    expect(hedges).toBe(hedgeBurst);
  });

  test("of no share is empty", () => {
    expect(new HedgeBudget(0).spend()).toBe(false);
  });
});

describe("the speeds of servers", () => {
  const servers = ["near", "middle", "far"];
  const known = (firstMs: Readonly<Record<string, number>>): ServerSpeeds => {
    const speeds = new ServerSpeeds();
    for (const [server, ms] of Object.entries(firstMs)) speeds.noteFirst(server, ms, 0);
    return speeds;
  };
  const order = (speeds: ServerSpeeds, nowMs = 0, bytes = 65_536) =>
    speeds.order(servers, (one) => one, { bytes, nowMs }).join();

  test.each([
    ["nothing is known", {}, "near,middle,far"],
    ["the difference is noise", { near: 11, middle: 2, far: 4 }, "near,middle,far"],
    ["one is much slower", { near: 100, middle: 2, far: 4 }, "middle,far,near"],
    ["all are slow", { near: 900, middle: 800, far: 1_000 }, "near,middle,far"],
    ["one is much slower than what is usual", { near: 2_000 }, "middle,far,near"],
    ["two are much slower", { near: 500, middle: 400, far: 1 }, "far,near,middle"],
  ])("keep the master's order but for much slower ones: %s", (_what, firstMs, expected) => {
    expect(order(known(firstMs))).toBe(expected);
  });

  test("forget, and forgive", () => {
    const speeds = known({ near: 5_000, middle: 1, far: 1 });
    expect(order(speeds, 30_000)).toBe("middle,far,near");
    expect(order(speeds, 30_001)).toBe("near,middle,far");
    speeds.noteFirst("near", 1, 40_000);
    expect(speeds.expectedMs("near", 0, 40_000)).toBe(1);
  });

  test("tell a server that streams slowly from one that answers late, by what is read", () => {
    const speeds = known({ near: 1, middle: 1, far: 1 });
    for (let i = 0; i < 20; i++) speeds.noteStream("near", { waitedMs: 4_000, bytes: 8 * 1_048_576 }, 1);
    speeds.noteStream("middle", { waitedMs: 4_000, bytes: 1_000 }, 1);
    expect(order(speeds, 1, 64_000_000)).toBe("middle,far,near");
    expect(order(speeds, 1, 1_000)).toBe("near,middle,far");
  });

  test("say how long to wait before another one is asked: longer where it is slow itself, within bounds", () => {
    const bounds = { minMs: 100, maxMs: 2_500 };
    const after = (ms: number) => known({ near: ms }).hedgeAfterMs("near", bounds, 0);
    expect([1, 25, 100, 500, 10_000].map(after)).toEqual([100, 100, 400, 2_000, 2_500]);
    expect(new ServerSpeeds().hedgeAfterMs("near", bounds, 0)).toBe(100);
  });
});
