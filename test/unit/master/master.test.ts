import { describe, expect, test } from "bun:test";
import {
  appendTail,
  createFile,
  draftCreate,
  fileLength,
  locate,
  sessionOpen,
} from "../../../src/wire/control/files.ts";
import {
  confirm,
  fsck,
  list,
  mkdir,
  move,
  remove,
  stat,
  status,
  trashPurge,
  trashRestore,
} from "../../../src/wire/control/namespace.ts";
import { changeSettings, settings } from "../../../src/wire/control/settings.ts";
import { chunkHandle, type InodeId, sequence } from "../../../src/wire/ids.ts";
import { putFile, started } from "./cluster-with-puts.ts";
import type { MasterInSim } from "./master-in-sim.ts";

function newFile(cluster: MasterInSim, path: string): InodeId {
  return cluster.call(createFile, { id: cluster.nextId(), path, mode: "new" }).inode;
}

const tailOf = (cluster: MasterInSim, inode: InodeId) => cluster.call(appendTail, { inode, recordBytes: 100 });

describe("a master", () => {
  test("keeps the namespace over restarts and power losses", () => {
    const cluster = started(1);
    cluster.call(mkdir, { id: cluster.nextId(), path: "/a/b", parents: true });
    newFile(cluster, "/a/b/f");
    for (const powerLoss of [false, true]) {
      cluster.restart({ powerLoss });
      expect(cluster.call(list, { path: "/a/b", limit: 10 }).entries.map(({ name }) => name)).toEqual(["f"]);
    }
    expect(cluster.call(status, {}).epoch.number).toBe(3);
    expect(cluster.call(status, {}).files).toBe(1);
  });

  test("acknowledges nothing that a power loss can undo, whenever it comes", () => {
    for (let seed = 100; seed < 130; seed++) {
      const cluster = started(seed);
      cluster.nextId();
      const calls = Array.from({ length: 12 }, (_, i) => ({
        path: `/f${i}`,
        call: cluster.begin(createFile, { id: cluster.nextId(), path: `/f${i}`, mode: "new" }),
      }));
      cluster.simulation.runFor(0.3 + (seed % 30) / 8);
      const acknowledged = calls.filter(({ call }) => call.settled).map(({ path }) => path);
      cluster.restart({ powerLoss: true });
      const names = cluster.call(list, { path: "/", limit: 100 }).entries.map(({ name }) => `/${name}`);
      expect(acknowledged.filter((path) => !names.includes(path))).toEqual([]);
    }
  });

  test("refuses for no reason that a power loss can undo", () => {
    let refused = 0;
    for (let seed = 200; seed < 240; seed++) {
      const cluster = started(seed);
      cluster.nextId();
      const create = () => cluster.begin(createFile, { id: cluster.nextId(), path: "/f", mode: "new" });
      const calls = [create(), create()];
      cluster.simulation.runFor(0.2 + (seed % 40) / 20);
      const settled = calls.filter((call) => call.settled).length;
      cluster.restart({ powerLoss: true, keep: 0 });
      if (settled === 0) continue;
      refused++;
      expect(cluster.call(list, { path: "/", limit: 1 }).entries).toHaveLength(1);
    }
    expect(refused).toBeGreaterThan(3);
  });

  test("keeps what an operator changed over restarts and power losses", () => {
    const cluster = started(6);
    const name = "repair-streams-per-server";
    cluster.call(changeSettings, { id: cluster.nextId(), changes: [{ name, value: 5 }] });
    for (const powerLoss of [false, true]) {
      cluster.restart({ powerLoss });
      expect(cluster.call(settings, {}).settings.find((each) => each.name === name)?.value).toBe(5);
    }
    cluster.call(changeSettings, { id: cluster.nextId(), changes: [{ name }] });
    cluster.restart({ powerLoss: true });
    expect(cluster.call(settings, {}).settings.find((each) => each.name === name)?.value).toBeUndefined();
    expect(() => cluster.call(changeSettings, { id: cluster.nextId(), changes: [{ name: "repair" }] })).toThrow(
      "known:",
    );
  });

  test("answers a retry after a restart as it did at first", () => {
    const cluster = started(2);
    const request = { id: cluster.nextId(), path: "/f", mode: "new" as const };
    const first = cluster.call(createFile, request);
    cluster.restart({ powerLoss: true });
    expect(cluster.call(createFile, request)).toEqual(first);
    expect(() => cluster.call(createFile, { ...request, path: "/g" })).toThrow("this id was used");
  });

  test("refuses a second master on its directory", () => {
    const cluster = started(3);
    expect(() => cluster.start()).toThrow("another gfs process has it open");
  });

  test("stops when its log fails, and says why", () => {
    const cluster = started(4);
    let failure: unknown;
    cluster.master?.failed.catch((error: unknown) => {
      failure = error;
    });
    cluster.nextId();
    cluster.machine.drive().fail({ operation: "sync", pathPrefix: "/data/operation-log", times: 1 });
    expect(() => newFile(cluster, "/f")).toThrow();
    cluster.simulation.runFor(1_000);
    expect(failure).toMatchObject({ code: "DiskFailed" });
    cluster.crash({ powerLoss: false });
    cluster.start();
    expect(cluster.call(status, {}).files).toBeLessThanOrEqual(1);
  });
});

