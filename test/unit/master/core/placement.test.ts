import { describe, expect, test } from "bun:test";
import {
  distanceBetween,
  freeShare,
  place,
  rackShareMax,
  rankForReader,
} from "../../../../src/master/core/placement.ts";
import type { Candidate, PlacementRequest } from "../../../../src/master/core/placement.ts";
import { refusal } from "./core-driver.ts";

function server(volume: number, more: Partial<Candidate> = {}): Candidate {
  return {
    volume,
    name: `s${volume}`,
    location: undefined,
    rack: undefined,
    totalBytes: 1_000,
    freeBytes: 500,
    newBytes: more.freeBytes ?? 500,
    load: 0,
    liveness: "live",
    slow: false,
    ...more,
  };
}

function ask(more: Partial<PlacementRequest> = {}): PlacementRequest {
  return {
    replicas: 3,
    minReplicas: 2,
    bytes: 100,
    use: "new",
    from: { location: { x: 0, y: 0 } },
    excluded: new Set(),
    weights: { distanceWeight: 0.6, spaceWeight: 0.4 },
    what: "a chunk of /f",
    ...more,
  };
}

const at = (x: number, y = 0) => ({ location: { x, y } });

describe("the score: 0.6 × distance / farthest + 0.4 × (1 − free / total), lower first", () => {
  test.each([
    ["near wins over far", [server(0, at(9)), server(1, at(1))], 1],
    [
      "free wins over full at one distance",
      [server(0, { ...at(1), freeBytes: 100 }), server(1, { ...at(1), freeBytes: 900 })],
      1,
    ],
    // 0: 0.6 × 1/2 + 0.4 × 0.9 = 0.66; 1: 0.6 + 0.4 × 0.1 = 0.64
    [
      "much free space makes up for distance",
      [server(0, { ...at(1), freeBytes: 100 }), server(1, { ...at(2), freeBytes: 900 })],
      1,
    ],
    // 0: 0.6 × 1/2 + 0.4 × 0.8 = 0.62; 1: 0.6 + 0.04 = 0.64
    ["a little less does not", [server(0, { ...at(1), freeBytes: 200 }), server(1, { ...at(2), freeBytes: 900 })], 0],
    ["without any location only space counts", [server(0, { freeBytes: 300 }), server(1, { freeBytes: 600 })], 1],
    ["a server without a location counts as the farthest", [server(0), server(1, at(5)), server(2, at(10))], 1],
    ["all at the client's point: only space counts", [server(0, { ...at(0), freeBytes: 300 }), server(1, at(0))], 1],
    ["a location that is not a number is none", [server(0, at(Number.NaN)), server(1, at(5)), server(2, at(6))], 1],
    ["ties go to the least load", [server(0, { load: 3 }), server(1, { load: 2 })], 1],
    ["equal in all, to the lowest index", [server(1), server(0)], 0],
  ] as const)("%s", (_what, servers, winner) => {
    expect(place(servers, ask({ replicas: 1, minReplicas: 1 })).chosen).toEqual([winner]);
  });

  test("a total of 0 or what is no number counts as full", () => {
    expect(freeShare({ freeBytes: 0, totalBytes: 0 })).toBe(0);
    expect(freeShare({ freeBytes: Number.NaN, totalBytes: 10 })).toBe(0);
    expect(freeShare({ freeBytes: 20, totalBytes: 10 })).toBe(1);
    expect(distanceBetween({ x: Infinity, y: 0 }, { x: 0, y: 0 })).toBeUndefined();
  });

  test("the chain runs from the nearest on, whatever the scores", () => {
    const servers = [
      server(0, { ...at(1), freeBytes: 100 }),
      server(1, { ...at(3), freeBytes: 1_000 }),
      server(2, at(2)),
    ];
    expect(place(servers, ask()).chosen).toEqual([0, 2, 1]);
  });
});

