/** An empty server joins: chunks move there by themselves, as real processes on disks of their own. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { eventually } from "../tools/eventually.ts";
import { fieldsOf, listOf, TestCluster } from "../tools/processes.ts";
import { canMount, withDisks } from "../tools/tmpfs.ts";

const env = {
  GFS_MASTER_CHUNK_SIZE: "1MiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
  GFS_MASTER_DELETE_GRACE_SECONDS: "1",
  GFS_CHUNK_SERVER_RESERVE_MB: "0",
};

describe("balance", () => {
  // reason: a disk of its own is a tmpfs, which only root may mount
  test.skipIf(!canMount)(
    "fills an empty server that joins, stops when told, and no file changes",
    async () => {
      const disks = ["chunk-1", "chunk-2", "chunk-3", "chunk-4"];
      await withDisks(disks, "400m", async (directory) => {
        await using cluster = await TestCluster.start({ env, directory });
        const files = new Map(["/a", "/b", "/c", "/d", "/e", "/f"].map((path) => [path, randomBytes(12_000_000)]));
        for (const [path, stdin] of files) {
          const { code, stderr } = await cluster.run(["put", "-", path, "--quiet", "--replicas", "2"], { stdin });
          expect([code, stderr]).toEqual([0, ""]);
        }
        const started = await cluster.run(["balance", "start", "--threshold", "3%", "--rate", "200MB"]);
        expect(started.stderr).toBe("");
        expect(started.text).toContain("disks may be 3.0 % from the mean");
        await cluster.restartChunkserver(4);
        // What was just put has yet to be reported in full: servers do that every ten minutes, and to a master that starts.
        await cluster.master.kill();
        await cluster.restartMaster();
        const status = async () => fieldsOf(await cluster.json(["balance"]));
        await eventually("chunks have moved, and the disks are even", async () => {
          const { state, movedBytes, disks: found } = await status();
          return state === "balanced" && Number(movedBytes) > 10_000_000 && listOf(found).length === 4;
        });
        const { mean, disks: even } = await status();
        for (const disk of listOf(even))
          expect(Math.abs(Number(fieldsOf(disk)["share"]) - Number(mean))).toBeLessThan(0.04);
        await eventually("what was moved is gone where it was", async () => {
          const { garbage } = fieldsOf(await cluster.json(["status"]));
          return fieldsOf(garbage)["waiting"] === 0;
        });
        for (const [path, data] of files)
          expect(Buffer.compare((await cluster.run(["get", path, "-"])).stdout, data)).toBe(0);
        expect((await cluster.run(["fsck"])).code).toBe(0);
        expect((await cluster.run(["balance", "stop"])).text).toStartWith(
          "balance is off: an operator stopped it; `gfs balance start` starts it",
        );
        expect(await status()).toMatchObject({ state: "off", threshold: 0.03, bytesPerSecond: 200_000_000 });
        expect((await cluster.run(["balance", "start", "--rate", "slow"])).code).toBe(2);
      });
    },
    240_000,
  );
});
