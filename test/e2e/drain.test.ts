/** Servers are taken away from a running cluster, by processes that are really killed and directories that are really wiped. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../tools/eventually.ts";
import { fieldsOf, gfs, listOf, TestCluster } from "../tools/processes.ts";

/** Quick deaths and repairs, small chunks. */
const quick = {
  GFS_MASTER_CHUNK_SIZE: "256KiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3",
  GFS_MASTER_LEASE_SECONDS: "5",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
  GFS_MASTER_DELETE_GRACE_SECONDS: "1",
};

async function withCluster(
  chunkservers: number,
  run: (cluster: TestCluster, folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  const cluster = await TestCluster.start({ chunkservers, env: quick });
  try {
    await run(cluster, folder);
  } finally {
    await cluster[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ok(cluster: TestCluster, ...args: string[]): Promise<string> {
  const { code, text, stderr } = await cluster.run(args, { timeoutMs: 120_000 });
  expect([args, code, args.includes("--wait") ? "" : stderr]).toEqual([args, 0, ""]);
  return text;
}

async function putAll(
  cluster: TestCluster,
  folder: string,
  files: ReadonlyMap<string, { readonly data: Uint8Array; readonly replicas: number }>,
): Promise<void> {
  for (const [path, { data, replicas }] of files) {
    writeFileSync(join(folder, "in"), data);
    await ok(cluster, "put", join(folder, "in"), path, "--quiet", "--replicas", String(replicas));
  }
}

async function same(cluster: TestCluster, path: string, data: Uint8Array): Promise<void> {
  const got = await cluster.run(["get", path, "-"]);
  expect([path, got.code, got.stderr]).toEqual([path, 0, ""]);
  expect(Buffer.compare(got.stdout, data)).toBe(0);
}

async function labels(cluster: TestCluster): Promise<string[]> {
  const servers = listOf(fieldsOf(await cluster.json(["status"]))["servers"]);
  return servers.map((server) => String(fieldsOf(server)["label"])).toSorted();
}

/** Appends lines for as long as it is let, each at once acknowledged or an error. */
function appendOn(cluster: TestCluster, path: string) {
  const lines: string[] = [];
  const day = { over: false };
  const run = async (): Promise<void> => {
    for (let n = 0; !day.over; n++) {
      const line = `line ${n}\n`;
      const { code, stderr } = await cluster.run(["append", path, "-", "--quiet"], {
        stdin: new TextEncoder().encode(line),
      });
      expect([line, code, stderr]).toEqual([line, 0, ""]);
      lines.push(line);
    }
  };
  const done = run();
  return async (): Promise<Uint8Array> => {
    day.over = true;
    await done;
    return new TextEncoder().encode(lines.join(""));
  };
}

describe("taking a server away", () => {
  test("drained, killed, wiped and forgotten while clients append: all files are whole", async () => {
    await withCluster(4, async (cluster, folder) => {
      const files = new Map(
        [1, 2, 3].flatMap((replicas) =>
          [10_000, 700_000].map(
            (bytes) => [`/f/${replicas}-${bytes}`, { data: randomBytes(bytes), replicas }] as const,
          ),
        ),
      );
      await putAll(cluster, folder, files);
      const stopAppending = appendOn(cluster, "/log");
      const drained = await ok(cluster, "drain", "chunk-2", "--wait");
      expect(drained).toContain("chunk-2 is safe to stop");
      await cluster.chunkservers[1]?.kill();
      rmSync(cluster.chunkDirectory(2), { recursive: true, force: true });
      expect(await ok(cluster, "decommission", "chunk-2")).toContain("chunk-2 is forgotten");
      for (const [path, { data }] of files) await same(cluster, path, data);
      await same(cluster, "/log", await stopAppending());
      expect(await labels(cluster)).toEqual(["chunk-1", "chunk-3", "chunk-4"]);
      expect((await cluster.run(["fsck"])).code).toBe(0);
      // Nobody is told of replicas that it had.
      expect(await ok(cluster, "fsck", "--verify")).not.toContain("not read");
      for (const path of files.keys()) expect(await ok(cluster, "locate", path)).not.toContain("chunk-2");
      // With an empty directory it is a new server of the old name.
      await cluster.restartChunkserver(2);
      await eventually("it joins", async () => (await labels(cluster)).length === 4);
    });
  }, 240_000);

  test("cancelled: it is placed on again; and the mark lasts through a restart of the master", async () => {
    await withCluster(3, async (cluster, folder) => {
      await putAll(cluster, folder, new Map([["/f", { data: randomBytes(300_000), replicas: 3 }]]));
      expect(await ok(cluster, "drain", "chunk-1")).toContain("chunk-1");
      await cluster.master.kill();
      await cluster.restartMaster();
      await eventually("the master says why it can't be finished", async () => {
        const [drain] = listOf(await cluster.json(["drain"]));
        const { state, why } = fieldsOf(drain);
        return state === "stuck" && String(why).includes("wants 3 replicas, and 2 other servers are live");
      });
      const stuck = await cluster.run(["drain", "chunk-1", "--wait", "--timeout", "1"]);
      expect(stuck.code).toBe(7);
      expect(stuck.stderr).toContain("as things are");
      const refused = await cluster.run(["decommission", "chunk-1"]);
      expect(refused.code).toBe(5);
      expect(refused.stderr).toContain("too few replicas on other servers");
      expect(refused.stderr).toContain("--force is for one that never returns");
      // Whoever waits is told when somebody else cancels it.
      const waiting = cluster.run(["drain", "chunk-1", "--wait", "--timeout", "60"]);
      await eventually("it is waited for", async () => listOf(await cluster.json(["drain"])).length === 1);
      await Bun.sleep(1_000);
      expect(await ok(cluster, "undrain", "chunk-1")).toContain("not being drained any more");
      const cancelled = await waiting;
      expect(cancelled.code).toBe(3);
      expect(cancelled.stderr).toContain("it is not being drained any more");
      expect(listOf(await cluster.json(["drain"]))).toEqual([]);
      await putAll(cluster, folder, new Map([["/g", { data: randomBytes(1_000), replicas: 3 }]]));
    });
  }, 240_000);

  test("that burnt: what is lost with it is named, and has to be accepted; its volume may not come back", async () => {
    await withCluster(3, async (cluster, folder) => {
      const files = ["/a", "/b", "/c", "/d", "/e", "/f"];
      for (const path of files) {
        writeFileSync(join(folder, "in"), randomBytes(50_000));
        await ok(cluster, "put", join(folder, "in"), path, "--quiet", "--replicas", "1", "--location", "0,0");
      }
      const unknown = await cluster.run(["decommission", "chunk-9"]);
      expect(unknown.code).toBe(3);
      expect(unknown.stderr).toContain("known: chunk-1 (volume ");
      const live = await cluster.run(["decommission", "chunk-1", "--force", "--accept-loss"]);
      expect(live.code).toBe(5);
      expect(live.stderr).toContain("drain it first, or stop it");
      await cluster.chunkservers[0]?.kill();
      await eventually("it is dead", async () => {
        const servers = listOf(fieldsOf(await cluster.json(["status"]))["servers"]).map(fieldsOf);
        return servers.some(({ label, liveness }) => label === "chunk-1" && liveness === "dead");
      });
      const refused = await cluster.run(["decommission", "chunk-1", "--force"]);
      expect(refused.code).toBe(5);
      expect(refused.stderr).toMatch(/6 chunks \(300 kB\) would be LOST with it:\n.* of \/a, 50\.0 kB/);
      expect(refused.stderr).toContain("--accept-loss says that they may be");
      const forced = await cluster.run(["decommission", "chunk-1", "--force", "--accept-loss"]);
      expect([forced.code, forced.text]).toEqual([0, "chunk-1 is forgotten, and 6 chunks with it\n"]);
      expect(await labels(cluster)).toEqual(["chunk-2", "chunk-3"]);
      // It comes back with its old directory.
      const old = ["--data-dir", cluster.chunkDirectory(1), "--listen", "127.0.0.1:0", "--id", "chunk-1"];
      const back = await gfs(["chunk", "--master", cluster.address, ...old]);
      expect(back.code).toBe(5);
      expect(back.stderr).toContain("this cluster has forgotten volume");
      expect(back.stderr).toContain("with an empty data directory it joins as a new one");
      expect(back.stderr).toContain("master.refused");
      expect(back.stderr).not.toContain("master.unreachable");
      for (const path of files) await ok(cluster, "rm", path, "--skip-trash", "--quiet");
      await eventually("nothing waits for it", async () => {
        const { garbage, chunks } = fieldsOf(await cluster.json(["status"]));
        return fieldsOf(garbage)["waiting"] === 0 && fieldsOf(chunks)["total"] === 0;
      });
    });
  }, 240_000);
});
