/** DESIGN §4.1: copies of the metadata lie apart from one another, and stay where they are unless that is better. */
import { describe, expect, test } from "bun:test";
import { chooseHolders, type HolderCandidate } from "../../../../src/master/core/metadata-holders.ts";

const candidate = (volume: number, changes: Partial<HolderCandidate> = {}): HolderCandidate => ({
  volume,
  rack: undefined,
  host: `host${volume}`,
  disk: `disk${volume}`,
  freeBytes: 1_000,
  holds: false,
  isSuspect: false,
  ...changes,
});

describe("chooseHolders", () => {
  test("chooses as many as are wanted, or all there are", () => {
    const all = [candidate(1), candidate(2), candidate(3)];
    expect(chooseHolders(all, 0)).toEqual([]);
    expect(chooseHolders(all, 2)).toEqual([1, 2]);
    expect(chooseHolders(all, 5)).toEqual([1, 2, 3]);
  });

  test("stays with those that hold a copy, whatever room others have", () => {
    const all = [candidate(1, { freeBytes: 9_000 }), candidate(2, { holds: true }), candidate(3, { holds: true })];
    expect(chooseHolders(all, 2)).toEqual([2, 3]);
    expect(chooseHolders(all, 1)).toEqual([2]);
  });

  test.each([
    ["disk", { disk: "one" }],
    ["rack", { rack: "one" }],
    ["host", { host: "one" }],
  ] as const)("gives up a copy that shares a %s with another for one that does not", (_what, shared) => {
    const all = [
      candidate(1, { ...shared, holds: true }),
      candidate(2, { ...shared, holds: true }),
      candidate(3, { freeBytes: 1 }),
    ];
    expect(chooseHolders(all, 2)).toEqual([1, 3]);
    // Where there is none it is kept.
    expect(chooseHolders(all.slice(0, 2), 2)).toEqual([1, 2]);
  });

  test("a disk of its own counts before a rack of its own; no rack is no rack in common", () => {
    const first = candidate(1, { rack: "a", disk: "one", holds: true });
    expect(chooseHolders([first, candidate(2, { rack: "b", disk: "one" }), candidate(3, { rack: "a" })], 2)).toEqual([
      1, 3,
    ]);
    expect(chooseHolders([candidate(1), candidate(2), candidate(3, { rack: "a" })], 2)).toEqual([1, 2]);
  });

  test("a suspect one last of all, unless it holds a copy", () => {
    const suspect = { isSuspect: true, freeBytes: 9_000 };
    const all = [candidate(1, suspect), candidate(2, { disk: "one" }), candidate(3, { disk: "one" })];
    expect(chooseHolders(all, 2)).toEqual([2, 3]);
    expect(chooseHolders(all, 3)).toEqual([2, 3, 1]);
    expect(chooseHolders([candidate(1, { ...suspect, holds: true }), candidate(2)], 1)).toEqual([1]);
  });

  test("the emptier one, then the older one, else", () => {
    expect(chooseHolders([candidate(1), candidate(2, { freeBytes: 2_000 }), candidate(3)], 2)).toEqual([2, 1]);
  });
});
