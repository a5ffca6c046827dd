/** Repair by real processes: a server of five killed for good, one that comes back early, and limits that are honoured while it runs. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GfsClient } from "../../src/gfs.ts";
import { eventually } from "../tools/eventually.ts";
import { TestCluster } from "../tools/processes.ts";

const mib = 1_048_576;
const quick = {
  GFS_MASTER_CHUNK_SIZE: "2MiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "1",
  GFS_MASTER_LEASE_SECONDS: "5",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
  GFS_MASTER_DELETE_GRACE_SECONDS: "1",
};

async function withFile(bytes: number, run: (path: string, data: Uint8Array) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  try {
    const data = randomBytes(bytes);
    writeFileSync(join(folder, "in"), data);
    await run(join(folder, "in"), data);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function put(cluster: TestCluster, local: string, path: string): Promise<void> {
  const { code, stderr } = await cluster.run(["put", local, path, "--quiet"], { timeoutMs: 120_000 });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

/** A client that lives as long as the test: looking often costs no process each time. */
function connect(cluster: TestCluster): Promise<GfsClient> {
  return GfsClient.connect({ master: cluster.address });
}

async function short(client: GfsClient): Promise<number> {
  return (await client.operator.repairStatus()).short;
}

async function done(client: GfsClient): Promise<number> {
  return (await client.operator.repairStatus()).done;
}

/** Replicas of those that serve. */
async function held(client: GfsClient): Promise<number[]> {
  const { servers } = await client.status();
  return servers.filter(({ liveness }) => liveness === "live").map(({ replicas }) => replicas);
}

