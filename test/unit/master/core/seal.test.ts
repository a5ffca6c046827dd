import { describe, expect, test } from "bun:test";
import { resumeSeal, stepSeal } from "../../../../src/master/core/seal.ts";
import { nextSealTickMs } from "../../../../src/master/core/seal-advance.ts";
import { chunkVersion } from "../../../../src/wire/ids.ts";
import { handle, limits, SealBench, tableOf, version } from "./seal-bench.ts";

describe("seal 1: the record is durable before anyone is told", () => {
  test("beginning logs the next version and sends nothing", () => {
    const bench = new SealBench();
    expect(bench.effects).toEqual([{ kind: "log-seal-begun", handle, version }]);
    expect(bench.tick(100_000)).toEqual([]);
    bench.step({ kind: "begun-durable", version: chunkVersion(1) });
    expect(bench.effects).toEqual([]);
  });

  test("with the record durable every member is fenced at its version", () => {
    const bench = SealBench.fencing();
    expect(bench.kinds()).toEqual(["send-fence 0", "send-fence 1", "send-fence 2"]);
    expect(bench.effects.every((effect) => "version" in effect && effect.version === version)).toBe(true);
  });

  test("after a restart of the master the fences go out again at the same version", () => {
    const step = resumeSeal({ handle, version, members: [0, 1], gone: new Set() }, { nowMs: 5, limits });
    expect(step.effects).toEqual([
      { kind: "send-fence", handle, version, volume: 0 },
      { kind: "send-fence", handle, version, volume: 1 },
    ]);
  });
});