describe("racks", () => {
  test.each([
    [3, 1, 3],
    [3, 2, 2],
    [3, 3, 1],
    [3, 5, 1],
    [1, 0, 1],
  ])("of %i replicas over %i racks at most %i share one", (replicas, racks, most) => {
    expect(rackShareMax(replicas, racks)).toBe(most);
  });

  test("three replicas over two racks use both, though one rack is nearer", () => {
    const near = [0, 1, 2].map((volume) => server(volume, { ...at(1), rack: "a" }));
    const { chosen, rackBreached } = place([...near, server(3, { ...at(9), rack: "b" })], ask());
    expect(chosen).toEqual([0, 1, 3]);
    expect(rackBreached).toBe(false);
  });

  test("where it can't be kept it is breached and reported", () => {
    const near = [0, 1, 2].map((volume) => server(volume, { rack: "a" }));
    const result = place([...near, server(3, { rack: "b", freeBytes: 0 })], ask());
    expect(result).toEqual({ chosen: [0, 1, 2], rackBreached: true, short: false });
  });

  test("the racks of those who hold the chunk already count", () => {
    const servers = [server(0, { rack: "a" }), server(1, { ...at(1), rack: "a" }), server(2, { ...at(9), rack: "b" })];
    expect(place(servers, ask({ replicas: 1, minReplicas: 1, holders: [0] })).chosen).toEqual([2]);
  });
});

describe("who is not chosen", () => {
  test.each(["suspect", "dead", "retired", "unregistered"] as const)("a %s server", (liveness) => {
    expect(place([server(0, { liveness }), server(1), server(2)], ask())).toMatchObject({
      chosen: [1, 2],
      short: true,
    });
  });

  test("one with less free than needed, by a single byte", () => {
    expect(place([server(0, { freeBytes: 99 }), server(1, { freeBytes: 100 }), server(2)], ask()).chosen).toEqual([
      2, 1,
    ]);
  });

  test("excluded ones, if there are enough others; else as the last resort", () => {
    const excluded = new Set([0]);
    expect(place([server(0), server(1), server(2)], ask({ excluded })).chosen).toEqual([1, 2]);
    expect(place([server(0), server(1)], ask({ excluded })).chosen).toEqual([0, 1]);
    const crowded = [server(0, { rack: "a" }), server(1, { rack: "a" }), server(2, { rack: "b" })];
    expect(place(crowded, ask({ replicas: 2, excluded: new Set([0, 2]) })).chosen).toEqual([1, 2]);
    expect(place(crowded.slice(0, 2), ask({ replicas: 2, excluded: new Set([0, 1]) })).chosen).toEqual([0, 1]);
  });

  test("where only one rack has servers left, excluded ones of it are taken too", () => {
    const servers = [server(0, { rack: "a" }), server(1, { rack: "a" }), server(2, { rack: "b", freeBytes: 0 })];
    const result = place(servers, ask({ replicas: 2, excluded: new Set([0]) }));
    expect(result).toEqual({ chosen: [0, 1], rackBreached: true, short: false });
  });
});

describe("full servers", () => {
  const full = { freeBytes: 400, newBytes: 99 };

  test("take no new chunk into what they keep for repair, and say so", () => {
    const servers = [server(0, { ...at(0), ...full }), server(1, at(5)), server(2, at(6))];
    expect(place(servers, ask())).toMatchObject({ chosen: [1, 2], short: true });
    expect(() => place([server(0, full), server(1, full), server(2)], ask())).toThrow(
      "100 B wanted on each of 2 servers, 2 of 3 live servers are full, 698 B free in all (s0 has 99 B free for new chunks, besides what is kept for repair, not the 100 B needed; s1",
    );
  });

  test("take clones", () => {
    const servers = [server(0, full), server(1, { freeBytes: 99, newBytes: 0 })];
    expect(place(servers, ask({ replicas: 1, minReplicas: 1, use: "clone" })).chosen).toEqual([0]);
    expect(refusal("NoSpace", () => place(servers.slice(1), ask({ minReplicas: 1, use: "clone" })))).toContain(
      "s1 has 99 B free, not the 100 B needed",
    );
  });
});

