import { describe, expect, test } from "bun:test";
import { chunkVersion } from "../../../../src/wire/ids.ts";
import { handle, limits, SealBench, tableOf, version } from "./seal-bench.ts";

/** What a member says that could not copy from another. */
const failure = { kind: "failed", code: "Corrupt", message: "checksum" } as const;

/** Fenced members 0, 1, 2 that hold so many bytes. */
function answered(...lengths: readonly number[]): SealBench {
  const bench = SealBench.fencing();
  for (const [volume, length] of lengths.entries()) bench.answer(volume, length);
  return bench;
}

describe("members that disagree", () => {
  test("of one length, the larger group is right and the other is corrupt", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10, 1);
    bench.answer(1, 10, 2);
    bench.answer(2, 10, 2);
    expect(bench.effects[0]).toMatchObject({ kind: "bad", volume: 0, reason: "corrupt" });
    expect(bench.sealed()).toMatchObject({ crc: 2, members: [1, 2] });
  });

  test("one against one waits for the third, which decides", () => {
    const bench = SealBench.fencing();
    bench.answer(0, 10, 1);
    bench.answer(1, 10, 2);
    bench.fenceFails(2, "unknown");
    bench.tick(limits.fenceAfterQuorumMs);
    expect(bench.machine.waitsFor).toContain("disagree");
    expect(bench.machine.phase).toBe("fencing");
    bench.answer(2, 10, 2);
    expect(bench.sealed()).toMatchObject({ crc: 2, members: [1, 2] });
  });

  test("one against one for good: the head of the chain is right, and a spare makes the second copy", () => {
    const bench = SealBench.fencing([0, 1]);
    bench.answer(0, 10, 1);
    bench.answer(1, 10, 2);
    expect(bench.kinds()).toEqual(["bad 1", "choose-spares"]);
    bench.step({ kind: "spares-chosen", volumes: [9] });
    bench.fetched(9, 10, 1);
    expect(bench.sealed()).toMatchObject({ crc: 1, members: [0, 9] });
  });

  test("a member whose bytes do not continue to the target is corrupt, and a spare takes its place", () => {
    const bench = SealBench.fencing([0, 1]);
    bench.answer(0, 20);
    bench.answer(1, 10);
    bench.step({ kind: "fetch-failed", volume: 1, length: 20, crc: 120, failure });
    expect(bench.kinds()).toEqual(["bad 1", "choose-spares"]);
    bench.step({ kind: "spares-chosen", volumes: [9] });
    bench.fetched(9, 20);
    expect(bench.sealed()).toMatchObject({ members: [0, 9] });
  });

  test("a source that says of itself that it is corrupt is blamed, not the member that could not copy from it", () => {
    const bench = answered(20, 10, 10);
    bench.step({ kind: "fetch-failed", volume: 1, length: 20, crc: 120, failure, source: 0 });
    expect(bench.effects[0]).toMatchObject({ kind: "bad", volume: 0 });
    expect(bench.log.filter(({ kind }) => kind === "bad")).toHaveLength(1);
    expect(bench.sealed()).toMatchObject({ length: 10, members: [1, 2] });
  });

  test("members that were blamed beside a source count again when that is lost before anybody else could judge", () => {
    const bench = answered(20, 10, 10);
    bench.step({ kind: "fetch-failed", volume: 1, length: 20, crc: 120, failure });
    bench.step({ kind: "fetch-failed", volume: 2, length: 20, crc: 120, failure });
    bench.step({ kind: "volume-gone", volume: 0 });
    bench.tick(limits.fenceMs);
    expect(bench.kinds()).toEqual(["send-fence 1", "send-fence 2"]);
    bench.answer(1, 10);
    bench.answer(2, 10);
    expect(bench.sealed()).toMatchObject({ length: 10, members: [1, 2] });
  });

  test("also where that is lost while the others are asked again", () => {
    const bench = answered(20, 10, 10);
    bench.step({ kind: "fetch-failed", volume: 1, length: 20, crc: 120, failure });
    bench.step({ kind: "volume-gone", volume: 2 });
    bench.step({ kind: "volume-gone", volume: 0 });
    bench.answer(1, 10);
    bench.tick(limits.loneSealMs);
    expect(bench.kinds()).toEqual(["choose-spares"]);
  });

  test("a failure that comes when the seal is decided takes nothing back", () => {
    const bench = answered(20, 20, 10);
    bench.tick(limits.fenceMs);
    expect(bench.sealed()).toMatchObject({ length: 20, members: [0, 1] });
    bench.step({ kind: "sealed-durable", version });
    expect(bench.step({ kind: "fetch-failed", volume: 2, length: 20, crc: 120, failure, source: 0 })).toEqual([]);
    expect(bench.machine.phase).toBe("finishing");
  });

  test("of two corrupt sources each is asked once more, and the good member's bytes are sealed", () => {
    const bench = answered(20, 20, 10);
    const corrupt = { kind: "error", handle, error: { code: "Corrupt", message: "this replica is corrupt" } } as const;
    bench.step({ kind: "fetch-failed", volume: 2, length: 20, crc: 120, failure, source: 1 });
    bench.tick(limits.fenceMs);
    bench.step({ kind: "fetch-failed", volume: 2, length: 20, crc: 120, failure, source: 0 });
    expect(bench.kinds()).toContain("send-fence 1");
    bench.answerWith(1, corrupt);
    bench.tick(limits.loneSealMs);
    bench.tick(limits.fenceMs);
    bench.step({ kind: "spares-chosen", volumes: [9] });
    bench.fetched(9, 10);
    expect(bench.sealed()).toMatchObject({ length: 10, members: [2, 9] });
  });

  test("where a spare can't copy a good checksum, the only source is corrupt, not the member that was blamed", () => {
    const bench = answered(20, 10, 10);
    bench.step({ kind: "fetch-failed", volume: 1, length: 20, crc: 120, failure });
    bench.step({ kind: "fetch-failed", volume: 2, length: 20, crc: 120, failure });
    bench.step({ kind: "spares-chosen", volumes: [9] });
    bench.step({ kind: "fetch-failed", volume: 9, length: 20, crc: 120, failure });
    expect(bench.effects[0]).toMatchObject({ kind: "bad", volume: 0 });
    bench.answer(1, 10);
    bench.answer(2, 10);
    expect(bench.sealed()).toMatchObject({ length: 10, members: [1, 2] });
  });
});