describe("mirrored data directories", () => {
  const dataDirs = ["/one", "/two"];

  test("give the same state back from either, when the other is lost", () => {
    for (const [kept, lost] of [dataDirs, dataDirs.toReversed()]) {
      const cluster = started(5, 0, { dataDirs });
      newFile(cluster, "/f");
      cluster.crash({ powerLoss: true });
      expect(() => cluster.start({ dataDirs: [kept ?? ""] })).toThrow(`the operation log was also written to ${lost}`);
      cluster.start({ dataDirs: [kept ?? ""], lostDataDirs: [lost ?? ""] });
      expect(cluster.call(status, {}).files).toBe(1);
    }
  });

  test("go on with one when the other fails, and the failed one is refused alone", () => {
    const cluster = started(6, 0, { dataDirs });
    cluster.nextId();
    cluster.machine.drive().fail({ operation: "sync", pathPrefix: "/one/operation-log", times: 1 });
    newFile(cluster, "/f");
    expect(cluster.call(status, {}).dataDirs.map(({ state }) => state)).toEqual([
      "failed: not written to any more",
      "in use",
    ]);
    newFile(cluster, "/g");
    cluster.crash({ powerLoss: true });
    expect(() => cluster.start({ dataDirs: ["/one"] })).toThrow("Cannot start on /one alone");
    cluster.start();
    expect(cluster.call(status, {}).files).toBe(2);
    expect(cluster.call(status, {}).dataDirs.map(({ state }) => state)).toEqual(["in use", "in use"]);
  });
});

describe("checkpoints", () => {
  test("are written by a child, trim the log, and give the same state back", () => {
    const cluster = started(7, 0, { limits: { checkpointRecords: 1_000_000 } });
    const { master } = cluster;
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 5; i++) newFile(cluster, `/r${round}-${i}`);
      cluster.simulation.do(cluster.machine, async () => master?.checkpoint());
    }
    newFile(cluster, "/last");
    const { log } = cluster.call(status, {});
    expect(log.checkpoint).toBeGreaterThan(15);
    cluster.restart({ powerLoss: true });
    expect(cluster.call(status, {}).files).toBe(16);
    const names = cluster.simulation.do(cluster.machine, ({ disk }) => disk.list("/data/checkpoints"));
    expect(names).toHaveLength(2);
    // The newest is damaged: the older one and the log from there do.
    cluster.crash({ powerLoss: false });
    cluster.machine.drive().corrupt(`/data/checkpoints/${names[1] ?? ""}`, 300);
    cluster.start();
    expect(cluster.call(status, {}).files).toBe(16);
  });

  test("begin by themselves as the log grows", () => {
    const cluster = started(8, 0, { limits: { checkpointRecords: 20 } });
    for (let i = 0; i < 60; i++) newFile(cluster, `/f${i}`);
    cluster.simulation.runFor(5_000);
    expect(cluster.call(status, {}).log.checkpoint).toBeGreaterThan(20);
  });
});

describe("a put", () => {
  test("is published by its commit, with replicas that a reader is sent to at once", () => {
    const cluster = started(9, 3);
    const inode = putFile(cluster, "/dir/f");
    const found = cluster.call(locate, { target: { kind: "path", path: "/dir/f" }, offset: 0, length: 5_000 });
    expect(found).toMatchObject({ inode, sealedBytes: 1_000, more: false });
    expect(found.extents).toHaveLength(1);
    expect(found.extents[0]?.replicas).toHaveLength(3);
    expect(cluster.call(stat, { path: "/dir/f" }).entry.bytes).toBe(1_000);
    expect(cluster.call(fsck, { path: "/", list: false })).toMatchObject({
      files: 1,
      chunks: 1,
      bytes: 1_000,
      problems: [],
    });
  });

  test("without servers enough says which are missing", () => {
    const cluster = started(10, 1);
    const target = { kind: "put" as const, path: "/f", overwrite: false };
    expect(() => cluster.call(draftCreate, { id: cluster.nextId(), target, firstChunkBytes: 10 })).toThrow(
      "1 of 2 servers needed can take it",
    );
  });

  test("of a removed file leaves garbage that servers are told to delete, after the grace", () => {
    const cluster = started(11, 3);
    putFile(cluster, "/f");
    cluster.simulation.runFor(5_000);
    cluster.call(remove, { id: cluster.nextId(), path: "/f", recursive: false, skipTrash: true });
    cluster.simulation.runFor(3_000);
    expect(cluster.servers.flatMap(({ told }) => told)).toEqual([]);
    cluster.simulation.runFor(15_000);
    expect(cluster.servers.map(({ told }) => told)).toEqual([["delete 1"], ["delete 1"], ["delete 1"]]);
    expect(cluster.call(status, {}).garbage).toMatchObject({ waiting: 0, deleted: 3 });
  });

  test("short of a replica is repaired when a server comes", () => {
    const cluster = started(12, 2);
    putFile(cluster, "/f");
    const third = cluster.addServer();
    // The fakes report nothing: what the commit named is dropped by their next full report only.
    cluster.simulation.runFor(8_000);
    expect(third.told).toEqual(["clone 1"]);
    expect(cluster.call(status, {}).repair.done).toBe(1);
  });
});

