/** What operators look at, page by page: events and the places of chunks. */
import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import type { EventsOptions } from "../../../src/client/api.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import { protocol } from "../../../src/limits.ts";
import { route } from "../../../src/net/control-server.ts";
import { type DrainReport, drains } from "../../../src/wire/control/drains.ts";
import { goalProgress } from "../../../src/wire/control/attributes.ts";
import { type ClusterEvent, events } from "../../../src/wire/control/events.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { stat } from "../../../src/wire/control/namespace.ts";
import { chunkHandle, chunkVersion, generation, inodeId, volumeId } from "../../../src/wire/ids.ts";
import { noFaults } from "../../sim/world/fault-settings.ts";
import { codeOf, FakeCluster, testLimits } from "./fake-cluster.ts";

const eventOf = (number: number): ClusterEvent => ({
  number,
  atMs: number,
  level: "info",
  kind: "volume.live",
  text: `event ${number}`,
});

/** A master with events 1 to `count`; what it was asked. */
function withEvents(count: number) {
  const kept = Array.from({ length: count }, (_, i) => eventOf(i + 1));
  const asked: { after?: number | undefined; limit: number; waitMs: number }[] = [];
  const answer = route(events, async ({ after, limit, waitMs }) => {
    asked.push({ after, limit, waitMs });
    const found =
      after === undefined ? kept.slice(-limit) : kept.filter(({ number }) => number > after).slice(0, limit);
    return { events: found, last: found.at(-1)?.number ?? kept.length };
  });
  const cluster = new FakeCluster(noFaults, [answer]);
  return { cluster, kept, asked };
}

async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) if (taken.push(item) === count) break;
  return taken;
}

