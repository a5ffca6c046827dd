/** What `locate`, `stat` and `fsck` show of the replicas of a chunk. */
import { expect, test } from "bun:test";
import { appendTail, createFile } from "../../../src/wire/control/files.ts";
import { fsck, stat, status } from "../../../src/wire/control/namespace.ts";
import { chunkHandle } from "../../../src/wire/ids.ts";
import { putFile, started } from "./cluster-with-puts.ts";

function withDead(seed: number) {
  const cluster = started(seed, 3);
  putFile(cluster, "/f");
  const shown = () => {
    const replicas = cluster.call(stat, { path: "/f" }).extents[0]?.replicas ?? [];
    return replicas.map(({ label, health }) => `${label} ${health}`);
  };
  const [first] = shown();
  const dead = cluster.servers.find(({ machine }) => first?.startsWith(machine.name));
  dead?.machine.crash({ powerLoss: false });
  cluster.simulation.runFor(cluster.limits.heartbeatMs * (cluster.limits.deadHeartbeats + 2));
  const others = cluster.servers.filter((each) => each !== dead).map(({ machine }) => machine.name);
  return { cluster, shown, dead: dead?.machine.name, others };
}

test("dead servers are shown last", () => {
  const { shown, dead, others } = withDead(71);
  expect(shown().slice(0, 2).toSorted()).toEqual(others.map((name) => `${name} healthy`));
  expect(shown()[2]).toBe(`${dead} dead`);
});

test("fsck says of a replica what stat says, in words that operators know", () => {
  const { cluster, shown, dead } = withDead(72);
  const told = () => cluster.call(fsck, { path: "/f", list: false }).problems.map(({ kind, text }) => [kind, text]);
  const sorted = (text: string | undefined): string[] => (/\((.*?)\)/.exec(text ?? "")?.[1] ?? "").split(", ").sort();
  const [[kind, text] = []] = told();
  expect(kind).toBe("short");
  // No server has sent a full report since the put: they acknowledged it.
  expect(sorted(text)).toEqual(shown().toSorted());
  expect(text).toContain(`${dead} dead`);
  cluster.restart();
  const [[later, named] = []] = told();
  expect(later).toBe("pending");
  expect(sorted(named)).toEqual(["server1", "server2", "server3"].map((name) => `${name} not reported yet`));
  expect(shown().toSorted()).toEqual(["server1", "server2", "server3"].map((name) => `${name} unreported`));
});

test("fsck calls an open chunk short where status does", () => {
  const cluster = started(73, 2);
  const { inode } = cluster.call(createFile, { id: cluster.nextId(), path: "/log", mode: "new" });
  cluster.call(appendTail, { inode, recordBytes: 100 });
  // For the next round over the chunk table.
  cluster.simulation.runFor(12_000);
  expect(cluster.call(status, {}).chunks).toMatchObject({ open: 1, unsealedShort: 1 });
  const { problems } = cluster.call(fsck, { path: "/", list: false });
  expect(problems).toEqual([
    { kind: "short", path: "/log", handle: chunkHandle(1), text: "chunk 1, open for append, has 2 of 3 servers" },
  ]);
});