describe("a master that is behind its volumes", () => {
  test("a higher promise stops the seal until it is confirmed, then fences above it", () => {
    const bench = SealBench.fencing();
    bench.answerWith(1, { kind: "refused", handle, promised: chunkVersion(9) });
    expect(bench.effects).toMatchObject([{ kind: "behind", volume: 1 }]);
    bench.answer(0, 10);
    bench.answer(2, 10);
    bench.tick(100_000);
    expect(bench.sealed()).toBeUndefined();
    bench.step({ kind: "confirmed" });
    expect(bench.effects).toEqual([{ kind: "log-seal-begun", handle, version: chunkVersion(10) }]);
    bench.step({ kind: "begun-durable", version: chunkVersion(10) });
    expect(bench.kinds()).toEqual(["send-fence 0", "send-fence 1", "send-fence 2"]);
    for (const volume of [0, 1, 2]) bench.answer(volume, 10);
    expect(bench.sealed()).toMatchObject({ version: 10, length: 10 });
  });

  test("a replica that is sealed already stops it too; once confirmed it decides the length alone", () => {
    const bench = SealBench.fencing();
    bench.answerWith(1, { kind: "sealed", handle, dataVersion: version, length: 10, crc: 110 });
    expect(bench.effects).toMatchObject([{ kind: "behind", volume: 1 }]);
    // At its version: a sealed replica can't be sealed at another one any more.
    bench.step({ kind: "confirmed" });
    expect(bench.kinds()).toEqual(["send-fence 0", "send-fence 2"]);
    bench.answer(0, 20);
    bench.answer(2, 10);
    bench.fetched(0, 10);
    expect(bench.sealed()).toMatchObject({ version, length: 10, members: [0, 1, 2], appendTable: tableOf(11) });
  });
});

test.each([
  ["of two", [0, 1], []],
  ["of three, the third dead", [0, 1, 2], [2]],
] as const)(
  "a member %s that says it is corrupt has nothing to tell, and no seal waits for it",
  (_name, members, gone) => {
    const bench = SealBench.fencing([...members], [...gone]);
    bench.answerWith(1, { kind: "error", handle, error: { code: "Corrupt", message: "this replica is corrupt" } });
    bench.answer(0, 10);
    bench.tick(limits.loneSealMs);
    expect(bench.kinds()).toEqual(["choose-spares"]);
    bench.step({ kind: "spares-chosen", volumes: [5] });
    bench.fetched(5, 10);
    expect(bench.sealed()).toMatchObject({ length: 10, members: [0, 5] });
  },
);