describe("events", () => {
  test.each<[string, EventsOptions, number[], number]>([
    ["the newest few in one call", { limit: 3 }, [2_498, 2_499, 2_500], 1],
    ["more than one call gives, the newest of them", { limit: 1_200 }, [1_301, 2_499, 2_500], 3],
    ["all", {}, [1, 2_499, 2_500], 3],
    ["none", { limit: 0 }, [], 1],
  ])("%s", (_, options, [first, ...last], calls) => {
    const { cluster, asked } = withEvents(2_500);
    const found = cluster.with(async (client) => take(client.operator.events(options), 5_000));
    expect(found[0]?.number).toBe(first);
    expect(found.slice(-2).map(({ number }) => number)).toEqual(last.slice(-2));
    expect(found).toHaveLength(options.limit ?? 2_500);
    expect(asked).toHaveLength(calls);
  });

  test("followed: each once and in order, also while the master is away for a while", () => {
    const { cluster, kept, asked } = withEvents(3);
    let away = 0;
    cluster.after = (name) => {
      if (name === events.name) kept.push(eventOf(kept.length + 1));
    };
    cluster.before = (name) => {
      if (name === events.name && asked.length >= 2 && away++ < 3)
        throw new GfsError("Unavailable", "the master is away");
    };
    const found = cluster.with(async (client) => take(client.operator.events({ limit: 2, follow: true }), 8));
    expect(found.map(({ number }) => number)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
    expect(asked[0]).toEqual({ after: undefined, limit: 2, waitMs: 0 });
    for (const { waitMs } of asked.slice(1)) expect(waitMs).toBe(2_500);
    expect(away).toBeGreaterThan(2);
  });
});

describe("a drain that is waited for", () => {
  const volume = volumeId("1".repeat(32));
  const beginMs = 1_000;

  /** What the master answers, by the milliseconds since it was asked first; undefined: that it is not being drained. */
  function waitedFor(reportAt: (ms: number) => Partial<DrainReport> | undefined, limits = testLimits) {
    let firstMs: number | undefined;
    const told: { ms: number; stillMs: number }[] = [];
    const cluster: FakeCluster = new FakeCluster(noFaults, [
      route(drains, async () => {
        const now = cluster.simulation.nowMs;
        firstMs ??= now;
        const found = reportAt(now - firstMs);
        const report = { volume, label: "s1", liveness: "live" as const, state: "moving" as const, why: "why" };
        return { drains: found === undefined ? [] : [{ ...report, bytesPerSecond: 0, ...found }] };
      }),
    ]);
    const wait = async (client: GfsClient, { clock }: World) => {
      cluster.before = () => sleep(clock, 5);
      const begun = clock.monotonicMs();
      const onProgress = (_: DrainReport, stillMs: number): void => {
        told.push({ ms: clock.monotonicMs() - begun, stillMs });
      };
      const code = await codeOf(client.operator.awaitDrain(volume, { onProgress }));
      return { code, told, tookMs: clock.monotonicMs() - begun };
    };
    return cluster.with(wait, { limits });
  }

  test("ends when it is safe to stop, however long nothing moves as long as it can be finished", () => {
    const longMs = 5 * testLimits.clientTimeoutMs;
    const { code, told, tookMs } = waitedFor((ms) =>
      ms < longMs ? { chunksLeft: 2, bytesLeft: 20, openChunks: 0 } : { state: "safe" },
    );
    expect(code).toBe("done");
    expect(tookMs).toBeLessThan(longMs + 2_000);
    for (const { ms, stillMs } of told.slice(1)) expect(ms - stillMs).toBeLessThan(100);
    expect(told.at(-1)?.stillMs).toBeGreaterThan(longMs - 2_000);
  });

  test("with a time-out that is shorter than the pause between two looks", () => {
    const limits = { ...testLimits, clientTimeoutMs: 500 };
    expect(waitedFor((ms) => (ms < 6_000 ? { chunksLeft: 2 } : { state: "safe" }), limits).code).toBe("done");
  });

  test("goes on while it gains something, though it is stuck now and then", () => {
    const { code, told } = waitedFor((ms) =>
      ms < 20_000
        ? { state: ms % 3_000 < 1_500 ? "stuck" : "moving", chunksLeft: 2, bytesLeft: 100 - Math.floor(ms / 1_000) }
        : { state: "safe" },
    );
    expect(code).toBe("done");
    for (const { stillMs } of told) expect(stillMs).toBeLessThan(2_500);
  });

  test("ends where it is stuck, and nothing has moved since for the client's time-out", () => {
    const { code, tookMs } = waitedFor((ms) => ({
      state: ms < beginMs ? "moving" : "stuck",
      chunksLeft: 2,
      bytesLeft: ms < 2 * beginMs ? 30 : 20,
      openChunks: 0,
    }));
    expect(code).toBe("Timeout");
    expect(tookMs).toBeGreaterThan(testLimits.clientTimeoutMs + 2 * beginMs);
    expect(tookMs).toBeLessThan(testLimits.clientTimeoutMs + 2 * beginMs + 2_500);
  });

  test("ends though what is left swings, since that is no gain", () => {
    const { code, tookMs } = waitedFor((ms) => ({ state: "stuck", bytesLeft: ms % 3_000 < 1_500 ? 30 : 20 }));
    expect(code).toBe("Timeout");
    expect(tookMs).toBeLessThan(testLimits.clientTimeoutMs + 4_000);
  });

  test("ends when somebody cancels it", () => {
    expect(waitedFor((ms) => (ms < beginMs ? { chunksLeft: 1 } : undefined)).code).toBe("NotFound");
  });
});

describe("replicas that are waited for", () => {
  const timeoutMs = testLimits.clientTimeoutMs;

  /** `reached` of 10 chunks have their replicas, so many milliseconds after they were waited for, which are told in pages. */
  function waitedFor(
    reachedAt: (ms: number) => number,
    { pages = 1, away }: { pages?: number; away?: { readonly fromMs: number; readonly toMs: number } } = {},
  ) {
    let beganMs = 0;
    const cluster: FakeCluster = new FakeCluster(noFaults, [
      route(goalProgress, async ({ cursor = "0" }) => {
        const page = Number(cursor) + 1;
        const last = page === pages;
        const sums = last ? { chunks: 10, reached: reachedAt(cluster.simulation.nowMs - beganMs) } : zero;
        return { files: 1, otherwise: 0, missingBytes: 0, servers: 4, ...sums, ...(last ? {} : { cursor: `${page}` }) };
      }),
    ]);
    const zero = { chunks: 0, reached: 0 };
    return cluster.with(async (client, { clock }) => {
      beganMs = cluster.simulation.nowMs;
      cluster.before = async (name) => {
        if (name !== goalProgress.name) return;
        const ms = cluster.simulation.nowMs - beganMs;
        if (away !== undefined && ms >= away.fromMs && ms < away.toMs)
          throw new GfsError("Unavailable", "the master is away");
        if (pages > 1) await sleep(clock, testLimits.controlMs / 2);
      };
      const code = await codeOf(client.awaitReplicas("/", 3));
      return { code, tookMs: cluster.simulation.nowMs - beganMs };
    });
  }

  test("are given up when nothing was gained for the client's time-out", () => {
    const { code, tookMs } = waitedFor((ms) => (ms < 2_000 ? 0 : 5));
    expect(code).toBe("Timeout");
    expect(tookMs).toBeGreaterThan(timeoutMs + 2_000);
    expect(tookMs).toBeLessThan(timeoutMs + 3_500);
  });

  test("while the master is away for a while, after some time without gain", () => {
    const away = { fromMs: timeoutMs - 1_000, toMs: timeoutMs + 2_000 };
    expect(waitedFor((ms) => (ms < away.toMs ? 0 : 10), { away }).code).toBe("done");
  });

  test("are looked at again soon after a time that the master was away", () => {
    const away = { fromMs: 1_000, toMs: 4_000 };
    const { code, tookMs } = waitedFor((ms) => (ms < away.toMs + 1_000 ? 0 : 10), { away });
    expect(code).toBe("done");
    expect(tookMs).toBeLessThan(away.toMs + 2 * (timeoutMs / 4) + 1_000);
  });

  test("of a tree that takes longer to look at than the client's time-out", () => {
    expect(waitedFor(() => 10, { pages: 30 }).code).toBe("done");
  });
});

describe("where a file lies", () => {
  const count = 2 * protocol.locateExtentsMax + 10;
  const extentAt = (i: number) => ({
    fileOffset: i * 100,
    handle: chunkHandle(i + 1),
    version: chunkVersion(1),
    offset: 0,
    length: 100,
    state: "sealed" as const,
    wanted: 3,
    replicas: [],
  });

  function withFile(kind: "file" | "directory" = "file", bytes = count * 100): FakeCluster {
    const entry = {
      name: "f",
      inode: inodeId(2),
      kind,
      bytes,
      replicas: 3,
      generation: generation(1),
      modifiedMs: 0,
      open: false,
    };
    const answer = route(stat, async ({ path, offset = 0 }) => {
      const from = Math.floor(offset / 100);
      const length = Math.max(0, Math.min(protocol.locateExtentsMax, count - from));
      return { entry, path, extentCount: count, extents: Array.from({ length }, (_, i) => extentAt(from + i)) };
    });
    return new FakeCluster(noFaults, [answer]);
  }

  test.each([
    ["all of it, in pages", {}, 0, count],
    ["from a byte on", { offset: 250 }, 2, count - 2],
    ["of some bytes", { offset: 250, length: 51 }, 2, 2],
    ["of one byte", { offset: 299, length: 1 }, 2, 1],
    ["of its last byte", { offset: count * 100 - 1 }, count - 1, 1],
  ])("%s", (_, range, first, many) => {
    const found = withFile().with(async (client) => take(client.locate("/f", range), 10_000));
    expect(found.map(({ fileOffset }) => fileOffset)).toEqual(
      Array.from({ length: many }, (__, i) => (first + i) * 100),
    );
  });

  test.each([
    [count * 100, `${count * 100} bytes`],
    [1, "1 byte"],
  ])("past its end, byte %i, is refused", (bytes, size) => {
    const refused = withFile("file", bytes).with(async (client) =>
      take(client.locate("/f", { offset: bytes }), 1).catch((error: unknown) => error),
    );
    expect(refused).toMatchObject({
      code: "RangeInvalid",
      message: `Cannot locate byte ${bytes} of /f: it has ${size}`,
    });
  });

  test("of a directory is refused", () => {
    const refused = withFile("directory").with(async (client) => take(client.locate("/d"), 1).catch(String));
    expect(refused).toContain("Cannot locate /d: it is a directory");
  });
});
