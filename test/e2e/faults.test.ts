/** Kills, stops and damage, while real processes work. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../tools/eventually.ts";
import { draftCount, gfs, ServerProcess, TestCluster } from "../tools/processes.ts";

/** Quick deaths and repairs, small chunks. */
const quick = {
  GFS_MASTER_CHUNK_SIZE: "1MiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3",
  GFS_MASTER_LEASE_SECONDS: "5",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
  GFS_MASTER_DELETE_GRACE_SECONDS: "1",
};

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function put(cluster: TestCluster, folder: string, path: string, data: Uint8Array): Promise<void> {
  writeFileSync(join(folder, "in"), data);
  const result = await cluster.run(["put", join(folder, "in"), path, "--quiet"]);
  expect(result.stderr).toBe("");
  expect(result.code).toBe(0);
}

async function same(cluster: TestCluster, path: string, data: Uint8Array): Promise<void> {
  const got = await cluster.run(["get", path, "-"]);
  expect(got.stderr).toBe("");
  expect(Buffer.compare(got.stdout, data)).toBe(0);
}

interface Status {
  readonly chunks: {
    readonly total: number;
    readonly healthy: number;
    readonly short: number;
    readonly open: number;
    readonly lost: number;
  };
}

async function chunks(cluster: TestCluster): Promise<Status["chunks"]> {
  const status = await cluster.json(["status"]);
  if (typeof status !== "object" || status === null || !("chunks" in status)) throw new Error("no status");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- printed by gfs, whose schema is tested elsewhere
  return (status as Status).chunks;
}

describe("SIGKILL", () => {
  test("of every process at once: all that was acknowledged is there after the restart", async () => {
    await withFolder(async (folder) => {
      await using cluster = await TestCluster.start({ env: quick });
      const small = randomBytes(3_000);
      const large = randomBytes(5_000_000);
      await put(cluster, folder, "/small", small);
      await put(cluster, folder, "/large", large);
      await cluster.run(["append", "/log", "-"], { stdin: small });
      await cluster.run(["append", "/log", "-"], { stdin: small });
      await Promise.all([cluster.master.kill(), ...cluster.chunkservers.map((server) => server.kill())]);
      await cluster.restartMaster();
      await Promise.all([1, 2, 3].map((i) => cluster.restartChunkserver(i)));
      await same(cluster, "/small", small);
      await same(cluster, "/large", large);
      await same(cluster, "/log", new Uint8Array([...small, ...small]));
      await cluster.run(["append", "/log", "-"], { stdin: small });
      await same(cluster, "/log", new Uint8Array([...small, ...small, ...small]));
      await eventually("every chunk is healthy", async () => {
        const { total, healthy, open, lost } = await chunks(cluster);
        expect(lost).toBe(0);
        return total === healthy + open;
      });
      expect((await cluster.run(["fsck"])).code).toBe(0);
    });
  }, 120_000);

  test("of one of three during a put and a get: both go on, and fsck tells what is short", async () => {
    await withFolder(async (folder) => {
      await using cluster = await TestCluster.start({ env: { ...quick, GFS_MASTER_CHUNK_SIZE: "8MiB" } });
      const data = randomBytes(150_000_000);
      writeFileSync(join(folder, "in"), data);
      const putting = cluster.run(["put", join(folder, "in"), "/large", "--quiet"]);
      await Bun.sleep(150);
      await cluster.chunkservers[1]?.kill();
      const result = await putting;
      expect(result.code).toBe(0);
      const getting = cluster.run(["get", "/large", join(folder, "out"), "--location", "0,0", "--quiet"]);
      await cluster.restartChunkserver(2);
      await cluster.chunkservers[0]?.kill();
      const got = await getting;
      expect(got.stderr).toBe("");
      expect(got.code).toBe(0);
      expect(Buffer.compare(readFileSync(join(folder, "out")), data)).toBe(0);
      await eventually("the dead server is seen", async () => (await cluster.run(["fsck"])).code === 9);
      await cluster.restartChunkserver(1);
      await eventually("repair ends", async () => (await cluster.run(["fsck"])).code === 0);
    });
  }, 120_000);

  test("of a server for good: its chunks are cloned to another one", async () => {
    await withFolder(async (folder) => {
      await using cluster = await TestCluster.start({ env: quick, chunkservers: 4 });
      const data = randomBytes(6_000_000);
      await put(cluster, folder, "/file", data);
      await cluster.run(["append", "/log", "-"], { stdin: data.subarray(0, 1_000) });
      await cluster.chunkservers[0]?.kill();
      await cluster.chunkservers[1]?.kill();
      await cluster.restartChunkserver(2);
      // The tail of /log lost its primary: it is sealed by the two that are left, and cloned like the rest.
      await eventually("three replicas of everything", async () => {
        const { total, healthy } = await chunks(cluster);
        return total > 5 && healthy === total;
      });
      await cluster.chunkservers[2]?.kill();
      await same(cluster, "/file", data);
      await same(cluster, "/log", data.subarray(0, 1_000));
    });
  }, 120_000);

  test("of the master during appends: each is there once", async () => {
    await using cluster = await TestCluster.start({ env: quick });
    const count = 40;
    const appending = (async () => {
      for (let i = 0; i < count; i++) {
        const result = await cluster.run(["append", "/log", "-", "--id", `line-${i}`, "--timeout", "60"], {
          stdin: new TextEncoder().encode(`${i}\n`),
        });
        expect(result.stderr).toBe("");
        expect(result.code).toBe(0);
      }
    })();
    for (let i = 0; i < 3; i++) {
      await Bun.sleep(400);
      await cluster.master.kill();
      await cluster.restartMaster();
    }
    await appending;
    const log = await cluster.run(["cat", "/log"]);
    expect(log.text).toBe(Array.from({ length: count }, (_, i) => `${i}\n`).join(""));
  }, 120_000);
});

