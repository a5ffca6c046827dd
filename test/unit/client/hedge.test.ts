import { describe, expect, test } from "bun:test";
import { hedgeBurst } from "../../../src/client/core/hedge-budget.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { FakeCluster, readAll, sample, testLimits } from "./fake-cluster.ts";

const pieces = [sample(200_000, 1), sample(262_144, 2), sample(130_000, 3)];
const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));

function withFile(): FakeCluster {
  const cluster = new FakeCluster();
  cluster.addFile("/f", pieces);
  return cluster;
}

/** What a read gave, and how long it took. */
async function timed(cluster: FakeCluster, client: GfsClient): Promise<{ bytes: Uint8Array; ms: number }> {
  const startMs = cluster.simulation.nowMs;
  const bytes = await readAll(client, "/f");
  return { bytes, ms: cluster.simulation.nowMs - startMs };
}

const asked = (cluster: FakeCluster): number[] => cluster.servers.map(({ reads }) => reads.length);

describe("a hedged read", () => {
  test.each([
    ["answers nothing", { silent: true }],
    ["answers late", { lateReads: { fromByte: 0, ms: 400 } }],
    ["stalls midway", { lateReads: { fromByte: 65_536, ms: 450 } }],
    ["stalls midway, for good", { lateReads: { fromByte: 65_536, ms: 3_600_000 } }],
  ])("goes on at the second replica long before the first one's time is over: it %s", (_what, trouble) => {
    const cluster = withFile();
    Object.assign(cluster.servers[0]!.trouble, trouble);
    const { bytes, ms } = cluster.with((client) => timed(cluster, client));
    expect(bytes).toEqual(whole);
    expect(ms).toBeGreaterThan(testLimits.hedgeAfterMs);
    expect(ms).toBeLessThan(2 * testLimits.hedgeAfterMs);
    const [, second, third] = cluster.servers;
    if ("lateReads" in trouble && trouble.lateReads.fromByte > 0)
      expect(second!.reads[0]).toMatchObject({ offset: 65_536, length: pieces[0]!.length - 65_536 });
    expect(third!.reads).toEqual([]);
  });

  test("gets the bytes of the first where that one answers before the second", () => {
    const cluster = withFile();
    const [first, second] = cluster.servers;
    first!.trouble.lateReads = { fromByte: 0, ms: 200 };
    second!.trouble.lateReads = { fromByte: 0, ms: 400 };
    expect(cluster.with((client) => readAll(client, "/f"))).toEqual(whole);
    expect(second!.reads.length).toBeGreaterThan(0);
  });

  test.each(["corruptReads", "silent"] as const)("waits for the first where the second is of no use: %s", (trouble) => {
    const cluster = withFile();
    const [first, second, third] = cluster.servers;
    first!.trouble.lateReads = { fromByte: 0, ms: 300 };
    second!.trouble[trouble] = true;
    third!.trouble.silent = true;
    const { bytes, ms } = cluster.with((client) => timed(cluster, client));
    expect(bytes).toEqual(whole);
    expect(ms).toBeLessThan(3 * 300 + testLimits.readStallMs);
    expect(cluster.suspects.includes("2 corrupt")).toBe(trouble === "corruptReads");
  });

  test("lets go of the loser at once", () => {
    const cluster = withFile();
    const [first] = cluster.servers;
    first!.trouble.lateReads = { fromByte: 65_536, ms: 100_000 };
    cluster.with(async (client, { clock }) => {
      await readAll(client, "/f", { length: pieces[0]!.length });
      await sleep(clock, 50);
      expect(first!.open).toBe(0);
    });
  });

  test("does not send all reads twice where every server is slow", () => {
    const cluster = withFile();
    // Later than any hedge waits.
    for (const { trouble } of cluster.servers) trouble.lateReads = { fromByte: 0, ms: testLimits.readStallMs / 2 + 20 };
    const reads = 60;
    cluster.with(async (client) => {
      for (let i = 0; i < reads; i++)
        expect(await readAll(client, "/f", { length: 1_000 })).toEqual(whole.slice(0, 1_000));
    });
    const sent = asked(cluster).reduce((sum, count) => sum + count);
    expect(sent - reads).toBeGreaterThan(0);
    expect(sent - reads).toBeLessThanOrEqual(hedgeBurst + Math.ceil(reads * 2 * testLimits.hedgeShare));
  });

  test("is not made where its share is 0", () => {
    const cluster = withFile();
    cluster.servers[0]!.trouble.silent = true;
    const limits = { ...testLimits, hedgeShare: 0 };
    const { bytes, ms } = cluster.with((client) => timed(cluster, client), { limits });
    expect(bytes).toEqual(whole);
    expect(ms).toBeGreaterThan(testLimits.readStallMs);
  });
});

describe("a client", () => {
  test("asks a server that was slow last, and forgives it after a while", () => {
    const cluster = withFile();
    const [first] = cluster.servers;
    first!.trouble.lateReads = { fromByte: 0, ms: 300 };
    cluster.with(async (client, { clock }) => {
      await readAll(client, "/f");
      const before = asked(cluster)[0];
      for (let i = 0; i < 20; i++) expect((await timed(cluster, client)).ms).toBeLessThan(50);
      expect(asked(cluster)[0]).toBe(before);
      first!.trouble.lateReads = undefined;
      await sleep(clock, 31_000);
      await readAll(client, "/f");
      expect(asked(cluster)[0]).toBeGreaterThan(before!);
    });
  });
});
