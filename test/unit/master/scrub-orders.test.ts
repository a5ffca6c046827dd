/** `gfs scrub` and `gfs fsck --verify`: what operators order to be read, over a whole cluster (DESIGN §4.5). */
import { describe, expect, test } from "bun:test";
import { hasCode } from "../../../src/base/errors.ts";
import type { ScrubOrder, ScrubTarget } from "../../../src/client/api.ts";
import { SmallCluster } from "../../paper/small-cluster.ts";
import { simLimits } from "../../sim/sim-limits.ts";
import type { Machine } from "../../sim/world/machine.ts";
import { content } from "../chunkserver/store/sim-volume.ts";

/** Never by itself: what is found here is found by order. */
const limits = { ...simLimits, scrubMs: 0 };

const fileBytes = 3 * 65_536;

/** Four servers, files `/d/f0` … of three chunks with three replicas each, all in data files. */
function filled(files: number): SmallCluster {
  const cluster = new SmallCluster({ chunkservers: 4, limits });
  cluster.as("writer", async (client) => {
    for (let i = 0; i < files; i++)
      await client.put({ kind: "bytes", bytes: content(fileBytes, i) }, `/d/f${i}`, { replicas: 3 });
  });
  return cluster;
}

function chunkFiles(machine: Machine): string[] {
  return machine.drive().files.filesUnder("/volume/chunks");
}

function ordered(cluster: SmallCluster, target: ScrubTarget, name = "operator"): ScrubOrder {
  return cluster.as(name, async (client) => client.operator.awaitScrub(await client.operator.scrub(target)));
}