describe("SIGINT", () => {
  test.each(["put", "append"])(
    "during a %s ends it at once with 130, and nothing of it is visible",
    async (verb) => {
      await using cluster = await TestCluster.start({ env: quick });
      const args = verb === "put" ? ["put", "-", "/partial"] : ["append", "/partial", "-", "--no-create"];
      if (verb === "append")
        await cluster.run(["append", "/partial", "-"], { stdin: new TextEncoder().encode("whole") });
      const endless = new ReadableStream<Uint8Array>({
        async pull(controller) {
          controller.enqueue(new Uint8Array(200_000));
          await Bun.sleep(5);
        },
      });
      let child: Bun.Subprocess | undefined;
      const running = cluster.run(args, { stdin: endless, onSpawn: (spawned) => (child = spawned) });
      await eventually("it has begun", async () => (await draftCount(cluster)) === 1);
      child?.kill("SIGINT");
      // Its input never ends: by itself it would not.
      const result = await running;
      expect(result.code).toBe(130);
      const seen = await cluster.run(["cat", "/partial"]);
      expect([seen.code, seen.text]).toEqual(verb === "put" ? [3, ""] : [0, "whole"]);
      await eventually("its draft is gone", async () => (await draftCount(cluster)) === 0);
    },
    120_000,
  );
});

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path);
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of((bytes[at] ?? 0) ^ 0xff), 0, 1, at);
  closeSync(file);
}

function chunkFiles(directory: string): string[] {
  const root = join(directory, "chunks");
  return readdirSync(root, { recursive: true })
    .map((name) => join(root, String(name)))
    .filter((path) => statSync(path).isFile());
}

