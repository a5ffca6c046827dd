/** The master's directory is lost, and rebuilt: from a backup, and from what chunkservers keep (docs/OPERATIONS.md). */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../tools/eventually.ts";
import { fieldsOf, gfs, listOf, type RunResult, TestCluster } from "../tools/processes.ts";

const env = { GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3", GFS_MASTER_METADATA_COPY_SECONDS: "0.2" };

async function withCluster(run: (cluster: TestCluster) => Promise<void>): Promise<void> {
  await using cluster = await TestCluster.start({ env });
  await run(cluster);
}

function done(result: RunResult): RunResult {
  expect([result.code, result.stderr]).toEqual([0, result.stderr]);
  return result;
}

async function put(cluster: TestCluster, path: string, text: string): Promise<void> {
  const local = join(cluster.directory, "local");
  writeFileSync(local, text);
  done(await cluster.run(["put", local, path, "--overwrite"]));
}

async function expectText(cluster: TestCluster, path: string, text: string): Promise<void> {
  await eventually(`${path} can be read`, async () => (await cluster.run(["cat", path])).code === 0);
  expect((await cluster.run(["cat", path])).text).toBe(text);
}

async function copiesAreComplete(cluster: TestCluster): Promise<boolean> {
  const copies = fieldsOf(fieldsOf(await cluster.json(["status"]))["metadataCopies"]);
  const all = listOf(copies["copies"]).map((copy) => fieldsOf(copy));
  return all.length === 2 && all.every(({ behindMs }) => behindMs === 0);
}

const masterDirectory = (cluster: TestCluster): string => join(cluster.directory, "master");

/** Reads are served, changes refused until confirmed. */
async function expectToWait(cluster: TestCluster): Promise<void> {
  const refused = await cluster.run(["mkdir", "/too-early"]);
  expect(refused.stderr).toContain("MutationsStopped");
  // One that comes later may prove once more that something is lost.
  await eventually("all servers are back", async () => {
    const servers = listOf(fieldsOf(await cluster.json(["status"]))["servers"]);
    return servers.length > 0 && servers.every((server) => fieldsOf(server)["liveness"] === "live");
  });
  expect(done(await cluster.run(["status"])).text).toMatch(/changes are stopped: .*it was rebuilt from/);
  done(await cluster.run(["master", "confirm"]));
  done(await cluster.run(["mkdir", "/in-time"]));
}

describe("a master whose directory is lost", () => {
  test("comes back from a backup", () =>
    withCluster(async (cluster) => {
      await put(cluster, "/a", "of before the backup");
      const backup = join(cluster.directory, "gfs.backup");
      expect(done(await cluster.run(["backup", backup])).text).toContain("of the log");
      expect((await cluster.run(["backup", backup])).code).toBe(4);
      const nowhere = await cluster.run(["backup", join(cluster.directory, "not mounted", "gfs.backup")]);
      expect(nowhere.code).toBe(3);
      expect(nowhere.stderr).toContain("(NotFound)");
      const below = await cluster.run(["backup", join(backup, "gfs.backup")]);
      expect(below.stderr).toContain("(IsDirectory)");
      const piped = done(await cluster.run(["backup", "-"]));
      const other = join(cluster.directory, "piped");
      writeFileSync(other, piped.stdout);
      for (const path of [backup, other])
        expect(fieldsOf(await cluster.json(["backup", "--verify", path]))["whole"]).toBe(true);
      expect(done(await cluster.run(["backup", "--verify", backup])).text).toMatch(
        /is whole: cluster \w+, up to entry \d+ of the log, which was logged at [-\d]+ [:\d]+; 1 file in 0 directories/,
      );
      truncateSync(other, piped.stdout.length - 5);
      const temporary = join(cluster.directory, "temporary");
      mkdirSync(temporary);
      const torn = await cluster.run(["backup", "--verify", other], { env: { TMPDIR: temporary } });
      expect(torn.code).toBe(8);
      expect(torn.stderr).toContain("Corrupt");
      expect(readdirSync(temporary)).toEqual([]);
      await put(cluster, "/b", "of after it");

      await cluster.master.kill();
      const restore = ["master", "restore", "--data-dir", masterDirectory(cluster), "--from", backup];
      const kept = await gfs(restore);
      expect(kept.code).toBe(4);
      expect(kept.stderr).toContain("it is not empty");
      rmSync(masterDirectory(cluster), { recursive: true });
      expect(done(await gfs([...restore, "--dry-run"])).text).toContain("can be rebuilt from");
      expect(done(await gfs([...restore, "--json"])).text).toContain('"passedOver":[]');
      await cluster.restartMaster();
      await expectText(cluster, "/a", "of before the backup");
      expect((await cluster.run(["cat", "/b"])).code).toBe(3);
      await expectToWait(cluster);
    }));

  test("comes back from chunkservers that run, with all that was acknowledged before the copies were complete", () =>
    withCluster(async (cluster) => {
      await put(cluster, "/a", "first");
      await eventually("copies are complete", () => copiesAreComplete(cluster));
      await put(cluster, "/b", "second");
      await eventually("copies are complete", () => copiesAreComplete(cluster));
      expect(done(await cluster.run(["status"])).text).toMatch(/copies of it: chunk-\d complete, chunk-\d complete/);
      await cluster.master.kill();
      rmSync(masterDirectory(cluster), { recursive: true });
      const from = cluster.chunkservers.flatMap(({ ready }) => ["--from", ready["control"] ?? ""]);
      const restore = ["master", "restore", "--data-dir", masterDirectory(cluster)];
      const restored = done(await gfs([...restore, ...from]));
      // One of the three keeps none: it says so, and is no error beside the others.
      expect(restored.stderr).toContain("holds no copy");
      expect(restored.text).toContain("gfs master confirm");
      await cluster.restartMaster();
      await expectText(cluster, "/a", "first");
      await expectText(cluster, "/b", "second");
      await expectToWait(cluster);
    }));

  test("comes back from a chunkserver's directory; what is damaged is passed over", () =>
    withCluster(async (cluster) => {
      await put(cluster, "/a", "first");
      await eventually("copies are complete", () => copiesAreComplete(cluster));
      for (const server of [...cluster.chunkservers, cluster.master]) await server.kill();
      rmSync(masterDirectory(cluster), { recursive: true });
      const holders = [1, 2, 3].filter((i) => holds(cluster, i));
      expect(holders).toHaveLength(2);
      const [bad = 0] = holders;
      const folder = join(cluster.chunkDirectory(bad), "metadata");
      for (const name of readdirSync(folder)) {
        const bytes = readFileSync(join(folder, name));
        bytes[600] = (bytes[600] ?? 0) ^ 1;
        writeFileSync(join(folder, name), bytes);
      }
      const from = holders.flatMap((i) => ["--from", cluster.chunkDirectory(i)]);
      const restored = done(await gfs(["master", "restore", "--data-dir", masterDirectory(cluster), ...from]));
      expect(restored.text).toContain(
        `rebuilt ${masterDirectory(cluster)} from ${cluster.chunkDirectory(holders[1] ?? 0)}`,
      );
      await cluster.restartMaster();
      for (const i of [1, 2, 3]) await cluster.restartChunkserver(i);
      await expectText(cluster, "/a", "first");
      await expectToWait(cluster);
    }));
});

describe("a cluster whose master is lost with all its copies", () => {
  test("gives its files back by salvage", () =>
    withCluster(async (cluster) => {
      const large = "0123456789".repeat(300_000);
      await put(cluster, "/d/large", large);
      await put(cluster, "/small", "old");
      await put(cluster, "/small", "new");
      const record = join(cluster.directory, "record");
      writeFileSync(record, "record\n");
      for (let i = 0; i < 3; i++) done(await cluster.run(["append", "/log", record]));
      // More than a record: written as a chunk of its own, and spliced in.
      const splice = join(cluster.directory, "splice");
      writeFileSync(splice, large.repeat(2));
      for (const next of [splice, record]) done(await cluster.run(["append", "/log", next]));
      const log = `${"record\n".repeat(3)}${large.repeat(2)}record\n`;
      const directories = [1, 2, 3].map((i) => cluster.chunkDirectory(i)).join(",");
      const salvage = ["salvage", "--data-dir", directories, "--to", masterDirectory(cluster), "--verify"];
      expect((await gfs(salvage)).stderr).toContain("a chunkserver has it open");
      for (const server of [...cluster.chunkservers, cluster.master]) await server.kill();
      expect((await gfs(salvage)).stderr).toContain("it is not empty");
      rmSync(masterDirectory(cluster), { recursive: true });
      for (const i of [1, 2, 3])
        for (const folder of ["metadata", "metadata-before"])
          rmSync(join(cluster.chunkDirectory(i), folder), { recursive: true, force: true });
      const tried = done(await gfs([...salvage, "--dry-run", "--json"]));
      const found = listOf(fieldsOf(JSON.parse(tried.text))["files"]).map((file) => String(fieldsOf(file)["path"]));
      expect(found.sort((a, b) => (a < b ? -1 : 1))).toEqual(["/d/large", "/log", "/small", "/small.salvaged-1"]);
      const made = done(await gfs(salvage)).text;
      expect(made).toContain("4 files, 0 pieces");
      expect(made).toContain("all files want 3 replicas");
      expect(made).toContain("gfs setrep");
      await cluster.restartMaster();
      for (const i of [1, 2, 3]) await cluster.restartChunkserver(i);
      await expectText(cluster, "/d/large", large);
      await expectText(cluster, "/small", "new");
      await expectText(cluster, "/small.salvaged-1", "old");
      await expectToWait(cluster);
      await expectText(cluster, "/log", log);
      done(await cluster.run(["append", "/log", record]));
      await expectText(cluster, "/log", `${log}record\n`);
    }));
});

function holds(cluster: TestCluster, i: number): boolean {
  return readdirSync(cluster.chunkDirectory(i)).includes("metadata");
}