/** Numbers of the servers, from 1, the one with the most replicas first: some may have none, as they were placed. */
async function byFullness(client: GfsClient): Promise<[number, number]> {
  const { servers } = await client.status();
  const [first, second] = servers
    .toSorted((a, b) => b.replicas - a.replicas)
    .map(({ label }) => Number(label.replace("chunk-", "")));
  if (first === undefined || second === undefined) throw new Error("fewer than two servers");
  return [first, second];
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

async function same(cluster: TestCluster, path: string, data: Uint8Array): Promise<void> {
  const got = await cluster.run(["get", path, "-"], { timeoutMs: 120_000 });
  expect(got.stderr).toBe("");
  expect(Buffer.compare(got.stdout, data)).toBe(0);
}

describe("a server of five that is killed", () => {
  test("for good: all its chunks are copied, by all that are left and to all of them", async () => {
    await withFile(30 * mib, async (local, data) => {
      await using cluster = await TestCluster.start({ chunkservers: 5, env: quick });
      await put(cluster, local, "/file");
      await using client = await connect(cluster);
      await eventually("all replicas are counted", async () => sum(await held(client)) === 45);
      const [fullest] = await byFullness(client);
      await cluster.chunkservers[fullest - 1]?.kill();
      await eventually("the server is dead", async () => (await held(client)).length === 4);
      await eventually("all is whole", async () => (await short(client)) === 0 && (await done(client)) > 0);
      await eventually("all replicas are counted again", async () => sum(await held(client)) === 45);
      const counts = await held(client);
      expect(Math.max(...counts)).toBeLessThanOrEqual(15);
      expect(Math.min(...counts)).toBeGreaterThan(0);
      await same(cluster, "/file", data);
    });
  });

  test("and comes back early: what waits is dropped, what is copied stops, nothing is left over", async () => {
    await withFile(30 * mib, async (local, data) => {
      await using cluster = await TestCluster.start({ chunkservers: 5, env: quick });
      await put(cluster, local, "/file");
      await using client = await connect(cluster);
      await eventually("all replicas are counted", async () => sum(await held(client)) === 45);
      // So slow that hardly anything is copied before it is back.
      const slow = ["repair", "limits", "--server-rate", "1MB", "--streams-per-server", "1", "--streams", "1"];
      expect((await cluster.run(slow)).code).toBe(0);
      const [fullest] = await byFullness(client);
      await cluster.chunkservers[fullest - 1]?.kill();
      await eventually("chunks are short", async () => (await short(client)) > 0);
      const missing = await short(client);
      await eventually("a copy is under way", async () => (await client.operator.repairStatus()).runningCount > 0);
      await cluster.restartChunkserver(fullest);
      await eventually("all is whole", async () => (await short(client)) === 0);
      await eventually("no copy is under way", async () => (await client.operator.repairStatus()).runningCount === 0);
      expect(await done(client)).toBeLessThan(missing);
      // What was copied all the same is there until the next reports say that it is surplus; of what was stopped nothing is.
      await eventually("what was stopped is gone", async () => sum(await held(client)) === 45 + (await done(client)));
      await same(cluster, "/file", data);
    });
  });
});

describe("the limits of repair", () => {
  test("are changed while it runs, hold, and last through a restart of the master", async () => {
    await withFile(30 * mib, async (local) => {
      await using cluster = await TestCluster.start({ chunkservers: 4, env: quick });
      await put(cluster, local, "/file");
      const refused = await cluster.run(["repair", "limits", "--server-rate", "12"]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("from 1000000");
      expect((await cluster.run(["repair", "limits", "--streams", "0"])).code).toBe(0);
      await using client = await connect(cluster);
      await eventually("all replicas are counted", async () => sum(await held(client)) === 45);
      // Of 45 replicas on four servers the fullest has 12 at least: 24 MiB to copy, however they were placed.
      const [fullest] = await byFullness(client);
      await cluster.chunkservers[fullest - 1]?.kill();
      await eventually("chunks are short", async () => (await short(client)) > 0);
      await cluster.master.kill();
      await cluster.restartMaster();
      const limits = await client.operator.settings();
      expect(limits.find(({ name }) => name === "repair-streams")).toMatchObject({ value: 0 });
      expect((await cluster.run(["safemode", "leave"])).code).toBe(0);
      await eventually("chunks are short again", async () => (await short(client)) > 0);
      expect(await done(client)).toBe(0);
      // A rate for the cluster: what is copied in a time can't be more than it allows.
      expect((await cluster.run(["repair", "limits", "--streams", "8", "--rate", "4MB"])).code).toBe(0);
      const beganMs = performance.now();
      const copied = async (): Promise<number> => (await client.operator.repairStatus()).doneBytes;
      await eventually("much is copied", async () => (await copied()) >= 12 * mib);
      const seconds = (performance.now() - beganMs) / 1_000;
      // Three clones may have begun, a few seconds before the clock was looked at.
      expect(await copied()).toBeLessThanOrEqual(4e6 * (seconds + 3) + 3 * 2 * mib);
      expect((await cluster.run(["repair", "limits", "--reset"])).text).toContain("as configured");
      await eventually("all is whole", async () => (await short(client)) === 0);
    });
  });
});

describe("more than a third of the servers killed at once", () => {
  test("hold repair back, which says so, until an operator has it resumed", async () => {
    await withFile(20 * mib, async (local) => {
      await using cluster = await TestCluster.start({ chunkservers: 5, env: quick });
      await put(cluster, local, "/file");
      await using client = await connect(cluster);
      await eventually("all replicas are counted", async () => sum(await held(client)) === 30);
      const [first, second] = await byFullness(client);
      await Promise.all([cluster.chunkservers[first - 1]?.kill(), cluster.chunkservers[second - 1]?.kill()]);
      await eventually("it is held", async () => (await client.operator.repairStatus()).held !== undefined);
      expect((await cluster.run(["repair", "status"])).text).toContain("2 of 5 servers were lost at once");
      expect((await cluster.run(["status"])).text).toContain("gfs repair resume");
      await eventually("chunks are short", async () => (await short(client)) > 0);
      const before = await done(client);
      await Bun.sleep(1_000);
      expect(await done(client)).toBe(before);
      expect((await cluster.run(["repair", "resume"])).text).toContain("repair goes on");
      await eventually("all is whole", async () => (await short(client)) === 0);
    });
  });
});
