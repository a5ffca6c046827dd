/** DESIGN §4.5: a drain that can't be finished as things are says so, in an event too, and goes on when they change. */
import { expect, test } from "bun:test";
import { drain, drains } from "../../../src/wire/control/drains.ts";
import { events } from "../../../src/wire/control/events.ts";
import { appendTail, createFile, draftCommit, draftCreate } from "../../../src/wire/control/files.ts";
import { status } from "../../../src/wire/control/namespace.ts";
import { changeSettings } from "../../../src/wire/control/settings.ts";
import { started } from "./cluster-with-puts.ts";
import { entry } from "./core/chunk-world.ts";
import type { MasterInSim } from "./master-in-sim.ts";

/** A chunk with one replica, on the only server. */
function withChunk(seed: number): MasterInSim {
  const cluster = started(seed, 1);
  const target = { kind: "put" as const, path: "/f", overwrite: false };
  const put = { id: cluster.nextId(), target, firstChunkBytes: 1_000, replicas: 1 };
  const { draft, placement } = cluster.call(draftCreate, put);
  const { handle, version, chain } = placement!;
  const chunks = [{ handle, version, length: 1_000, crc: 7, volumes: chain.map(({ volume }) => volume) }];
  cluster.call(draftCommit, { id: cluster.nextId(), draft, chunks });
  cluster.servers[0]?.reported.push(entry(Number(handle), { length: 1_000, crc: 7 }));
  return cluster;
}

function withTail(seed: number): MasterInSim {
  const cluster = started(seed, 1);
  const { inode } = cluster.call(createFile, { id: cluster.nextId(), path: "/f", mode: "new", replicas: 1 });
  cluster.call(appendTail, { inode, recordBytes: 100 });
  return cluster;
}

const reportOf = (cluster: MasterInSim) => cluster.call(drains, {}).drains[0];

function expectStuck(cluster: MasterInSim, why: string): void {
  const report = reportOf(cluster);
  expect(report?.state).toBe("stuck");
  expect(report?.why).toContain(why);
  expect(cluster.call(status, {}).warnings).toContainEqual(`the drain of ${report?.label} is stuck: ${report?.why}`);
}

const told = (cluster: MasterInSim) =>
  cluster
    .call(events, { after: 0, kinds: [], limit: 100, waitMs: 0 })
    .events.filter(({ kind }) => kind.startsWith("drain."));

test.each([
  ["a chunk", withChunk, "1 chunk (1.00 kB) has too few replicas on other servers: chunk 1 has no replica that can"],
  ["an open tail", withTail, "1 chunk is being written there, or sealed: chunk 1 can't be sealed: all of its servers"],
])("of a server that dies with the only replica of %s, until it returns", (_what, prepare, why) => {
  const cluster = prepare(1);
  const [victim] = cluster.servers;
  victim!.machine.crash({ powerLoss: false });
  // The fake servers say that they have copied what nobody could have given them: there is none before.
  cluster.simulation.runFor(cluster.limits.heartbeatMs * (cluster.limits.deadHeartbeats + 2));
  cluster.addServer();
  cluster.call(drain, { id: cluster.nextId(), server: victim!.volume });
  cluster.simulation.runFor(3_000);
  expectStuck(cluster, why);
  expect(told(cluster).map(({ kind }) => kind)).toEqual(["drain.begun", "drain.stuck"]);
  expect(told(cluster)[1]?.text).toContain("1 chunk is left");

  victim!.machine.restart();
  cluster.beginServer(victim!);
  cluster.simulation.runFor(10_000);
  expect(reportOf(cluster)?.state).toBe("safe");
  const ready = `${victim!.machine.name} is drained, and safe to stop: gfs decommission forgets it`;
  expect(cluster.call(status, {}).warnings).toContainEqual(ready);
  expect(told(cluster).filter(({ kind }) => kind === "drain.stuck")).toHaveLength(1);
});

test("while repair is held back, since many servers were lost at once", () => {
  const cluster = withChunk(3);
  const lost = [cluster.addServer(), cluster.addServer()];
  for (let i = 0; i < 2; i++) cluster.addServer();
  cluster.simulation.runFor(3_000);
  for (const { machine } of lost) machine.crash({ powerLoss: false });
  cluster.simulation.runFor(cluster.limits.heartbeatMs * (cluster.limits.deadHeartbeats + 2));
  cluster.call(drain, { id: cluster.nextId(), server: cluster.servers[0]!.volume });
  cluster.simulation.runFor(3_000);
  expectStuck(cluster, "repair is held back: 2 of 4 servers were lost at once");
  for (const server of lost) {
    server.machine.restart();
    cluster.beginServer(server);
  }
  cluster.simulation.runFor(10_000);
  expect(reportOf(cluster)?.state).toBe("safe");
  expect(told(cluster).map(({ kind }) => kind)).toEqual([
    "drain.begun",
    "drain.stuck",
    "drain.resumed",
    "drain.finished",
  ]);
});

test.each(["repair-streams", "repair-streams-per-server"])("while %s is 0: nothing is copied", (name) => {
  const cluster = withChunk(2);
  cluster.addServer();
  cluster.call(changeSettings, { id: cluster.nextId(), changes: [{ name, value: 0 }] });
  cluster.call(drain, { id: cluster.nextId(), server: cluster.servers[0]!.volume });
  cluster.simulation.runFor(3_000);
  expectStuck(cluster, `${name} is set to 0`);
  cluster.call(changeSettings, { id: cluster.nextId(), changes: [{ name }] });
  cluster.simulation.runFor(10_000);
  expect(reportOf(cluster)?.state).toBe("safe");
});
