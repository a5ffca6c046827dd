/** DESIGN §4.4: whoever waits for a chunk is told where nobody can bring it back. */
import { expect, test } from "bun:test";
import { decommission } from "../../../src/wire/control/drains.ts";
import { draftCommit, draftCreate, locate, replicaSuspect } from "../../../src/wire/control/files.ts";
import { status } from "../../../src/wire/control/namespace.ts";
import { chunkHandle, chunkVersion } from "../../../src/wire/ids.ts";
import { putFile, started } from "./cluster-with-puts.ts";

test("readers are told of a chunk that is on no server any more once its servers are forgotten, not while they are dead", () => {
  const cluster = started(61, 2);
  putFile(cluster, "/f");
  const holders = [...cluster.servers];
  for (const { machine } of holders) machine.crash({ powerLoss: false });
  cluster.simulation.runFor(cluster.limits.heartbeatMs * (cluster.limits.deadHeartbeats + 2));
  cluster.addServer();
  cluster.simulation.runFor(1_000);
  const extent = () =>
    cluster.call(locate, { target: { kind: "path", path: "/f" }, offset: 0, length: 1_000 }).extents[0];
  expect(extent()).toMatchObject({ replicas: [] });
  expect(extent()?.lost).toBeUndefined();

  for (const { volume } of holders) {
    expect(extent()?.lost).toBeUndefined();
    cluster.call(decommission, { id: cluster.nextId(), server: volume, force: true, lostMax: 1 });
  }
  expect(extent()).toMatchObject({ replicas: [], lost: "server1 is forgotten; server2 is forgotten" });

  cluster.restart({ powerLoss: true });
  expect(extent()?.lost).toBeUndefined();
  cluster.simulation.runFor(cluster.limits.safeModeMs + 10 * cluster.limits.heartbeatMs);
  expect(extent()).toMatchObject({ replicas: [], lost: "server1 is forgotten; server2 is forgotten" });
});

test("a moved replica is not called lost since a reader met the old place while the master started", () => {
  const cluster = started(91, 2, { limits: { replicas: 1, minReplicas: 1, reportIntervalMs: 600_000 } });
  const target = { kind: "put" as const, path: "/f", overwrite: false, replicas: 1 };
  const { draft, placement } = cluster.call(draftCreate, { id: cluster.nextId(), target, firstChunkBytes: 1_000 });
  const { handle, version, chain } = placement!;
  const [first] = chain;
  const written = { handle, version, length: 1_000, crc: 7, volumes: chain.map(({ volume }) => volume) };
  cluster.call(draftCommit, { id: cluster.nextId(), draft, chunks: [written] });
  const old = cluster.servers.find(({ volume }) => volume === first?.volume)!;
  const other = cluster.servers.find(({ volume }) => volume !== first?.volume)!;
  // Balance had moved it: the log still names the first.
  old.verdict = "missing";
  other.reported.push({
    handle,
    state: "sealed",
    dataVersion: version,
    promisedVersion: version,
    length: 1_000,
    crc: 7,
  });
  cluster.restart({ powerLoss: true });
  const extent = () =>
    cluster.call(locate, { target: { kind: "path", path: "/f" }, offset: 0, length: 1_000 }).extents[0];
  for (let i = 0; i < 400 && extent()?.replicas[0]?.volume !== old.volume; i++) cluster.simulation.runFor(5);
  cluster.call(replicaSuspect, { handle, version, volume: old.volume, reason: "missing" });
  const said = new Set<string>();
  for (let i = 0; i < 120; i++) {
    cluster.simulation.runFor(100);
    said.add(cluster.call(status, {}).health);
    expect(extent()?.lost).toBeUndefined();
  }
  expect(said).toEqual(new Set(["starting", "healthy"]));
  expect(extent()?.replicas.map(({ volume }) => volume)).toEqual([other.volume]);
});

test("a live server that never tells what it holds is named, and others are judged without it", () => {
  const cluster = started(92, 3);
  putFile(cluster, "/f");
  const [teller, dying, silent] = cluster.servers;
  const held = { handle: chunkHandle(1), state: "sealed" as const, length: 1_000, crc: 7 };
  teller!.reported.push({ ...held, dataVersion: chunkVersion(1), promisedVersion: chunkVersion(1) });
  const failing = (): never => {
    throw new Error("its report fails");
  };
  Object.defineProperty(silent, "reported", { get: failing });
  dying!.machine.crash({ powerLoss: false });
  cluster.restart({ powerLoss: true });
  cluster.simulation.runFor(2 * cluster.limits.safeModeMs);
  expect(cluster.call(status, {})).toMatchObject({ health: "starting", chunks: { pending: 1, short: 0 } });
  cluster.simulation.runFor(3 * cluster.limits.safeModeMs);
  const { health, chunks, warnings } = cluster.call(status, {});
  expect([health, chunks.short]).toEqual(["degraded", 1]);
  expect(warnings.join()).toContain(`${silent!.machine.name} has not told all that it holds, though it registered`);
});
