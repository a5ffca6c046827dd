import { describe, expect, test } from "bun:test";
import { appendTail, createFile } from "../../../src/wire/control/files.ts";
import { stat, status } from "../../../src/wire/control/namespace.ts";
import type { InodeId } from "../../../src/wire/ids.ts";
import { started } from "./cluster-with-puts.ts";
import type { MasterInSim } from "./master-in-sim.ts";

function openTail(cluster: MasterInSim): InodeId {
  const { inode } = cluster.call(createFile, { id: cluster.nextId(), path: "/log", mode: "new" });
  cluster.call(appendTail, { inode, recordBytes: 100 });
  return inode;
}

const tail = (cluster: MasterInSim) => cluster.call(stat, { path: "/log" }).extents.at(-1);

/** Three servers, of which one is dead when the tail is opened. */
function thin(seed: number) {
  const cluster = started(seed, 3);
  const [, , last] = cluster.servers;
  last?.machine.crash({ powerLoss: false });
  cluster.simulation.runFor(cluster.limits.heartbeatMs * (cluster.limits.deadHeartbeats + 2));
  openTail(cluster);
  for (const { prepared } of cluster.servers) {
    const handle = tail(cluster)?.handle;
    if (handle !== undefined) prepared.set(handle, 100);
  }
  return { cluster, last };
}

describe("an open tail with fewer servers than wanted", () => {
  test("is told, stays open while there are no more, and is sealed once there are", () => {
    const { cluster, last } = thin(1);
    cluster.simulation.runFor(3 * cluster.limits.leaseMs);
    expect(tail(cluster)).toMatchObject({ state: "open", wanted: 3 });
    expect(tail(cluster)?.replicas).toHaveLength(2);
    expect(cluster.call(status, {})).toMatchObject({ health: "degraded", chunks: { unsealedShort: 1 } });

    last?.machine.restart();
    if (last !== undefined) cluster.beginServer(last);
    cluster.simulation.runFor(cluster.limits.leaseMs / 2);
    expect(tail(cluster)?.state).toBe("open");
    cluster.simulation.runFor(2 * cluster.limits.leaseMs + 3_000);
    expect(tail(cluster)?.state).toBe("sealed");
    cluster.simulation.runFor(5_000);
    // The fake servers answer a clone with success.
    expect(cluster.call(status, {})).toMatchObject({ health: "healthy", chunks: { unsealedShort: 0, short: 0 } });
  });

  test("one with all of its servers is left alone", () => {
    const cluster = started(2, 3);
    openTail(cluster);
    cluster.simulation.runFor(4 * cluster.limits.leaseMs);
    expect(tail(cluster)?.state).toBe("open");
    expect(cluster.call(status, {}).health).toBe("healthy");
  });
});