describe("seal 3: when to go on", () => {
  test("with all answers, at once", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.answer(1, 10);
    bench.answer(2, 10);
    expect(bench.kinds()).toEqual(["log-chunk-sealed"]);
    expect(bench.sealed()).toMatchObject({ length: 10, crc: 110, version, members: [0, 1, 2] });
  });

  test("with two answers and the rest refusing the connection, at once", () => {
    const bench = SealBench.fencing();
    bench.fenceFails(2, "refused");
    bench.answer(0, 10);
    expect(bench.sealed()).toBeUndefined();
    bench.answer(1, 10);
    expect(bench.sealed()).toMatchObject({ members: [0, 1] });
  });

  test("with two answers and a dead third, at once", () => {
    const bench = SealBench.fencing([0, 1, 2], [2]);
    expect(bench.kinds()).toEqual(["send-fence 0", "send-fence 1"]);
    bench.answer(0, 10);
    bench.answer(1, 10);
    expect(bench.sealed()).toMatchObject({ members: [0, 1] });
  });

  test("with two answers and an unknown third, 150 ms after the second, and not before", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.answer(1, 10);
    bench.fenceFails(2, "unknown");
    bench.tick(limits.fenceAfterQuorumMs - 1);
    expect(bench.sealed()).toBeUndefined();
    bench.tick(1);
    expect(bench.sealed()).toMatchObject({ members: [0, 1] });
  });

  test("one answer is not enough, however long the others give no answer", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    for (let round = 0; round < 50; round++) {
      bench.fenceFails(1, "unknown");
      bench.fenceFails(2, "unknown");
      bench.tick(10_000);
    }
    expect(bench.sealed()).toBeUndefined();
    expect(bench.log.some((effect) => effect.kind === "choose-spares" || effect.kind === "send-fetch")).toBe(false);
    expect(bench.machine.waitsFor).toContain("1 of 2");
  });

  test("a refused connection does not make a lone member suffice: its server is not dead yet", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.fenceFails(1, "refused");
    bench.fenceFails(2, "refused");
    bench.tick(limits.loneSealMs);
    bench.tick(limits.loneSealMs);
    expect(bench.log.some((effect) => effect.kind === "choose-spares")).toBe(false);
  });

  test("a single one left alive suffices after loneSealMs, and only with a spare that holds a copy", () => {
    const bench = SealBench.fencing([0, 1, 2], [1, 2]);
    bench.answer(0, 10);
    bench.tick(limits.loneSealMs - 1);
    expect(bench.kinds()).toEqual([]);
    bench.tick(1);
    expect(bench.effects).toEqual([{ kind: "choose-spares", handle, count: 1, excluded: [0, 1, 2] }]);
    bench.tick(limits.loneSealMs);
    expect(bench.sealed()).toBeUndefined();
    bench.step({ kind: "spares-chosen", volumes: [5] });
    expect(bench.effects).toEqual([
      { kind: "send-fetch", handle, version, volume: 5, length: 10, crc: 110, sources: [0], appendTable: tableOf(11) },
    ]);
    expect(bench.sealed()).toBeUndefined();
    bench.fetched(5, 10);
    expect(bench.sealed()).toMatchObject({ length: 10, members: [0, 5], appendTable: tableOf(11) });
  });

  test("without a spare to be had it asks again, and says what it waits for", () => {
    const bench = SealBench.fencing([0, 1], [1]);
    bench.answer(0, 10);
    bench.tick(limits.loneSealMs);
    bench.step({ kind: "spares-chosen", volumes: [], why: "all servers are full" });
    expect(bench.sealed()).toBeUndefined();
    bench.tick(limits.fenceMs);
    expect(bench.kinds()).toEqual(["choose-spares"]);
  });

  test("the lone time starts anew when another comes back", () => {
    const bench = SealBench.fencing([0, 1], [1]);
    bench.answer(0, 10);
    bench.tick(limits.loneSealMs - 1);
    bench.step({ kind: "volume-back", volume: 1 });
    expect(bench.kinds()).toEqual(["send-fence 1"]);
    bench.step({ kind: "volume-gone", volume: 1 });
    bench.tick(limits.loneSealMs - 1);
    expect(bench.kinds()).toEqual([]);
  });

  test("a chain of one needs one answer and one copy", () => {
    const bench = SealBench.fencing([4]);
    bench.answer(4, 10);
    expect(bench.sealed()).toMatchObject({ members: [4] });
  });

  test("all members dead: it waits, says so, and goes on when they return", () => {
    const bench = SealBench.fencing([0, 1], [0, 1]);
    expect(bench.kinds()).toEqual([]);
    bench.tick(limits.loneSealMs * 3);
    expect(bench.machine.waitsFor).toBe("any of its 2 servers: all are dead or retired");
    bench.step({ kind: "volume-back", volume: 1 });
    bench.step({ kind: "volume-back", volume: 0 });
    bench.answer(0, 3);
    bench.answer(1, 3);
    expect(bench.sealed()).toMatchObject({ length: 3, members: [0, 1] });
  });

  test("a member that retired by its own answer counts as gone", () => {
    const bench = SealBench.fencing([0, 1]);
    bench.answerWith(1, { kind: "error", handle, error: { code: "DiskFailed", message: "no sync" } });
    bench.answer(0, 10);
    bench.tick(limits.loneSealMs);
    expect(bench.kinds()).toEqual(["choose-spares"]);
  });

  test("any other error is no answer: it is asked again", () => {
    const bench = SealBench.fencing([0, 1]);
    bench.answerWith(1, { kind: "error", handle, error: { code: "Busy", message: "come back" } });
    bench.answer(0, 10);
    bench.tick(limits.fenceMs);
    expect(bench.kinds()).toEqual(["send-fence 1"]);
    bench.tick(limits.loneSealMs);
    expect(bench.sealed()).toBeUndefined();
  });
});

