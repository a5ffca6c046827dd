import { describe, expect, test } from "bun:test";
import type { RequestOf } from "../../../src/wire/control/common.ts";
import { status } from "../../../src/wire/control/namespace.ts";
import { type ClusterEvent, events } from "../../../src/wire/control/events.ts";
import { chunkVersion } from "../../../src/wire/ids.ts";
import { beginPut, putFile, started } from "./cluster-with-puts.ts";
import type { MasterInSim } from "./master-in-sim.ts";

const all = { kinds: [], limit: 1_000, waitMs: 0 };

function kept(cluster: MasterInSim, request: Partial<RequestOf<typeof events>> = {}) {
  return cluster.call(events, { ...all, ...request });
}

const linesOf = (found: readonly ClusterEvent[]) => found.map(({ kind, text }) => `${kind}: ${text}`);

/** The server is gone until the master has declared it dead. */
function kill(cluster: MasterInSim, at: number): void {
  cluster.servers[at]?.machine.crash({ powerLoss: false });
  cluster.simulation.runFor(cluster.limits.heartbeatMs * (cluster.limits.deadHeartbeats + 2));
}

describe("a master keeps what happened, for operators", () => {
  test("a death and a return, with the server's name and why, in order and through a restart", () => {
    const cluster = started(1, 3);
    kill(cluster, 1);
    cluster.restart();
    cluster.simulation.runFor(5_000);
    const server = cluster.servers[1];
    server?.machine.restart();
    if (server !== undefined) cluster.beginServer(server);
    cluster.simulation.runFor(2_000);

    const { events: found } = kept(cluster);
    const lines = linesOf(found);
    expect(lines[0]).toBe("master.ready: the master has started, epoch 1, at master:4370");
    expect(lines).toContain("volume.registered: server2 joined the cluster, at server2:4371");
    const dead = lines.indexOf("volume.dead: server2 is dead: silent for 3 s");
    const restart = lines.indexOf("master.ready: the master has started, epoch 2, at master:4370");
    const back = lines.indexOf("volume.live: server2 is back, after it was dead");
    expect([dead > 0, restart > dead, back > restart]).toEqual([true, true, true]);
    expect(found[dead]).toMatchObject({ level: "warn", server: "server2" });
    for (const [i, { number, atMs }] of found.entries()) {
      expect(number).toBeGreaterThan(found[i - 1]?.number ?? 0);
      expect(Math.abs(atMs - cluster.machine.world.clock.wallMs())).toBeLessThan(120_000);
    }
  });

  test("a corrupt replica is named by its server and its file", () => {
    const cluster = started(2, 3);
    const put = beginPut(cluster, "/a/photo");
    put.commit();
    const [server] = cluster.servers;
    server?.bad.push({ handle: put.handle, version: chunkVersion(put.version), reason: "corrupt" });
    cluster.simulation.runFor(2_000);
    const [bad] = kept(cluster, { kinds: ["replica."] }).events;
    expect(bad).toMatchObject({ kind: "replica.bad", server: "server1", chunk: put.handle, path: "/a/photo" });
    expect(bad?.text).toBe(
      `the replica of chunk ${put.handle} of /a/photo on server1 is corrupt: the server found it so`,
    );
  });

  test("by beginnings of kinds, by age, the newest or from a number on", () => {
    const cluster = started(3, 3);
    kill(cluster, 0);
    const everything = kept(cluster).events;
    expect(everything.length).toBeGreaterThan(4);
    const volumes = kept(cluster, { kinds: ["volume.re", "volume.dead"] }).events;
    expect(volumes).toEqual(everything.filter(({ kind }) => ["volume.registered", "volume.dead"].includes(kind)));
    expect(kept(cluster, { limit: 2 }).events).toEqual(everything.slice(-2));
    expect(kept(cluster, { after: 0, limit: 2 })).toEqual({
      events: everything.slice(0, 2),
      last: everything[1]?.number ?? 0,
    });
    expect(kept(cluster, { after: everything[1]?.number ?? 0 }).events).toEqual(everything.slice(2));
    expect(kept(cluster, { sinceMs: 3_500 }).events.map(({ kind }) => kind)).toEqual(["volume.suspect", "volume.dead"]);
    // Of files that are gone: all that there is came later.
    expect(kept(cluster, { after: Number.MAX_SAFE_INTEGER }).events).toEqual(everything);
  });

  test("a follower hears of the next event at once, and otherwise when its time is over", () => {
    const cluster = started(4, 2);
    const { last } = kept(cluster);
    const startMs = cluster.machine.world.clock.monotonicMs();
    const waited = () => cluster.machine.world.clock.monotonicMs() - startMs;
    const followers = Array.from({ length: 50 }, () =>
      cluster.begin(events, { ...all, after: last, kinds: ["volume.dead"], waitMs: 4_500 }),
    );
    const other = cluster.begin(events, { ...all, after: last, kinds: ["checkpoint."], waitMs: 4_500 });
    cluster.servers[0]?.machine.crash({ powerLoss: false });
    cluster.simulation.runUntil(() => followers.every(({ settled }) => settled), 10_000);
    expect(waited()).toBeLessThan(4_000);
    for (const { value } of followers)
      expect(linesOf(value.events)).toEqual(["volume.dead: server1 is dead: silent for 3 s"]);
    expect(other.settled).toBe(false);
    cluster.simulation.runUntil(() => other.settled, 10_000);
    expect(waited()).toBeGreaterThan(4_400);
    expect(other.value.events).toEqual([]);
    expect(other.value.last).toBeGreaterThan(last);
  });

  test("no more than so many files of so many bytes, and the newest events", () => {
    const limits = { eventSegmentBytes: 2_000, eventSegments: 2, eventFoldMs: 1 };
    const cluster = started(5, 1, { limits });
    for (let round = 0; round < 30; round++) {
      kill(cluster, 0);
      const [server] = cluster.servers;
      server?.machine.restart();
      if (server !== undefined) cluster.beginServer(server);
      cluster.simulation.runFor(2_000);
    }
    const bytes = cluster.simulation.do(cluster.machine, async ({ disk }) => {
      const names = await disk.list("/data/events");
      const infos = await Promise.all(names.map((name) => disk.info(`/data/events/${name}`)));
      return infos.map((info) => info?.bytes ?? 0);
    });
    expect(bytes.length).toBe(2);
    for (const each of bytes) expect(each).toBeLessThan(2_500);
    const before = kept(cluster).events;
    expect(before.length).toBeGreaterThan(10);
    expect(before.at(-1)?.kind).toBe("volume.live");
    cluster.restart();
    const after = kept(cluster, { kinds: ["volume.dead"] }).events;
    expect(after).toEqual(before.filter(({ kind }) => kind === "volume.dead").slice(-after.length));
    expect(after.length).toBeGreaterThan(2);
  });

  test("a flood in a few lines, with its count", () => {
    const cluster = started(6, 3, { limits: { eventFoldMs: 4_000 } });
    const puts = Array.from({ length: 80 }, (_, i) => beginPut(cluster, `/f${i}`));
    for (const put of puts) put.commit();
    cluster.servers[0]?.bad.push(
      ...puts.map(({ handle, version }) => ({ handle, version, reason: "missing" as const })),
    );
    cluster.simulation.runFor(3_000);
    expect(kept(cluster, { kinds: ["replica.bad"] }).events).toHaveLength(50);
    cluster.simulation.runFor(4_000);
    const found = kept(cluster, { kinds: ["replica.bad"] }).events;
    expect(found).toHaveLength(51);
    expect(found.at(-1)).toMatchObject({ count: 30, path: "/f79" });
    expect(found.at(-1)?.text).toStartWith("30 more of replica.bad, the last: the replica of chunk ");
  });
});

