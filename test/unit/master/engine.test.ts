import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { ClusterClock } from "../../../src/master/cluster-clock.ts";
import { decideMkdir } from "../../../src/master/core/decide-files.ts";
import { newMasterState } from "../../../src/master/core/state.ts";
import { Engine } from "../../../src/master/engine.ts";
import { mkdir } from "../../../src/wire/control/namespace.ts";
import { inodeId, sequence, sessionId } from "../../../src/wire/ids.ts";

/** A log whose disk is as slow as the test wants. */
class FakeLog {
  entries: Uint8Array[] = [];
  durablePosition = 0;
  readonly entryBytesMax = 65_536;

  get lastPosition(): number {
    return this.entries.length;
  }

  append(pieces: readonly Uint8Array[]): number {
    this.entries.push(...pieces);
    return this.entries.length;
  }
}

function newEngine(): { engine: Engine; log: FakeLog; fatal: GfsError[]; sync: (position?: number) => void } {
  const log = new FakeLog();
  const fatal: GfsError[] = [];
  let nowMs = 0;
  const timer = { cancel: (): void => undefined };
  const clock = new ClusterClock({ monotonicMs: () => nowMs++, wallMs: () => 1_000_000 + nowMs, after: () => timer });
  const events = { enabled: () => false, emit: () => undefined };
  const state = newMasterState();
  const engine = new Engine({ state, log, clock, events, onFatal: (error) => fatal.push(error) });
  engine.apply([{ kind: "session-opened", session: sessionId(1), label: "" }]);
  const sync = (position = log.lastPosition): void => {
    log.durablePosition = position;
    engine.durable(position);
  };
  return { engine, log, fatal, sync };
}

function makeDirectory(engine: Engine, path: string, number: number): Promise<unknown> {
  const id = { session: sessionId(1), sequence: sequence(number), floor: sequence(1) };
  const request = { id, path, parents: false };
  return engine.mutate(mkdir, request, (decideNow) => decideNow((now) => decideMkdir(engine.state, request, now)));
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  for (let turns = 0; turns < 50; turns++) await Promise.resolve();
  return settled;
}

describe("the outbox", () => {
  test("lets no answer leave before its record is durable, nor a read that saw it", async () => {
    const { engine, sync } = newEngine();
    const made = makeDirectory(engine, "/a", 1);
    const seen = engine.read(() => engine.state.inodes.index.size);
    expect(await isSettled(made)).toBe(false);
    expect(await isSettled(seen)).toBe(false);
    sync(1);
    expect(await isSettled(made)).toBe(false);
    expect(await isSettled(seen)).toBe(false);
    sync(2);
    expect(await made).toEqual({ inode: inodeId(4) });
    expect(await seen).toBe(1);
  });

  test("lets a read leave at once when nothing is waiting", async () => {
    const { engine, sync } = newEngine();
    sync();
    expect(await isSettled(engine.read(() => 1))).toBe(true);
  });

  test("says of everything that waits that its outcome is unknown once the log has failed, and refuses everything later", async () => {
    const { engine, fatal } = newEngine();
    const made = makeDirectory(engine, "/a", 1);
    const failure = new GfsError("DiskFailed", "EIO");
    engine.fail(failure);
    engine.fail(new GfsError("DiskFailed", "again"));
    // It may be in the log all the same: who is told that it failed would not ask the next start under the same id.
    expect(await made.catch((error: unknown) => error)).toMatchObject({
      code: "Timeout",
      details: { outcome: "unknown" },
      cause: failure,
    });
    expect(await engine.read(() => 1).catch((error: unknown) => error)).toMatchObject({ code: "Unavailable" });
    expect(fatal).toEqual([failure]);
  });
});

