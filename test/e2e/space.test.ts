/** Disks that fill: the servers' and the caller's. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { eventually } from "../tools/eventually.ts";
import { draftCount, TestCluster } from "../tools/processes.ts";
import { canMount, withDisks } from "../tools/tmpfs.ts";

const env = {
  GFS_MASTER_CHUNK_SIZE: "4MB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "1",
  GFS_MASTER_DELETE_GRACE_SECONDS: "1",
  GFS_CHUNK_SERVER_RESERVE_MB: "0",
};

const Space = z.object({ servers: z.array(z.object({ freeBytes: z.number() })).length(3) });

async function put(cluster: TestCluster, path: string, bytes: number): Promise<number> {
  const result = await cluster.run(["put", "-", path, "--quiet"], { stdin: new Uint8Array(bytes) });
  expect(result.stderr).toMatch(result.code === 0 ? /^$/ : /NoSpace/);
  return result.code;
}

async function putSoon(cluster: TestCluster, path: string, bytes: number): Promise<void> {
  await eventually("the space is given back", async () => (await put(cluster, path, bytes)) === 0);
}

describe("no space in the cluster", () => {
  test("before a put and in the middle of one ends it with 6; nothing is visible, and the space is given back", async () => {
    await using cluster = await TestCluster.start({ env, chunkArgs: () => ["--space", "220MB"] });
    const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
    try {
      // Known to be too much at once: not a byte is sent.
      writeFileSync(join(folder, "large"), "");
      truncateSync(join(folder, "large"), 900_000_000);
      const before = await cluster.run(["put", join(folder, "large"), "/before"]);
      expect(before.stderr).toContain("900 MB wanted on each of 2 servers");
      expect(before.code).toBe(6);
      // Of a stream nobody knows it before.
      expect(await put(cluster, "/middle", 260_000_000)).toBe(6);
      expect((await cluster.run(["ls", "/"])).text).toBe("");
      expect(await draftCount(cluster)).toBe(0);
      await putSoon(cluster, "/fits", 50_000_000);
      expect((await cluster.run(["ls", "/"])).text).toBe("fits\n");
      // A pipeline that lost a member on a full disk leaves fewer replicas than wanted, until repair.
      await eventually("whole", async () => (await cluster.run(["fsck"])).code === 0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);

  test("that files filled: a part stays for repair, all can be read and removed, and then put again", async () => {
    const spaceBytes = 60_000_000;
    await using cluster = await TestCluster.start({ env, chunkArgs: () => ["--space", "60MB"] });
    let files = 0;
    while ((await put(cluster, `/f${files}`, 4_000_000)) === 0) expect(++files).toBeLessThan(16);
    expect(files).toBeGreaterThan(10);
    // Small ones fit yet: until the volumes are full to the share.
    for (let i = 0; (await put(cluster, `/small${i}`, 900_000)) === 0; i++) expect(i).toBeLessThan(14);
    // As the next heartbeats tell.
    const free = async () => Space.parse(await cluster.json(["df"])).servers.map(({ freeBytes }) => freeBytes);
    await eventually("all servers are full", async () => Math.max(...(await free())) < 0.05 * spaceBytes + 2_000_000);
    expect(Math.min(...(await free()))).toBeGreaterThanOrEqual(0.05 * spaceBytes - 500_000);
    expect((await cluster.run(["get", "/f1", "-"])).stdout).toHaveLength(4_000_000);
    expect((await cluster.run(["rm", "--skip-trash", "/f1", "/f2"])).code).toBe(0);
    await putSoon(cluster, "/again", 4_000_000);
    await eventually("whole again", async () => (await cluster.run(["fsck"])).code === 0);
  }, 120_000);

  // reason: a full disk is a tmpfs, which only root may mount
  test.skipIf(!canMount)(
    "that others took: puts and appends end, removing works, and all goes on when there is space",
    async () => {
      const disks = ["chunk-1", "chunk-2", "chunk-3"];
      await withDisks(disks, "230m", async (directory) => {
        await using cluster = await TestCluster.start({ env, directory });
        expect(await put(cluster, "/kept", 8_000_000)).toBe(0);
        expect(await put(cluster, "/removed", 40_000_000)).toBe(0);
        for (const disk of disks) Bun.spawnSync(["sh", "-c", `cat /dev/zero > ${join(directory, disk, "others")}`]);
        expect(await put(cluster, "/none", 8_000_000)).toBe(6);
        expect((await cluster.run(["rm", "--skip-trash", "/removed"])).code).toBe(0);
        await putSoon(cluster, "/instead", 4_000_000);
        for (const disk of disks) rmSync(join(directory, disk, "others"));
        await putSoon(cluster, "/after", 20_000_000);
        expect((await cluster.run(["ls", "/"])).text).toBe("after\ninstead\nkept\n");
        expect((await cluster.run(["get", "/kept", "-"])).stdout).toHaveLength(8_000_000);
        expect((await cluster.run(["fsck"])).code).toBe(0);
      });
    },
    120_000,
  );
});

describe("no space here", () => {
  // reason: a full disk is a tmpfs, which only root may mount
  test.skipIf(!canMount)(
    "a get to a full disk ends with 6 and leaves nothing",
    async () => {
      await withDisks(["target"], "4m", async (folder) => {
        await using cluster = await TestCluster.start({ env });
        expect(await put(cluster, "/file", 9_000_000)).toBe(0);
        const got = await cluster.run(["get", "/file", join(folder, "target", "file")]);
        expect(got.stderr).toContain("the local disk is full (NoSpace)");
        expect(got.stderr).not.toContain("gfs df");
        expect(got.code).toBe(6);
        expect(readdirSync(join(folder, "target"))).toEqual([]);
      });
    },
    120_000,
  );
});