describe("whatever is wrong with where events are kept", () => {
  test("the master goes on, says so, keeps them in memory, and writes them when it can again", () => {
    const cluster = started(10, 1);
    const drive = cluster.machine.drive("/data");
    for (const operation of ["write", "open", "names"] as const)
      drive.fail({ operation, pathPrefix: "/data/events", times: Number.POSITIVE_INFINITY, kind: "full" });
    kill(cluster, 0);
    putFileIsRefused(cluster);
    expect(linesOf(kept(cluster).events).at(-1)).toBe("volume.dead: server1 is dead: silent for 3 s");
    expect(cluster.call(status, {}).warnings.join()).toContain("events are not kept on disk: ");

    drive.forgetPlans();
    cluster.simulation.runFor(61_000);
    cluster.addServer();
    expect(cluster.call(status, {}).warnings.join()).not.toContain("events");
    cluster.restart();
    expect(linesOf(kept(cluster).events)).toContain("volume.dead: server1 is dead: silent for 3 s");
  });

  test("they go to another data directory, and are read from both", () => {
    const cluster = started(11, 1, { dataDirs: ["/a", "/b"] });
    cluster.machine.drive("/a").fail({ operation: "write", pathPrefix: "/a/events", times: Number.POSITIVE_INFINITY });
    kill(cluster, 0);
    expect(cluster.call(status, {}).warnings.join()).not.toContain("events");
    cluster.restart();
    const lines = linesOf(kept(cluster).events);
    expect(lines).toContain("volume.registered: server1 joined the cluster, at server1:4371");
    expect(lines).toContain("volume.dead: server1 is dead: silent for 3 s");
    // The first one can be written to again: what happens then is newer than all that lies in the other.
    cluster.machine.drive("/a").forgetPlans();
    for (let i = 0; i < 2; i++) {
      cluster.restart();
      cluster.simulation.runFor(100);
    }
    const after = kept(cluster).events;
    expect(after.filter(({ kind }) => kind === "master.ready")).toHaveLength(4);
    for (const [i, { number, atMs }] of after.entries()) {
      expect(number).toBeGreaterThan(after[i - 1]?.number ?? 0);
      expect(atMs).toBeGreaterThanOrEqual(after[i - 1]?.atMs ?? 0);
    }
  });

  test("a damaged line is passed over, and no other", () => {
    const cluster = started(12, 3);
    const before = kept(cluster).events;
    const [name = ""] = cluster.simulation.do(cluster.machine, ({ disk }) => disk.list("/data/events"));
    cluster.machine.drive("/data").corrupt(`/data/events/${name}`, 40);
    cluster.restart();
    const after = kept(cluster).events;
    expect(after.slice(0, before.length - 1)).toEqual(before.slice(1));
  });

  test("a loss of power takes the last ones at most, and numbers go on above all that were told", () => {
    for (let seed = 20; seed < 32; seed++) {
      const cluster = started(seed, 3);
      kill(cluster, 0);
      const before = kept(cluster);
      cluster.restart({ powerLoss: true });
      const after = kept(cluster).events;
      const old = after.filter(({ number }) => number <= before.last);
      expect(old).toEqual(before.events.filter((event) => old.some(({ number }) => number === event.number)));
      expect(linesOf(after.slice(old.length))[0]).toContain("epoch 2");
    }
  });
});

/** What can't be done without servers is refused as ever: the master answers. */
function putFileIsRefused(cluster: MasterInSim): void {
  expect(() => putFile(cluster, "/f")).toThrow("Cannot");
}
