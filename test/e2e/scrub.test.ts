/** What rots on a disk is found without a reader, or by order, and repaired (DESIGN §4.5). */
import { describe, expect, test } from "bun:test";
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
import { fieldsOf, listOf, TestCluster } from "../tools/processes.ts";

const env = {
  GFS_MASTER_CHUNK_SIZE: "1MiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3",
  GFS_MASTER_SAFE_MODE_SECONDS: "0.3",
};

/** Large chunks have files of their own at once. */
function largeFiles(cluster: TestCluster, i: number): string[] {
  const root = join(cluster.chunkDirectory(i), "chunks");
  return readdirSync(root, { recursive: true })
    .map((name) => join(root, String(name)))
    .filter((path) => statSync(path).isFile() && statSync(path).size > 1_000_000)
    .sort();
}

function flip(path: string, at: number): void {
  const byte = readFileSync(path)[at] ?? 0;
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(byte ^ 0x40), 0, 1, at);
  closeSync(file);
}

/** A cluster with one file of three chunks and a bit, on all servers. */
async function withFile(
  scrubDays: string,
  run: (cluster: TestCluster, data: Uint8Array) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  try {
    await using cluster = await TestCluster.start({ env: { ...env, GFS_MASTER_SCRUB_DAYS: scrubDays } });
    const data = new Uint8Array(3_500_000).map((_, i) => (i * 7 + (i >> 8)) & 0xff);
    const local = join(folder, "file");
    writeFileSync(local, data);
    expect((await cluster.run(["put", local, "/d/file"])).code).toBe(0);
    await run(cluster, data);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Only server 1 is left. */
async function getFromFirst(cluster: TestCluster): Promise<Buffer> {
  await cluster.chunkservers[1]?.kill();
  await cluster.chunkservers[2]?.kill();
  const { stdout, code, stderr } = await cluster.run(["get", "/d/file", "-"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return Buffer.from(stdout);
}

async function corruptions(cluster: TestCluster): Promise<readonly number[]> {
  const servers = listOf(fieldsOf(await cluster.json(["scrub", "status"]))["servers"]).map(fieldsOf);
  return servers.map(({ scrub }) => Number(fieldsOf(scrub)["corrupt"] ?? 0));
}

describe("scrub", () => {
  test("a byte that rots in a chunk's file is found without a reader, repaired, counted and told", async () => {
    await withFile("0.00005", async (cluster, data) => {
      const [path = ""] = largeFiles(cluster, 1);
      const good = readFileSync(path);
      flip(path, 500_000);
      await eventually("it is counted", async () => (await corruptions(cluster)).reduce((a, b) => a + b, 0) === 1);
      await eventually("it is repaired in its place", () => {
        const now = largeFiles(cluster, 1).includes(path) ? readFileSync(path) : new Uint8Array(0);
        return Buffer.compare(good.subarray(0, 1_048_576), now.subarray(0, 1_048_576)) === 0;
      });
      await eventually("operators are told", async () => {
        const { text } = await cluster.run(["events", "--json", "--kind", "scrub.corrupt"]);
        return text.includes("chunk-1");
      });
      await eventually("all is whole", async () => (await cluster.run(["fsck"])).code === 0);
      expect(Buffer.compare(await getFromFirst(cluster), data)).toBe(0);
    });
  }, 120_000);

  test("fsck --verify reads every byte and tells what rotted, and a scrub by order sees it mended", async () => {
    await withFile("0", async (cluster, data) => {
      const [first = "", second = ""] = largeFiles(cluster, 1);
      flip(first, 900_000);
      truncateSync(second, 600_000);
      // Nobody has read them: what servers report is as it was.
      expect((await cluster.run(["fsck"])).code).toBe(0);
      const checked = await cluster.run(["fsck", "--verify", "--json"]);
      // What was bad is repaired by then, and nothing is wrong any more.
      expect(checked.code).toBe(0);
      const verified = fieldsOf(fieldsOf(JSON.parse(checked.text.trim().split("\n").at(-1) ?? ""))["verified"]);
      expect(verified).toMatchObject({ state: "done", corrupt: 2, healthy: 10, missing: 0, unverified: 0, files: 1 });
      expect(listOf(verified["findings"]).map((one) => fieldsOf(one)["label"])).toEqual(["chunk-1", "chunk-1"]);
      expect((await cluster.run(["fsck"])).code).toBe(0);
      flip(largeFiles(cluster, 1)[0] ?? "", 900_000);
      const lines = (await cluster.run(["fsck", "--verify"])).text.trimEnd().split("\n");
      expect(lines[0]).toMatch(/^corrupt: \/d\/.*: chunk \d+ on chunk-1: .*; repaired$/);
      expect(lines[1]).toMatch(/^every byte read: 11 replicas good, 1 corrupt .*; all repaired$/);
      expect(lines[2]).toMatch(/^1 file, 4 chunks, .*: all is well, 1 bad replica replaced$/);
      expect(lines).toHaveLength(3);
      const order = await cluster.run(["scrub", "--wait", "chunk-1"]);
      expect(order.text).toContain("4 replicas good");
      expect(order.code).toBe(0);
      expect((await cluster.run(["fsck", "--verify", "/d"])).text).toContain("every byte read: 12 replicas good");
      expect(Buffer.compare(await getFromFirst(cluster), data)).toBe(0);
    });
  }, 120_000);

  test("a server that is away is said not to be verified; names that are none are told with those that there are; terms last", async () => {
    await withFile("14", async (cluster) => {
      const wrong = await cluster.run(["scrub", "chunk-7"]);
      expect(wrong.code).toBe(3);
      expect(wrong.stderr).toContain("chunk-2");
      expect((await cluster.run(["scrub", "/none"])).code).toBe(3);
      expect((await cluster.run(["scrub", "set"])).code).toBe(2);
      expect(await cluster.json(["scrub", "set", "--days", "7", "--rate", "20MB"])).toEqual({
        "scrub-days": 7,
        "scrub-rate": 20_000_000,
      });
      await eventually("servers know", async () => {
        const servers = listOf(fieldsOf(await cluster.json(["scrub", "status"]))["servers"]).map(fieldsOf);
        return servers.every(({ scrub }) => fieldsOf(scrub)["everyMs"] === 7 * 86_400_000);
      });
      await cluster.chunkservers[2]?.kill();
      const checked = await cluster.run(["fsck", "--verify"]);
      expect(checked.text).toContain("8 replicas good, 4 not read");
      expect(checked.code).toBe(9);
      const status = await cluster.run(["scrub", "status"]);
      expect(status.code).toBe(0);
      expect(status.text).toContain("4 not read");
    });
  }, 120_000);
});
