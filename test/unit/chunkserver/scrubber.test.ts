/** DESIGN §4.5: every chunkserver reads all its blocks in the background within `scrub_days`, at a bounded rate. */
import { describe, expect, test } from "bun:test";
import type { Context } from "../../../src/chunkserver/context.ts";
import { TimeTally } from "../../../src/chunkserver/core/operation-times.ts";
import { Scrubber } from "../../../src/chunkserver/scrubber.ts";
import type { Store } from "../../../src/chunkserver/store/store.ts";
import type { World } from "../../../src/io.ts";
import { FrameCalls } from "../../../src/net/frame-calls.ts";
import { FramePool } from "../../../src/net/frame-pool.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { chunkHandle } from "../../../src/wire/ids.ts";
import { content, directory, putChunk, simVolume, smallLimits, writeOptions } from "./store/sim-volume.ts";

const everyMs = 100_000;
const terms = { everyMs, bytesPerSecondMax: 0 };
const limits = { ...smallLimits, scrubMs: everyMs, scrubBytesPerSecondMax: 0 };

interface Run {
  readonly scrubber: Scrubber;
  /** Handles, in the order in which they were read. */
  readonly read: number[];
}

/** A scrub over the store for so long; what it read. */
async function scrubFor(
  world: World,
  store: Store,
  options: { readonly ms: number; readonly busy?: () => boolean; readonly during?: (run: Run) => Promise<void> },
): Promise<Run> {
  const stopping = new AbortController();
  const read: number[] = [];
  const watched = new Proxy(store, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (key === "verifyReplica") read.push(Number(args[0]));
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
  const pool = new FramePool(world, { role: "chunkserver" });
  const context: Context = {
    world,
    limits,
    store: watched,
    times: new TimeTally(),
    pool,
    calls: new FrameCalls(world, pool),
    stopping: stopping.signal,
    onBug: (bug) => {
      throw bug;
    },
  };
  const scrubber = new Scrubber(context, options.busy ?? (() => false));
  const running = scrubber.run();
  await options.during?.({ scrubber, read });
  await sleep(world.clock, options.ms);
  stopping.abort();
  await running;
  pool.close();
  return { scrubber, read };
}

async function putMany(store: Store, count: number): Promise<void> {
  for (let handle = 1; handle <= count; handle++) await putChunk(store, writeOptions(handle), content(30_000, handle));
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

describe("DESIGN §4.5 scrub", () => {
  test("reads all that is here within its time, by rising handle, and then again", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      await putMany(store, 20);
      await store.flush();
      const { read, scrubber } = await scrubFor(world, store, { ms: 2 * everyMs });
      expect(read.slice(0, 40)).toEqual([...upTo(20), ...upTo(20)]);
      // Not all at once, either.
      expect(read.length).toBeLessThan(60);
      const report = scrubber.report();
      expect(report).toMatchObject({ rounds: 2, corrupt: 0, totalBytes: 600_000, everyMs });
      expect(report.bytes).toBe(read.length * 30_000);
      expect(report.oldestMs).toBeGreaterThanOrEqual(world.clock.wallMs() - everyMs);
    });
  });

  test("goes on where it was after a restart, with and without loss of power", () => {
    for (const powerLoss of [false, true]) {
      const volume = simVolume();
      const first = volume.with(async (store, world) => {
        await putMany(store, 20);
        await store.flush();
        return scrubFor(world, store, { ms: 0.4 * everyMs });
      });
      expect(first.read.length).toBeGreaterThan(5);
      expect(first.read.length).toBeLessThan(15);
      volume.machine.crash(powerLoss ? { powerLoss, keep: 0 } : { powerLoss });
      volume.machine.restart();
      const second = volume.with((store, world) => scrubFor(world, store, { ms: 0.6 * everyMs }));
      const last = first.read.at(-1) ?? 0;
      expect(second.read[0]).toBeGreaterThanOrEqual(powerLoss ? last - 3 : last + 1);
      expect([...first.read, ...second.read].slice(0, 20).toSorted((a, b) => a - b)).toEqual(upTo(20));
      expect(second.scrubber.report().rounds).toBe(1);
    }
  });

  test("finds what rotted in a file and in the volume's log, and counts it; the others are as they were", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      await putMany(store, 6);
      await store.flush();
      const small = content(9_000, 99);
      await putChunk(store, writeOptions(7, { bytes: small.length }), small);
      const drive = volume.machine.drive();
      drive.corrupt(`${directory}/chunks/03/0000000000000003`, 29_000);
      const logs = drive.files.filesUnder(`${directory}/log`).filter((name) => name.endsWith(".segment"));
      const file = await world.disk.open(logs.at(-1) ?? "", "read");
      const bytes = new Uint8Array(await file.size());
      await file.read(bytes, 0);
      await file.close();
      drive.corrupt(logs.at(-1) ?? "", Buffer.from(bytes.buffer).indexOf(small) + 5_000);
      const { scrubber } = await scrubFor(world, store, { ms: 1.5 * everyMs });
      expect(store.bad().map(({ handle, reason }) => [Number(handle), reason])).toEqual([
        [3, "corrupt"],
        [7, "corrupt"],
      ]);
      expect(scrubber.report()).toMatchObject({ rounds: 1, corrupt: 2 });
      for (const handle of [1, 2, 4, 5, 6]) expect(store.replica(chunkHandle(handle))?.state).toBe("sealed");
    });
  });

  test("waits for those who are served, but is not late", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      await putMany(store, 20);
      const { read, scrubber } = await scrubFor(world, store, { ms: 1.2 * everyMs, busy: () => true });
      expect(scrubber.report().rounds).toBe(1);
      expect(read.slice(0, 20)).toEqual(upTo(20));
    });
  });

  test("takes other terms while it runs: never, and soon", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      await putMany(store, 20);
      const off = await scrubFor(world, store, {
        ms: 3 * everyMs,
        during: async ({ scrubber }) => scrubber.set({ everyMs: 0, bytesPerSecondMax: 0 }),
      });
      expect(off.read.length).toBeLessThanOrEqual(1);
      expect(off.scrubber.report()).toMatchObject({ everyMs: 0, bytesPerSecond: 0 });
      const slow = await scrubFor(world, store, {
        ms: everyMs,
        during: async ({ scrubber }) => scrubber.set({ ...terms, bytesPerSecondMax: 9_600 }),
      });
      // 30 000 bytes and the way to them: ten seconds each.
      expect(slow.read.length).toBeGreaterThanOrEqual(9);
      expect(slow.read.length).toBeLessThanOrEqual(12);
    });
  });

  test("a place that is damaged, or of another volume, is told and forgotten", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      await putMany(store, 3);
      await scrubFor(world, store, { ms: 1.5 * everyMs });
      expect((await store.scrub())?.rounds).toBe(1);
      volume.machine.drive().corrupt(`${directory}/scrub`, 30);
      expect(await store.scrub()).toBeUndefined();
      const { scrubber } = await scrubFor(world, store, { ms: 1.5 * everyMs });
      expect(scrubber.report().rounds).toBe(1);
    });
  });
});
