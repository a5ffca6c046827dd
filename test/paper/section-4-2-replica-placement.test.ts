import { describe, expect, test } from "bun:test";
import { defaultLimits } from "../../src/limits.ts";
import { type Candidate, place, type PlacementRequest, rankForReader } from "../../src/master/core/placement.ts";

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
    from: {},
    excluded: new Set(),
    weights: defaultLimits,
    what: "a chunk",
    ...more,
  };
}

describe("paper §4.2 replica placement", () => {
  test("replicas are spread across racks: a chunk survives when a whole rack is damaged or offline", () => {
    const racks = ["r1", "r1", "r1", "r2", "r2", "r2"];
    const servers = racks.map((rack, volume) => server(volume, { rack }));
    const { chosen, rackBreached } = place(servers, ask());
    expect(new Set(chosen.map((volume) => racks[volume])).size).toBe(2);
    expect(rackBreached).toBe(false);
  });

  test("where racks can't be kept apart the put goes on, and the breach is told", () => {
    const full = server(3, { rack: "r2", freeBytes: 0 });
    const servers = [...[0, 1, 2].map((volume) => server(volume, { rack: "r1" })), full];
    const { chosen, rackBreached, short } = place(servers, ask());
    expect(chosen).toEqual([0, 1, 2]);
    expect({ rackBreached, short }).toEqual({ rackBreached: true, short: false });
  });

  test("a reader takes the nearest replica", () => {
    const servers = [9, 1, 5].map((x, volume) => server(volume, { location: { x, y: 0 } }));
    const ranked = rankForReader(servers, { location: { x: 0, y: 0 } }, 1);
    expect(ranked.map(({ volume }) => volume)).toEqual([1, 2, 0]);
  });
});

describe("paper §4.3 creation", () => {
  test("new replicas go to chunkservers with below-average use of their disks", () => {
    const servers = [900, 100, 800, 200, 700].map((freeBytes, volume) => server(volume, { freeBytes }));
    expect(new Set(place(servers, ask()).chosen)).toEqual(new Set([0, 2, 4]));
  });

  test("a server with many recent creations, whose writes are still to come, is passed over among equals", () => {
    const servers = [5, 0, 0, 0].map((load, volume) => server(volume, { load }));
    expect(new Set(place(servers, ask()).chosen)).toEqual(new Set([1, 2, 3]));
  });

  test("a suspect or dead chunkserver gets nothing new", () => {
    const servers = [server(0, { liveness: "suspect" }), server(1, { liveness: "dead" }), server(2), server(3)];
    expect(new Set(place(servers, ask()).chosen)).toEqual(new Set([2, 3]));
  });
});
