import { describe, expect, test } from "bun:test";
import { judgePaces, newPace, type Pace } from "../../../../src/master/core/pace.ts";

interface Server {
  readonly name: string;
  readonly pace: Pace;
}

/** Servers of which each says the same at every heartbeat, until told otherwise. */
class Fleet {
  readonly servers: Server[] = [];

  constructor(syncMs: Readonly<Record<string, number>>, count = 100) {
    for (const [name, ms] of Object.entries(syncMs)) {
      this.servers.push({ name, pace: newPace() });
      this.says(name, ms, count);
    }
  }

  says(name: string, ms: number, count = 100): void {
    this.of(name).times = { sync: { ms, count } };
  }

  of(name: string): Pace {
    return this.servers.find((server) => server.name === name)!.pace;
  }

  /** Those whose verdict changed in any of these rounds. */
  rounds(count: number): string[] {
    return Array.from({ length: count }, () => judgePaces(this.servers).map(({ name }) => name)).flat();
  }

  get slow(): string[] {
    return this.servers.filter(({ pace }) => pace.slow !== undefined).map(({ name }) => name);
  }
}

describe("DESIGN §4.5 a server is slow", () => {
  test.each([
    ["four times as slow as the median of the others", { a: 40, b: 10, c: 10 }, ["a"]],
    ["a little less", { a: 39.9, b: 10, c: 10 }, []],
    ["many times as slow, but by a few milliseconds", { a: 19, b: 0.1, c: 0.1 }, []],
    ["one of two slow ones", { a: 400, b: 300, c: 2, d: 3, e: 2 }, ["a", "b"]],
    ["all are as slow", { a: 400, b: 300, c: 500 }, []],
    ["of two: nobody knows which", { a: 400, b: 2 }, []],
    ["two of three", { a: 900, b: 2, c: 100 }, ["a", "c"]],
  ] as const)("%s", (_what, syncMs, expected) => {
    const fleet = new Fleet(syncMs);
    fleet.rounds(20);
    expect(fleet.slow).toEqual([...expected]);
  });

  test("only after several rounds in a row, and tells once why", () => {
    const fleet = new Fleet({ a: 80, b: 2, c: 2.5 });
    expect(fleet.rounds(3)).toEqual([]);
    fleet.says("a", 2);
    fleet.rounds(1);
    fleet.says("a", 80);
    expect(fleet.rounds(3)).toEqual([]);
    expect(fleet.rounds(1)).toEqual(["a"]);
    expect(fleet.of("a").slow).toBe("a sync takes 80 ms, at the others 2.0 ms");
    expect(fleet.rounds(100)).toEqual([]);
  });

  test.each([
    ["it", { a: 2, b: 100, c: 100 }],
    ["its peers", { a: 100, b: 7, c: 100 }],
  ])("not by what %s did too seldom", (_who, counts) => {
    const fleet = new Fleet({ a: 400, b: 2, c: 2 });
    for (const [name, count] of Object.entries(counts)) fleet.says(name, name === "a" ? 400 : 2, count);
    expect(fleet.rounds(20)).toEqual([]);
  });

  test("by few operations that took long in all", () => {
    const fleet = new Fleet({ a: 2, b: 2, c: 2 });
    fleet.says("a", 500, 2);
    expect(fleet.rounds(4)).toEqual(["a"]);
  });

  test("by its reads as well", () => {
    const fleet = new Fleet({ a: 2, b: 2, c: 2 });
    for (const { name, pace } of fleet.servers) pace.times = { read: { ms: name === "b" ? 90 : 1, count: 9 } };
    expect(fleet.rounds(4)).toEqual(["b"]);
  });
});

describe("DESIGN §4.5 a slow server is quick again", () => {
  const slow = (): Fleet => {
    const fleet = new Fleet({ a: 80, b: 10, c: 10 });
    fleet.rounds(4);
    return fleet;
  };

  test("when it is near the others for several rounds in a row: it does not flap", () => {
    const fleet = slow();
    for (let i = 0; i < 50; i++) {
      fleet.says("a", i % 5 === 4 ? 45 : 20);
      expect(fleet.rounds(1)).toEqual([]);
    }
    fleet.says("a", 30); // neither slow nor quick
    expect(fleet.rounds(50)).toEqual([]);
    fleet.says("a", 20);
    expect(fleet.rounds(5)).toEqual([]);
    expect(fleet.rounds(1)).toEqual(["a"]);
    expect(fleet.rounds(50)).toEqual([]);
  });

  test("when it has had nothing to do for long; later each time that it is slow after that", () => {
    const fleet = slow();
    const roundsToForgive: number[] = [];
    for (let i = 0; i < 7; i++) {
      fleet.of("a").times = undefined;
      let rounds = 1;
      while (fleet.rounds(1).length === 0) rounds++;
      roundsToForgive.push(rounds);
      expect(fleet.slow).toEqual([]);
      fleet.says("a", 80);
      expect(fleet.rounds(4)).toEqual(["a"]);
    }
    expect(roundsToForgive).toEqual([24, 48, 96, 192, 384, 384, 384]);
    fleet.says("a", 10);
    fleet.rounds(6);
    fleet.says("a", 80);
    fleet.rounds(4);
    fleet.of("a").times = undefined;
    expect(fleet.rounds(23)).toEqual([]);
    expect(fleet.rounds(1)).toEqual(["a"]);
  });
});
