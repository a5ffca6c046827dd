import { describe, expect, test } from "bun:test";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { simLimits } from "../sim-limits.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";

const data = content(60_000);

describe("DESIGN §4.5 a corrupt replica, with as many servers as replicas", () => {
  test("is replaced in its place a few heartbeats after it was found, long before the next report", () => {
    const cluster = new SmallCluster({ chunkservers: 3, limits: { ...simLimits, reportIntervalMs: 600_000 } });
    const { simulation } = cluster;
    const handle = cluster.as("client", async (client) => {
      await client.put({ kind: "bytes", bytes: data }, "/f");
      return (await client.stat("/f")).extents[0]?.handle ?? 0;
    });
    const hex = handle.toString(16).padStart(16, "0");
    cluster
      .server("server2")
      .drive("/volume")
      .corrupt(`/volume/chunks/${hex.slice(14)}/${hex}`, 1_000);
    const read = (client: GfsClient) => readAll(client, "/f");
    expect(cluster.as("reader", read, { location: { x: 2, y: 0 } })).toEqual(data);
    const foundMs = simulation.nowMs;
    cluster.until("repair", async (client) => (await client.status()).repair.done > 0);
    expect(simulation.nowMs - foundMs).toBeLessThan(6 * 500);
    cluster.as("looker", async (client) => {
      const [extent] = (await client.stat("/f")).extents;
      expect(extent?.replicas.map(({ health }) => health)).toEqual(["healthy", "healthy", "healthy"]);
      expect((await client.status()).garbage.deleted).toBe(0);
    });
    // Only the mended one is left to read.
    for (const label of ["server1", "server3"]) cluster.server(label).crash({ powerLoss: true });
    expect(cluster.as("last", read)).toEqual(data);
    expect(cluster.violations).toEqual([]);
  });
});