describe("seal 4: the longest durable prefix, and copies of it", () => {
  test("shorter members fetch what they lack, and count once they have it", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.answer(1, 30);
    bench.answer(2, 20);
    expect(bench.sealed()).toBeUndefined();
    const fetch = { kind: "send-fetch" as const, handle, version, length: 30, crc: 130, sources: [1] };
    const appendTable = tableOf(31);
    expect(bench.effects).toEqual([
      { ...fetch, volume: 0, appendTable },
      { ...fetch, volume: 2, appendTable },
    ]);
    bench.fetched(0, 30);
    expect(bench.sealed()).toBeUndefined();
    bench.fetched(2, 30);
    expect(bench.sealed()).toMatchObject({ length: 30, crc: 130, members: [0, 1, 2], appendTable: tableOf(31) });
  });

  test.each([
    ["the longest dies before the fetch is done", (bench: SealBench) => bench.step({ kind: "volume-gone", volume: 0 })],
    ["the longest dies after it", (bench: SealBench) => bench.fetched(1, 30)],
  ])("a fetch brings the answers with the bytes, also where %s", (_, first) => {
    const bench = SealBench.fencing();
    bench.answer(0, 30);
    bench.answer(1, 20);
    bench.answer(2, 10);
    first(bench);
    bench.fetched(1, 30);
    bench.step({ kind: "volume-gone", volume: 0 });
    expect(bench.sealed()).toBeUndefined();
    bench.fetched(2, 30);
    expect(bench.sealed()).toMatchObject({ length: 30, members: [1, 2], appendTable: tableOf(31) });
  });

  test("a member that fetched is the source of bytes and answers for the next", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 30);
    bench.answer(1, 20);
    bench.answer(2, 10);
    bench.fetched(1, 30);
    bench.step({ kind: "volume-gone", volume: 0 });
    const failure = { kind: "unknown" } as const;
    bench.step({ kind: "fetch-failed", volume: 2, length: 30, crc: 130, failure });
    bench.tick(limits.fenceMs);
    const again = { kind: "send-fetch", volume: 2, length: 30, sources: [1], appendTable: tableOf(31) };
    expect(bench.effects[0]).toMatchObject(again);
  });

  test("an answer to an earlier fetch does not end the one in flight", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.answer(1, 20);
    bench.tick(limits.fenceAfterQuorumMs);
    bench.fetched(0, 20 - 1);
    bench.step({ kind: "fetch-failed", volume: 0, length: 19, crc: 119, failure: { kind: "unknown" } });
    expect(bench.sealed()).toBeUndefined();
    bench.fetched(0, 20);
    bench.answer(2, 20);
    expect(bench.sealed()).toMatchObject({ length: 20, appendTable: tableOf(21) });
  });

  test("with two whole copies the third is waited for fenceMs at most", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 30);
    bench.answer(1, 30);
    bench.answer(2, 20);
    bench.tick(limits.fenceMs - 1);
    expect(bench.sealed()).toBeUndefined();
    bench.tick(1);
    expect(bench.sealed()).toMatchObject({ members: [0, 1] });
  });

  test("with a single whole copy nothing is logged, however long the others take to copy", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 30);
    bench.answer(1, 20);
    bench.answer(2, 20);
    for (let round = 0; round < 20; round++) {
      for (const volume of [1, 2])
        bench.step({ kind: "fetch-failed", volume, length: 30, crc: 130, failure: { kind: "unknown" } });
      bench.tick(limits.fenceMs);
    }
    expect(bench.sealed()).toBeUndefined();
    expect(bench.log.some((effect) => effect.kind === "choose-spares")).toBe(true);
  });

  test("an answer that comes late with a longer prefix raises the length while nothing is logged", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.answer(1, 20);
    bench.tick(limits.fenceAfterQuorumMs);
    expect(bench.machine.phase).toBe("copying");
    bench.answer(2, 25);
    bench.fetched(0, 20);
    expect(bench.sealed()).toBeUndefined();
    bench.fetched(0, 25);
    bench.fetched(1, 25);
    expect(bench.sealed()).toMatchObject({ length: 25, members: [0, 1, 2] });
  });

  test("a source that dies before the record takes its answer with it", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.answer(1, 20);
    bench.answer(2, 10);
    bench.step({ kind: "volume-gone", volume: 1 });
    expect(bench.sealed()).toMatchObject({ length: 10, members: [0, 2] });
  });

  test("a doubled answer to the fence does not take back what was fetched since", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10);
    bench.answer(1, 20);
    bench.answer(2, 10);
    bench.fetched(0, 20);
    bench.answer(0, 10);
    bench.fetched(2, 20);
    expect(bench.sealed()).toMatchObject({ length: 20, members: [0, 1, 2] });
  });

  test("an answer to another version says nothing", () => {
    const bench = SealBench.fencing([0]);
    bench.step({
      kind: "fence-answered",
      volume: 0,
      version: chunkVersion(1),
      answer: {
        kind: "fenced",
        handle,
        prepared: 1,
        committed: 1,
        crc: 1,
        dataVersion: chunkVersion(1),
        appendTable: [],
      },
    });
    expect(bench.sealed()).toBeUndefined();
  });

  test("an empty chunk is sealed at 0 without copies, and needs no finish", () => {
    const bench = SealBench.fencing();
    for (const volume of [0, 1, 2]) bench.answer(volume, 0, 0);
    expect(bench.sealed()).toMatchObject({ length: 0, crc: 0 });
    expect(bench.step({ kind: "sealed-durable", version })).toEqual([{ kind: "done", handle }]);
  });
});