describe("a mutation", () => {
  test("repeated after its answer gets the first answer, and happens once", async () => {
    const { engine, log, sync } = newEngine();
    const first = makeDirectory(engine, "/a", 1);
    sync();
    const entries = log.lastPosition;
    expect(await makeDirectory(engine, "/a", 1)).toEqual(await first);
    expect(log.lastPosition).toBe(entries);
  });

  test("that was refused is not done when it comes again, though nothing stands in its way any more", async () => {
    const { engine, sync } = newEngine();
    sync();
    expect(makeDirectory(engine, "/a/b", 1)).rejects.toThrow("/a");
    await isSettled(Promise.resolve());
    const parent = makeDirectory(engine, "/a", 2);
    sync();
    await parent;
    expect(makeDirectory(engine, "/a/b", 1)).rejects.toThrow("/a");
    const again = makeDirectory(engine, "/a/b", 3);
    sync();
    expect(await isSettled(again)).toBe(true);
  });

  test("repeated before its record is durable waits for the same sync", async () => {
    const { engine, sync } = newEngine();
    const first = makeDirectory(engine, "/a", 1);
    const again = makeDirectory(engine, "/a", 1);
    expect(await isSettled(again)).toBe(false);
    sync();
    expect(await again).toEqual(await first);
    expect(engine.state.inodes.index.size).toBe(1);
  });

  test("that waits before it decides is done once for concurrent duplicates", async () => {
    const { engine, sync } = newEngine();
    const gate = Promise.withResolvers<void>();
    let runs = 0;
    const id = { session: sessionId(1), sequence: sequence(1), floor: sequence(1) };
    const request = { id, path: "/slow", parents: false };
    const run = (): Promise<unknown> =>
      engine.mutate(mkdir, request, async (decideNow) => {
        runs++;
        await gate.promise;
        return decideNow((now) => decideMkdir(engine.state, request, now));
      });
    const both = [run(), run()];
    gate.resolve();
    for (const each of both) expect(await isSettled(each)).toBe(false);
    sync();
    expect(await both[0]).toEqual(await both[1]);
    expect(runs).toBe(1);
  });

  test("of other content under the same id is refused, during the first and after it", async () => {
    const { engine, sync } = newEngine();
    const first = makeDirectory(engine, "/a", 1);
    expect(await makeDirectory(engine, "/b", 1).catch((error: unknown) => error)).toMatchObject({ code: "IdReused" });
    sync();
    await first;
    expect(await makeDirectory(engine, "/b", 1).catch((error: unknown) => error)).toMatchObject({ code: "IdReused" });
  });

  test("that is refused takes nothing, and its id stays free", async () => {
    const { engine, log, sync } = newEngine();
    sync();
    expect(await makeDirectory(engine, "/x/y", 1).catch((error: unknown) => error)).toMatchObject({ code: "NotFound" });
    expect(log.lastPosition).toBe(1);
    const made = makeDirectory(engine, "/x", 1);
    sync();
    expect(await made).toBeDefined();
  });

  test("above what the log takes at a time is refused before anything changes", () => {
    const { engine, log, fatal } = newEngine();
    const directories = Array.from({ length: 16 }, (_, i) => `/${i}`.padEnd(4_096, "x"));
    const known = engine.state.cluster.dataDirectories;
    expect(() => engine.apply([{ kind: "data-directories", directories }])).toThrow("takes 65536");
    expect(engine.state.cluster.dataDirectories).toEqual(known);
    expect(log.lastPosition).toBe(1);
    expect(fatal).toEqual([]);
  });

  test("whose record can't be applied stops the master", () => {
    const { engine, log, fatal } = newEngine();
    expect(() => engine.apply([{ kind: "session-closed", session: sessionId(9) }])).toThrow("Cannot apply");
    expect(log.lastPosition).toBe(1);
    expect(fatal).toMatchObject([{ code: "Bug" }]);
  });
});

describe("cluster time", () => {
  const at = (wallMs: number, monotonicMs: { now: number }): ClusterClock =>
    new ClusterClock({
      monotonicMs: () => monotonicMs.now,
      wallMs: () => wallMs,
      after: () => ({ cancel: () => undefined }),
    });

  test.each([
    ["nothing at the very first start", undefined, 5_000, 0],
    ["the time away", 1_000_000, 1_000_000 + 30_000 + 7_000, 37_000],
    ["at most an hour", 1_000_000, 1_000_000 + 30_000 + 7 * 3_600_000, 30_000 + 3_600_000],
    ["nothing when the wall clock went back", 1_000_000, 900_000, 30_000],
  ] as const)("after a restart adds %s", (_, epochWallMs, wallMs, expected) => {
    const monotonic = { now: 123 };
    const clock = at(wallMs, monotonic);
    const clusterMs = epochWallMs === undefined ? 0 : 30_000;
    clock.resume({ clusterMs, epochClusterMs: 0, epochWallMs });
    expect(clock.now().clusterMs).toBe(expected);
    monotonic.now += 50;
    expect(clock.now().clusterMs).toBe(expected + 50);
  });
});