describe("an open tail", () => {
  test("is opened once for all who ask", () => {
    const cluster = started(13, 3);
    const inode = newFile(cluster, "/f");
    const calls = [1, 2, 3].map(() => cluster.begin(appendTail, { inode, recordBytes: 10 }));
    cluster.simulation.runUntil(() => calls.every(({ settled }) => settled));
    const handles = calls.map(({ value }) => value.handle);
    expect(new Set(handles).size).toBe(1);
    for (const { told } of cluster.servers) expect(told).toEqual([`open ${handles[0]}`]);
  });

  test("that a client saw fail is sealed at the longest length, and the next one follows it", () => {
    const cluster = started(14, 3);
    const inode = newFile(cluster, "/f");
    const first = tailOf(cluster, inode);
    cluster.servers[1]?.prepared.set(first.handle, 300);
    const failed = { handle: first.handle, version: first.version, reason: "test" };
    const second = cluster.call(appendTail, { inode, recordBytes: 10, failed });
    expect(second.handle).not.toBe(first.handle);
    expect(second.fileOffset).toBe(300);
    const { extents } = cluster.call(locate, { target: { kind: "inode", inode }, offset: 0, length: 1_000 });
    expect(extents.map(({ length, state }) => [length, state])).toEqual([
      [300, "sealed"],
      [0, "open"],
    ]);
    cluster.simulation.runFor(2_000);
    for (const { told } of cluster.servers) expect(told).toContain(`finish ${first.handle}`);
  });

  test("that a member refuses to open is given up, and another is opened without it", () => {
    const cluster = started(15, 4);
    const inode = newFile(cluster, "/f");
    const [one] = cluster.servers;
    if (one !== undefined) one.refusesOpen = true;
    const tail = tailOf(cluster, inode);
    expect(tail.chain.map(({ volume }) => volume)).not.toContain(one?.volume);
  });

  test("goes on being sealed by the next start of the master", () => {
    const cluster = started(16, 3);
    const inode = newFile(cluster, "/f");
    const { handle, version } = tailOf(cluster, inode);
    // Any two of three that answer in time know of them.
    for (const { prepared } of cluster.servers.slice(0, 2)) prepared.set(handle, 50);
    const failed = { handle, version, reason: "test" };
    cluster.begin(appendTail, { inode, recordBytes: 10, failed });
    // The first fence is on its way: the seal has begun, and is not done.
    const fenced = () => cluster.servers.some(({ told }) => told.includes(`fence ${handle}`));
    expect(cluster.simulation.runUntil(fenced, 1_000)).toBe(true);
    expect(cluster.servers.some(({ told }) => told.includes(`finish ${handle}`))).toBe(false);
    cluster.restart({ powerLoss: true });
    cluster.simulation.runFor(5_000);
    expect(tailOf(cluster, inode).fileOffset).toBe(50);
  });

  test("is sealed before its file is removed, replaced or moved over", () => {
    const cluster = started(17, 3);
    const id = () => cluster.nextId();
    const takesAway = [
      (path: string) => cluster.call(remove, { id: id(), path, recursive: false, skipTrash: false }),
      (path: string) => putFile(cluster, path, true),
      (path: string) => cluster.call(createFile, { id: id(), path, mode: "replace" }),
      (path: string) => {
        newFile(cluster, `${path}-other`);
        return cluster.call(move, { id: id(), from: `${path}-other`, to: path, overwrite: true });
      },
    ];
    for (const [i, takeAway] of takesAway.entries()) {
      const inode = newFile(cluster, `/f${i}`);
      const { handle } = tailOf(cluster, inode);
      cluster.servers[2]?.prepared.set(handle, 10);
      takeAway(`/f${i}`);
      for (const { told } of cluster.servers) expect(told).toContain(`fence ${handle}`);
      expect(() => tailOf(cluster, inode)).toThrow("removed or replaced");
    }
  });

  test("has a length that the master asks its primary for", () => {
    const cluster = started(18, 3);
    const inode = newFile(cluster, "/f");
    const { handle } = tailOf(cluster, inode);
    for (const { prepared } of cluster.servers) prepared.set(handle, 77);
    expect(cluster.call(fileLength, { inode }).bytes).toBe(77);
  });

  test("of a server that died is sealed without being asked for", () => {
    const cluster = started(19, 3);
    const inode = newFile(cluster, "/f");
    const { handle, chain } = tailOf(cluster, inode);
    const primary = cluster.servers.find(({ volume }) => volume === chain[0]?.volume);
    primary?.machine.crash({ powerLoss: true });
    cluster.simulation.runFor(6_000);
    for (const server of cluster.servers) if (server !== primary) expect(server.told).toContain(`fence ${handle}`);
    expect(cluster.call(status, {}).servers.filter(({ liveness }) => liveness === "dead")).toHaveLength(1);
  });
});