describe("seal 5: finish, resent until confirmed", () => {
  function finishing(): SealBench {
    const bench = SealBench.fencing();
    for (const volume of [0, 1, 2]) bench.answer(volume, 10);
    bench.step({ kind: "sealed-durable", version });
    return bench;
  }

  test("no finish is sent before the record is durable", () => {
    const bench = SealBench.fencing();
    for (const volume of [0, 1, 2]) bench.answer(volume, 10);
    bench.tick(100_000);
    expect(bench.log.some((effect) => effect.kind === "send-finish")).toBe(false);
    bench.step({ kind: "sealed-durable", version });
    expect(bench.kinds()).toEqual(["send-finish 0", "send-finish 1", "send-finish 2"]);
    expect(bench.effects[0]).toEqual({ kind: "send-finish", handle, version, volume: 0, length: 10, crc: 110 });
  });

  test("a finish without an answer is sent again, until every member confirmed", () => {
    const bench = finishing();
    bench.step({ kind: "finish-done", volume: 0, version });
    expect(bench.kinds()).toEqual(["finished 0"]);
    for (let round = 0; round < 20; round++) {
      bench.step({ kind: "finish-failed", volume: 1, version, failure: { kind: "unknown" } });
      bench.tick(limits.fenceMs);
      expect(bench.kinds()).toEqual(["send-finish 1"]);
    }
    bench.step({ kind: "finish-done", volume: 1, version });
    bench.step({ kind: "finish-done", volume: 1, version });
    expect(bench.effects).toEqual([]);
    bench.step({ kind: "finish-done", volume: 2, version });
    expect(bench.kinds()).toEqual(["finished 2", "done"]);
  });

  test("a member that dies is not waited for; its report finds what to finish", () => {
    const bench = finishing();
    bench.step({ kind: "finish-done", volume: 0, version });
    bench.step({ kind: "finish-done", volume: 1, version });
    bench.step({ kind: "volume-gone", volume: 2 });
    expect(bench.kinds()).toEqual(["done"]);
  });

  test("a replica that turns out corrupt at the finish is no holder", () => {
    const bench = finishing();
    const failure = { kind: "failed", code: "Corrupt", message: "checksum" } as const;
    bench.step({ kind: "finish-failed", volume: 1, version, failure });
    expect(bench.effects[0]).toMatchObject({ kind: "bad", volume: 1, reason: "corrupt" });
  });
});

test("a chunk that was let go of ends its machine", () => {
  const bench = SealBench.fencing();
  expect(bench.step({ kind: "released" })).toEqual([{ kind: "done", handle }]);
  expect(bench.answer(0, 10)).toEqual([]);
});

test("a step leaves the machine that it was given as it was", () => {
  const bench = SealBench.fencing();
  const before = bench.machine;
  const copy = structuredClone(before);
  stepSeal(before, { kind: "volume-gone", volume: 0 }, { nowMs: 1, limits });
  expect(before).toEqual(copy);
});

test("the next tick lies ahead, and is none where only answers can help", () => {
  const bench = SealBench.fencing();
  expect(nextSealTickMs(bench.machine, { nowMs: bench.nowMs, limits })).toBeUndefined();
  bench.fenceFails(0, "unknown");
  expect(nextSealTickMs(bench.machine, { nowMs: bench.nowMs, limits })).toBe(bench.nowMs + limits.fenceAfterQuorumMs);
  bench.tick(limits.fenceAfterQuorumMs);
  bench.answer(1, 5);
  bench.answer(2, 5);
  expect(nextSealTickMs(bench.machine, { nowMs: bench.nowMs, limits })).toBe(bench.nowMs + limits.fenceAfterQuorumMs);
});