describe("slow servers", () => {
  const slow = { slow: true };

  test("are left out where enough others remain, however near and empty", () => {
    const servers = [server(0, { ...at(0), ...slow, freeBytes: 1_000 }), server(1, at(5)), server(2, at(6))];
    const others = [...servers, server(3, at(7))];
    expect(place(others, ask()).chosen).toEqual([1, 2, 3]);
    expect(place(servers, ask({ replicas: 2 })).chosen).toEqual([1, 2]);
  });

  test("are taken, last in the chain, rather than too few replicas or two in a rack", () => {
    const servers = [server(0, { ...at(0), ...slow, rack: "a" }), server(1, { ...at(5), rack: "b" })];
    expect(place(servers, ask())).toEqual({ chosen: [1, 0], rackBreached: false, short: true });
    const crowded = [...servers, server(2, { ...at(6), rack: "b" })];
    expect(place(crowded, ask({ replicas: 2 })).chosen).toEqual([1, 0]);
    expect(place([server(0, slow), server(1, slow)], ask()).chosen).toEqual([0, 1]);
  });

  test("are taken before those who failed the client", () => {
    const servers = [server(0, slow), server(1), server(2)];
    expect(place(servers, ask({ replicas: 2, excluded: new Set([1]) })).chosen).toEqual([2, 0]);
  });
});

describe("refusals name the rule and the server", () => {
  test("fewer live than min_replicas: TooFewServers", () => {
    const servers = [server(0), server(1, { liveness: "suspect" }), server(2, { liveness: "dead" })];
    expect(() => place(servers, ask())).toThrow(
      "Cannot place a chunk of /f: 1 of 2 servers needed can take it (s1 is suspect; s2 is dead)",
    );
  });

  test.each([
    ["would do: Unavailable, for they are on their way", ["live", "unregistered", "dead"], "Unavailable"],
    ["would not do: TooFewServers", ["unregistered", "suspect", "dead"], "TooFewServers"],
  ] as const)("fewer live than min_replicas after a start of the master; those to come %s", (_name, each, code) => {
    const servers = each.map((liveness, volume) => server(volume, { liveness }));
    expect(refusal(code, () => place(servers, ask()))).toContain("has not registered since the master started");
  });

  test("enough live, too few with space: NoSpace with wanted and free", () => {
    const servers = [server(0), server(1, { freeBytes: 7 }), server(2, { freeBytes: 0 })];
    expect(() => place(servers, ask())).toThrow(
      "Cannot place a chunk of /f: 100 B wanted on each of 2 servers, 2 of 3 live servers are full, 507 B free in all (s1 has 7 B free, not the 100 B needed; s2 has 0 B free, not the 100 B needed)",
    );
  });

  test("no server at all", () => {
    expect(() => place([], ask())).toThrow("0 of 2 servers needed can take it (no server is known)");
  });
});

describe("the order for a reader", () => {
  const order = (servers: Candidate[], from = {}, spread = 1) =>
    rankForReader(servers, from, spread).map((each) => each.volume);

  test("nearest first, suspect ones last, with distances", () => {
    const servers = [server(0, at(9)), server(1, { ...at(1), liveness: "suspect" }), server(2, at(3)), server(3)];
    expect(rankForReader(servers, at(0), 1)).toEqual([
      { volume: 2, distance: 3 },
      { volume: 0, distance: 9 },
      { volume: 3, distance: undefined },
      { volume: 1, distance: 1 },
    ]);
  });

  test("slow ones after quick ones, and before suspect ones", () => {
    const servers = [
      server(0, { ...at(1), liveness: "suspect" }),
      server(1, { ...at(1), slow: true }),
      server(2, { ...at(1), liveness: "suspect", slow: true }),
      server(3, at(9)),
    ];
    expect(order(servers, at(0))).toEqual([3, 1, 0, 2]);
  });

  test("without locations: the same rack, then the least load", () => {
    expect(
      order([server(0), server(1, { load: 0, rack: "a" }), server(2, { load: 9, rack: "b" })], { rack: "b" })[0],
    ).toBe(2);
    expect(order([server(0, { load: 1 }), server(1)])[0]).toBe(1);
  });

  test("among equals it is stable for a chunk and spread over chunks", () => {
    const servers = [server(0), server(1), server(2)];
    const firsts = new Set(Array.from({ length: 60 }, (_, spread) => order(servers, {}, spread * 7_919)[0]));
    expect(order(servers, {}, 5)).toEqual(order(servers.toReversed(), {}, 5));
    expect(firsts.size).toBeGreaterThan(1);
  });
});