describe("DESIGN §4.5 an operator has replicas read", () => {
  test("all of the files under a path: each of their replicas once, and none of others", () => {
    const cluster = filled(3);
    cluster.as("other writer", (client) => client.put({ kind: "bytes", bytes: content(70_000) }, "/other"));
    const order = ordered(cluster, { kind: "path", path: "/d" });
    expect(order).toMatchObject({
      state: "done",
      target: "/d",
      files: 3,
      chunks: 9,
      totalReplicas: 27,
      healthy: 27,
      corrupt: 0,
      missing: 0,
      unverified: 0,
      bytes: 9 * fileBytes,
      totalBytes: 9 * fileBytes,
      findings: [],
    });
    expect(ordered(cluster, { kind: "path", path: "/d/f1" }, "second")).toMatchObject({ files: 1, healthy: 9 });
  });

  test("all that a server has, by its label, volume id or address; what rotted is named, repaired and said so", () => {
    const cluster = filled(4);
    const [victim] = cluster.cluster.servers;
    const files = chunkFiles(victim!);
    expect(files.length).toBeGreaterThan(3);
    for (const path of files.slice(0, 2)) victim!.drive().corrupt(path, 20_000);
    const servers = cluster.as("looker", async (client) => (await client.status()).servers);
    const server = servers.find(({ label }) => label === victim!.name)!;
    const order = ordered(cluster, { kind: "server", server: server.label });
    expect(order).toMatchObject({ state: "done", corrupt: 2, healthy: files.length - 2, lost: 0, repairing: 0 });
    expect(order.findings).toHaveLength(2);
    for (const { kind, state, label, path } of order.findings) {
      expect([kind, state, label]).toEqual(["corrupt", "repaired", victim!.name]);
      expect(path).toMatch(/^\/d\/f\d$/);
    }
    cluster.until("all is whole", async (client) => (await client.status()).chunks.short === 0);
    cluster.until("the server tells of it", async (client) => {
      const told = (await client.status()).servers.find(({ label }) => label === victim!.name);
      return told?.scrub?.corrupt === 2;
    });
    for (const name of [server.volume, server.volume.slice(0, 8), server.control])
      expect(ordered(cluster, { kind: "server", server: name }, name)).toMatchObject({ corrupt: 0, unverified: 0 });
  });

  test("an open tail is read too, at all of its members", () => {
    const cluster = filled(1);
    cluster.as("appender", (client) => client.appendToFile("/d/log", content(9_000)));
    const order = ordered(cluster, { kind: "path", path: "/d/log" });
    expect(order).toMatchObject({ files: 1, chunks: 1, healthy: 3, unverified: 0 });
  });

  test("a server that dies meanwhile keeps nobody waiting: its replicas are not verified, and it is said why", () => {
    const cluster = filled(4);
    const [victim] = cluster.cluster.servers;
    const held = chunkFiles(victim!).length;
    victim!.crash({ powerLoss: true });
    const order = ordered(cluster, { kind: "path", path: "/d" });
    expect(order.state).toBe("done");
    expect(order.unverified).toBe(held);
    expect(order.healthy).toBe(36 - held);
    expect(order.findings[0]).toMatchObject({ kind: "unverified", label: victim!.name, state: "unverified" });
    expect(order.findings[0]?.why).toContain("is dead");
  });

  test("and one that comes back in time is read to its end", () => {
    const cluster = filled(4);
    const [victim] = cluster.cluster.servers;
    cluster.cluster.crash(victim!, { powerLoss: true }, 1_000);
    expect(ordered(cluster, { kind: "path", path: "/d" })).toMatchObject({ state: "done", healthy: 36, unverified: 0 });
  });

  test("where no good replica is left it is lost, and said so", () => {
    const cluster = filled(1);
    for (const machine of cluster.cluster.servers)
      for (const path of chunkFiles(machine)) machine.drive().corrupt(path, 10_000);
    const order = ordered(cluster, { kind: "path", path: "/" });
    expect(order).toMatchObject({ healthy: 0, corrupt: 9, lost: 9 });
  });

  test("the same target again is the same order; too many at a time are refused; an order can be stopped, and one that is not known is said so", () => {
    const cluster = filled(6);
    cluster.as("operator", async (client) => {
      const { operator } = client;
      const first = await operator.scrub({ kind: "path", path: "/d" });
      expect(await operator.scrub({ kind: "path", path: "/d/" })).toBe(first);
      await operator.scrubStop(first);
      expect((await operator.awaitScrub(first)).state).toBe("stopped");
      const code = async (call: Promise<unknown>): Promise<unknown> =>
        call.then(
          () => undefined,
          (error: unknown) => error,
        );
      expect(hasCode(await code(operator.scrubOrders("7-nothing")), "NotFound")).toBe(true);
      expect(hasCode(await code(operator.scrub({ kind: "path", path: "/none" })), "NotFound")).toBe(true);
      expect(hasCode(await code(operator.scrub({ kind: "server", server: "nobody" })), "NotFound")).toBe(true);
      expect((await operator.scrubOrders(undefined)).map(({ id }) => id)).toContain(first);
    });
  });

  test("its terms are changed while the cluster runs, and told to servers", () => {
    const cluster = filled(1);
    cluster.as("operator", async (client) =>
      client.operator.changeSettings([
        { name: "scrub-days", value: 3 },
        { name: "scrub-rate", value: 1_000_000 },
      ]),
    );
    cluster.until("servers know", async (client) =>
      (await client.status()).servers.every(
        ({ scrub }) => scrub?.everyMs === 3 * 86_400_000 && scrub.bytesPerSecondMax === 1_000_000,
      ),
    );
  });
});

describe("DESIGN §4.5 the scrub of a cluster", () => {
  test("what rots is found without a reader, repaired, and counted", () => {
    const cluster = new SmallCluster({ chunkservers: 4, limits: simLimits });
    cluster.as("writer", (client) => client.put({ kind: "bytes", bytes: content(fileBytes) }, "/f", { replicas: 3 }));
    const victim = cluster.cluster.servers.find((machine) => chunkFiles(machine).length > 0)!;
    const [path = ""] = chunkFiles(victim);
    victim.drive().corrupt(path, 30_000);
    const isRotten = (): boolean => victim.drive().files.filesUnder("/volume/chunks").includes(path);
    expect(isRotten()).toBe(true);
    cluster.until("it is counted", async (client) =>
      (await client.status()).servers.some(({ label, scrub }) => label === victim.name && scrub?.corrupt === 1),
    );
    cluster.until("it is repaired", async (client) => {
      const { chunks, repair } = await client.status();
      return chunks.short + chunks.lost === 0 && repair.done === 1;
    });
    cluster.until("rounds are told", async (client) => {
      const kinds: string[] = [];
      for await (const { kind } of client.operator.events({ kinds: ["scrub."] })) kinds.push(kind);
      return kinds.includes("scrub.corrupt") && kinds.includes("scrub.round-finished");
    });
    const order = ordered(cluster, { kind: "path", path: "/" });
    expect(order).toMatchObject({ corrupt: 0, missing: 0, unverified: 0, healthy: 9 });
  });
});
