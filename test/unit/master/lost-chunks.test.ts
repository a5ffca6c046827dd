/** DESIGN §4.4: whoever waits for a chunk is told where nobody can bring it back. */
import { expect, test } from "bun:test";
import { decommission } from "../../../src/wire/control/drains.ts";
import { locate } from "../../../src/wire/control/files.ts";
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