describe("damage on disk", () => {
  test("a flipped byte in a chunk file is never served, and is repaired", async () => {
    await withFolder(async (folder) => {
      await using cluster = await TestCluster.start({ env: quick });
      const data = randomBytes(3_500_000);
      await put(cluster, folder, "/file", data);
      const damaged = chunkFiles(cluster.chunkDirectory(1)).filter((path) => statSync(path).size > 1_000_000);
      expect(damaged.length).toBeGreaterThan(0);
      for (const path of damaged) flipByte(path, 70_000);
      // The nearest replica is the damaged one: the client goes on with the next, and has it replaced.
      const got = await cluster.run(["get", "/file", "-", "--location", "0,0"]);
      expect(Buffer.compare(got.stdout, data)).toBe(0);
      await eventually("the damaged replicas are replaced", async () => {
        await cluster.run(["get", "/file", "-", "--location", "0,0"]);
        const { total, healthy, open } = await chunks(cluster);
        return (
          healthy + open === total &&
          damaged.every(
            (path) => chunkFiles(cluster.chunkDirectory(1)).includes(path) && readFileSync(path)[70_000] !== undefined,
          ) &&
          (await cluster.run(["fsck"])).code === 0
        );
      });
      await cluster.chunkservers[1]?.kill();
      await cluster.chunkservers[2]?.kill();
      await same(cluster, "/file", data);
    });
  }, 120_000);

  test("a damaged operation log stops the start with a clear error, not with a wrong state", async () => {
    await withFolder(async (folder) => {
      await using cluster = await TestCluster.start({ env: quick });
      for (let i = 0; i < 5; i++) await put(cluster, folder, `/f${i}`, randomBytes(10));
      await cluster.master.kill();
      const log = join(cluster.directory, "master", "operation-log");
      const [segment = ""] = readdirSync(log).sort();
      const text = readFileSync(join(log, segment)).indexOf("/f0");
      expect(text).toBeGreaterThan(0);
      flipByte(join(log, segment), text);
      const args = ["master", "--data-dir", join(cluster.directory, "master"), "--listen", "127.0.0.1:0"];
      const result = await gfs(args, { timeoutMs: 20_000 });
      expect(result.stderr).toContain("Corrupt");
      expect(result.stderr).toContain(segment);
      expect(result.code).toBe(8);
    });
  }, 120_000);

  test("a master's mirrored directory can be lost: the other one has everything", async () => {
    await withFolder(async (folder) => {
      const mirror = join(folder, "mirror");
      const first = join(folder, "first");
      let master = await ServerProcess.start(
        ["master", "--data-dir", `${first},${mirror}`, "--listen", "127.0.0.1:0"],
        { env: quick },
      );
      const address = master.ready["control"] ?? "";
      try {
        for (let i = 0; i < 5; i++) expect((await gfs(["mkdir", `/d${i}`, "--master", address])).code).toBe(0);
        for (const lost of [first, mirror]) {
          const kept = lost === first ? mirror : first;
          await master.kill();
          rmSync(lost, { recursive: true });
          const args = ["master", "--data-dir", kept, "--lost-data-dir", lost, "--listen", "127.0.0.1:0"];
          master = await ServerProcess.start(args, { env: quick });
          const listed = await gfs(["ls", "/", "--master", master.ready["control"] ?? ""]);
          expect(listed.text).toBe("d0/\nd1/\nd2/\nd3/\nd4/\n");
          await master.stop();
          // The lost one is filled again from the one that is left.
          master = await ServerProcess.start(["master", "--data-dir", `${kept},${lost}`, "--listen", "127.0.0.1:0"], {
            env: quick,
          });
        }
      } finally {
        await master.kill();
      }
    });
  }, 120_000);

  test("a truncated volume log or identity stops that chunkserver alone, and says which file", async () => {
    await withFolder(async (folder) => {
      await using cluster = await TestCluster.start({ env: quick });
      const data = randomBytes(2_000);
      await put(cluster, folder, "/file", data);
      await cluster.chunkservers[0]?.kill();
      const directory = cluster.chunkDirectory(1);
      truncateSync(join(directory, "identity"), 3);
      const args = ["chunk", "--master", cluster.address, "--data-dir", directory];
      const result = await gfs(args, { timeoutMs: 20_000, env: quick });
      expect(result.stderr).toContain("identity");
      expect(result.code).toBe(8);
      await same(cluster, "/file", data);
    });
  }, 120_000);
});

describe("whose directory it is", () => {
  test("a second process on a directory is refused, for both kinds of server", async () => {
    await using cluster = await TestCluster.start({ env: quick, chunkservers: 1 });
    const second = await gfs(["master", "--data-dir", join(cluster.directory, "master"), "--listen", "127.0.0.1:0"], {
      timeoutMs: 10_000,
    });
    expect(second.stderr).toContain("Locked");
    expect(second.code).toBe(1);
    const chunk = await gfs(["chunk", "--master", cluster.address, "--data-dir", cluster.chunkDirectory(1)], {
      timeoutMs: 10_000,
    });
    expect(chunk.stderr).toContain("Locked");
    expect(chunk.code).toBe(1);
  }, 120_000);

  test("a chunkserver of another cluster is refused by the master", async () => {
    await using one = await TestCluster.start({ env: quick, chunkservers: 1 });
    await using other = await TestCluster.start({ env: quick, chunkservers: 0 });
    await one.chunkservers[0]?.stop();
    const result = await gfs(["chunk", "--master", other.address, "--data-dir", one.chunkDirectory(1)], {
      timeoutMs: 15_000,
      env: quick,
    });
    expect(result.stderr).toContain("WrongCluster");
    expect(result.code).toBe(5);
  }, 120_000);
});

describe("a cluster secret", () => {
  test("none or a wrong one is refused, on both planes; without one only loopback is bound", async () => {
    await withFolder(async (folder) => {
      for (const name of ["right", "wrong"]) expect((await gfs(["secret", "new", join(folder, name)])).code).toBe(0);
      await using cluster = await TestCluster.start({ env: { ...quick, GFS_SECRET_FILE: join(folder, "right") } });
      await put(cluster, folder, "/file", randomBytes(100));
      for (const env of [{}, { GFS_SECRET_FILE: join(folder, "wrong") }]) {
        const result = await gfs(["ls", "/", "--master", cluster.address, "--timeout", "3"], { env });
        expect(result.stderr).toContain("Denied");
        expect(result.code).toBe(5);
      }
      const open = await gfs(["master", "--data-dir", join(folder, "m"), "--listen", "0.0.0.0:0"], {
        timeoutMs: 10_000,
      });
      expect(open.stderr).toContain("--insecure");
      expect(open.code).toBe(2);
    });
  }, 120_000);
});
