import { describe, expect, test } from "bun:test";
import { unknownAddress } from "../../../src/master/core/volumes.ts";
import { serversTable, sharedDisks, worstFirst } from "../../../cmd/cli/servers-table.ts";
import { started } from "../master/cluster-with-puts.ts";
import { volumeId } from "../../../src/wire/ids.ts";
import { space, type ServerStatus } from "../../../src/wire/control/namespace.ts";

const [first] = started(1, 1).call(space, {}).servers;

function server(label: string, changes: Partial<ServerStatus> = {}): ServerStatus {
  if (first === undefined) throw new Error("no server");
  return { ...first, label, silentMs: 400, ...changes };
}

describe("servers on a screen", () => {
  test("one that is not live is shown with how long it has been silent, not with the time of day", () => {
    expect(serversTable([server("a", { liveness: "suspect", silentMs: 3_600_000 })])).toMatch(
      /suspect, silent for 1 h/,
    );
  });

  test("of one that has not registered yet neither space nor silence is told, nor space of one out of service", () => {
    const unknown = { totalBytes: 0, freeBytes: 0, usedBytes: 0 };
    const awaited = server("a", { ...unknown, liveness: "suspect", control: unknownAddress, data: unknownAddress });
    expect(serversTable([awaited]).split("\n")[1]).toMatch(/^a +- +- +- +- +0 +0 +- +not registered yet$/);
    const broken = server("b", { ...unknown, liveness: "retired", retiredReason: "its disk failed" });
    expect(serversTable([broken]).split("\n")[1]).toMatch(/^b +server1:\d+ +- +- +- +0 .*retired: its disk failed$/);
  });

  test('an address is the one that "--listen" and "--from" take', () => {
    const known = server("a", { control: "10.0.0.2:4371", data: "10.0.0.2:5371" });
    expect(serversTable([known])).toContain("10.0.0.2:4371");
    expect(serversTable([known])).not.toContain("10.0.0.2:5371");
  });

  test("the worst first: dead, out of service, silent, drained, and then the fullest", () => {
    const all = [
      server("empty", { freeBytes: 1e9 }),
      server("full", { freeBytes: 1e7 }),
      server("leaving", { draining: true }),
      server("brimful", { full: true, slow: "its syncs take long" }),
      server("silent", { liveness: "suspect" }),
      server("broken", { liveness: "retired" }),
      server("gone", { liveness: "dead" }),
    ];
    const order = ["gone", "broken", "silent", "brimful", "leaving", "full", "empty"];
    expect(worstFirst(all).map(({ label }) => label)).toEqual(order);
    expect(serversTable(all)).toContain("live, slow, full");
    const lines = serversTable(all, 2).split("\n");
    expect(lines.map((line) => line.split(" ")[0])).toEqual(["SERVER", "gone", "broken", "and"]);
    expect(lines.at(-1)).toBe("and 5 more, none in a worse state: gfs servers");
  });

  test("a disk is shared by servers that are there, not by one that is gone and its successor", () => {
    const shared = { fileSystem: "disk 1" };
    expect(sharedDisks([server("old", { ...shared, liveness: "dead" }), server("new", shared)])).toEqual([]);
    expect(sharedDisks([server("old", { ...shared, liveness: "retired" }), server("new", shared)])).toEqual([]);
    expect(sharedDisks([server("a", shared), server("b", { ...shared, liveness: "suspect" }), server("c")])).toEqual([
      "on one disk, whose space they share: a, b",
    ]);
  });

  test("latency and scrub are shown where they are known, by the master's clock", () => {
    expect(serversTable([server("a")])).not.toMatch(/LATENCY|SCRUBBED/);
    const round = { everyMs: 1, bytesPerSecondMax: 0, rounds: 1, beganMs: 0, doneBytes: 30, totalBytes: 90 };
    const rest = { bytesPerSecond: 0, chunks: 0, bytes: 0, corrupt: 0 };
    const now = 1_000_000_000;
    const at = { lastHeartbeatMs: now - 400, silentMs: 400, times: { sync: { ms: 2.345, count: 9 } } };
    const done = { ...round, ...rest, oldestMs: now - 7_200_000 };
    const lines = serversTable([
      server("a", { ...at, scrub: done, slow: "its syncs take long" }),
      server("b", { ...at, scrub: { ...round, ...rest } }),
    ]).split("\n");
    expect(lines[0]).toMatch(/LATENCY +SCRUBBED/);
    expect(lines[1]).toMatch(/2\.3 ms +2 h 0 min ago +0\.4 s +live, slow$/);
    expect(lines[2]).toMatch(/33 % yet/);
  });

  test("each by names that other verbs take: its control address, and its volume where labels are not enough", () => {
    const control = { control: "10.0.0.1:4371", data: "10.0.0.1:5371" };
    const lines = serversTable([server("a", control), server("b", { ...control, control: "127.0.0.1:0" })]).split("\n");
    expect(lines[0]).toMatch(/^SERVER +ADDRESS /);
    expect(lines[1]).toMatch(/^a +10\.0\.0\.1:4371 /);
    expect(lines[2]).toMatch(/^b +- /);
    const old = server("a", { ...control, volume: volumeId("1".repeat(32)), liveness: "dead" });
    const replaced = serversTable([old, server("a", control), server("b")]).split("\n");
    expect(replaced[0]).toMatch(/^SERVER +VOLUME +ADDRESS /);
    expect(replaced[1]).toMatch(/^a +111111111111 +10\.0\.0\.1:4371 /);
    expect(replaced[3]).toMatch(/^b +- /);
  });

  test("racks and places are shown where a server has one, and names can't move the cursor", () => {
    expect(serversTable([server("a")])).not.toContain("RACK");
    const lines = serversTable([server("a\u001b[2J", { rack: "r1", location: { x: 1, y: 2 } }), server("b")]).split(
      "\n",
    );
    expect(lines[0]).toMatch(/SERVER .*LOCATION +RACK/);
    expect(lines[1]).toContain("a\\x1b[2J");
    expect(lines[1]).toMatch(/1,2 +r1 /);
  });
});