describe("a tail that takes no more", () => {
  test("by what its primary says in a heartbeat is sealed without a client's asking", () => {
    const cluster = started(31, 3);
    const inode = newFile(cluster, "/f");
    const { handle } = tailOf(cluster, inode);
    const primary = cluster.servers.find(({ open }) => open.some(({ role }) => role === "primary"));
    const at = primary?.open.findIndex((each) => each.handle === handle) ?? -1;
    const full = primary?.open[at];
    if (primary === undefined || full === undefined) throw new Error("no primary");
    primary.open[at] = { ...full, committed: 40, prepared: 40, stopped: "full" };
    for (const server of cluster.servers) server.prepared.set(handle, 40);
    cluster.simulation.runFor(2 * cluster.limits.heartbeatMs);
    for (const { told } of cluster.servers) expect(told).toContain(`finish ${handle}`);
    const { extents } = cluster.call(locate, { target: { kind: "inode", inode }, offset: 0, length: 1_000 });
    expect(extents.map(({ length, state }) => [length, state])).toEqual([[40, "sealed"]]);
  });
});

describe("a master that is behind", () => {
  test("changes nothing until it is confirmed, then gives out no handle that was seen", () => {
    const cluster = started(20, 2);
    newFile(cluster, "/f");
    cluster.addServer({ highestHandle: 5_000, epoch: { number: 40, startId: "0123456789abcdef" } });
    expect(cluster.call(status, {}).stopped.mutations).toContain("server3");
    expect(() => newFile(cluster, "/g")).toThrow("gfs master confirm");
    expect(cluster.call(list, { path: "/", limit: 10 }).entries).toHaveLength(1);
    // An operator's client is a new one, with a session that nobody can have had.
    const { session: early } = cluster.nextId();
    const { session } = cluster.call(sessionOpen, { label: "operator" });
    expect(session).toBeGreaterThan(early + 1_000_000);
    const id = { session, sequence: sequence(1), floor: sequence(1) };
    expect(cluster.call(confirm, { id }).accepted.length).toBeGreaterThan(0);
    // Nor a session that the lost end of its log may have opened: volumes remember what those appended.
    expect(cluster.call(sessionOpen, { label: "" }).session).toBeGreaterThan(session);
    const inode = newFile(cluster, "/g");
    cluster.simulation.runFor(1_000);
    expect(tailOf(cluster, inode).handle).toBeGreaterThan(5_000);
    expect(cluster.call(status, {}).epoch.number).toBe(41);
    expect(chunkHandle(5_001)).toBe(chunkHandle(5_001));
  });
});

describe("the trash", () => {
  test("gives back what was removed, and is emptied in one call however much there is", () => {
    const cluster = started(21);
    for (let i = 0; i < 30; i++) newFile(cluster, `/f${i}`);
    for (let i = 0; i < 30; i++)
      cluster.call(remove, { id: cluster.nextId(), path: `/f${i}`, recursive: false, skipTrash: false });
    expect(cluster.call(trashRestore, { id: cluster.nextId(), entry: "/f3" }).path).toBe("/f3");
    expect(cluster.call(trashPurge, { id: cluster.nextId() }).entries).toBe(29);
    cluster.simulation.runFor(3_000);
    expect(cluster.call(status, {})).toMatchObject({ files: 1, trash: { entries: 0 } });
  });

  test("forgets by itself what has been in it long enough", () => {
    const cluster = started(22);
    newFile(cluster, "/f");
    cluster.call(remove, { id: cluster.nextId(), path: "/f", recursive: false, skipTrash: false });
    cluster.simulation.runFor(cluster.limits.trashMs - 2_000);
    expect(cluster.call(status, {}).trash.entries).toBe(1);
    cluster.simulation.runFor(5_000);
    expect(cluster.call(status, {}).trash.entries).toBe(0);
  });
});
