/** Replication and the trash by choice: setrep, defaults of directories, retention, and what df, du, stat and ls show of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../tools/eventually.ts";
import { fieldsOf, listOf, TestCluster } from "../tools/processes.ts";

let cluster: TestCluster;
let directory: string;
let file: string;
let empty: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  file = join(directory, "file");
  empty = join(directory, "empty");
  writeFileSync(file, new Uint8Array(300_000));
  writeFileSync(empty, "");
  cluster = await TestCluster.start({
    chunkservers: 4,
    env: {
      GFS_MASTER_CHUNK_SIZE: "128KiB",
      GFS_MASTER_REPLICATION_FACTOR: "2",
      GFS_MASTER_DELETE_GRACE_SECONDS: "1",
      GFS_MASTER_SAFE_MODE_SECONDS: "0.5",
    },
  });
  // Until then what the log alone names is shown as unreported.
  await eventually("safe mode is over", async () => fieldsOf((await json("status"))["safeMode"])["active"] === false);
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function ok(...args: string[]): Promise<string> {
  const result = await cluster.run(args);
  expect([args, result.code, result.stderr]).toEqual([args, 0, result.stderr]);
  return result.text;
}

async function refused(exit: number, code: string, ...args: string[]): Promise<string> {
  const result = await cluster.run(args);
  expect([args, result.code]).toEqual([args, exit]);
  expect(result.stderr).toContain(`(${code})`);
  return result.stderr;
}

async function json(...args: string[]): Promise<Record<string, unknown>> {
  return fieldsOf(await cluster.json(args));
}

/** Replicas of each chunk that are healthy. */
async function replicasOf(path: string): Promise<number[]> {
  return listOf((await json("stat", path))["extents"]).map(
    (extent) => listOf(fieldsOf(extent)["replicas"]).filter((each) => fieldsOf(each)["health"] === "healthy").length,
  );
}

describe("setrep", () => {
  test("-w waits until every chunk has one more replica, and fewer are freed after the grace", async () => {
    await ok("put", file, "/one");
    expect(await replicasOf("/one")).toEqual([2, 2, 2]);
    const raised = await json("setrep", "-w", "4", "/one");
    expect(raised).toMatchObject({ path: "/one", replicas: 4, files: 1, changed: 1, chunks: 3, reached: 3 });
    expect(await replicasOf("/one")).toEqual([4, 4, 4]);
    expect(await ok("stat", "/one")).toContain("replicas wanted  4");
    expect(await ok("ls", "-l", "/one")).toMatch(/^- +4 +300000 /);
    const lowered = await cluster.run(["setrep", "1", "/one"]);
    expect(lowered.text).toBe("/one: 1 replica wanted, changed 1 file of 1 (3 chunks)\n");
    expect(lowered.stderr).toContain("the loss of one disk loses a file");
    // Each change to a lower number asks the servers what they have: a report that was on its way when others were deleted may say nothing of it.
    await eventually("one replica of each chunk", async () => {
      if ((await replicasOf("/one")).every((count) => count === 1)) return true;
      await Bun.sleep(5_000);
      if ((await replicasOf("/one")).every((count) => count === 1)) return true;
      for (const number of ["2", "1"]) await ok("setrep", number, "/one");
      return false;
    });
    expect((await json("du", "/one"))["storedBytes"]).toBe(300_000);
    expect((await cluster.run(["fsck"])).code).toBe(0);
    expect((await cluster.run(["cat", "/one"])).stdout).toEqual(new Uint8Array(300_000));
  });

  test("-w ends with what is missing where there are too few servers; the number stays", async () => {
    await ok("put", file, "/many");
    const text = await refused(7, "TooFewServers", "setrep", "-w", "5", "/many");
    expect(text).toContain("only 4 servers can hold them, and 3 of 3 chunks have fewer");
    expect(await ok("ls", "-l", "/many")).toMatch(/^- +5 /);
    await ok("setrep", "-w", "2", "/many");
  });

  test("of a directory sets the default of what is made in it and below; -R changes what is there", async () => {
    await ok("put", file, "/dir/before");
    expect(await ok("setrep", "3", "/dir")).toBe("/dir: new files want 3 replicas\n");
    for (const number of ["1", "3"]) {
      const { text, stderr } = await cluster.run(["setrep", number, "/dir"]);
      expect(text).toContain(`/dir: new files want ${number} replica`);
      expect(stderr.includes("the loss of one disk loses a file")).toBe(number === "1");
    }
    await ok("mkdir", "/dir/sub");
    const both = await cluster.run(["setrep", "-R", "--default", "1", "/dir/sub"]);
    expect(both.stderr.match(/the loss of one disk/g)).toHaveLength(1);
    await ok("put", file, "/dir/deep/after");
    await ok("append", "/dir/deep/log", file);
    await ok("put", empty, "/dir/empty");
    await ok("put", "--replicas", "1", file, "/dir/asked");
    const goals = async (path: string) => fieldsOf((await json("stat", path))["entry"])["replicas"];
    const paths = ["/dir/before", "/dir/deep/after", "/dir/deep/log", "/dir/empty", "/dir/asked"];
    expect(await Promise.all(paths.map((path) => goals(path)))).toEqual([2, 3, 3, 3, 1]);
    expect(await ok("stat", "/dir/deep")).toContain("3 replicas (from /dir)");
    expect(await ok("ls", "-l", "/")).toMatch(/^d +\(3\) +- .* dir\/$/m);
    const all = await json("setrep", "-R", "-w", "2", "/dir");
    expect(all).toMatchObject({ files: 5, changed: 4 });
    expect(await Promise.all(paths.map((path) => goals(path)))).toEqual([2, 2, 2, 2, 2]);
    await ok("setrep", "none", "/dir");
    expect(await ok("stat", "/dir")).toContain("2 replicas (from the master's configuration)");
  });

  test("an open tail is sealed, so that what was appended gets the number as well", async () => {
    await ok("append", "/log", file);
    await ok("append", "/log", file);
    writeFileSync(join(directory, "small"), "small");
    await ok("append", "/log", join(directory, "small"));
    const { chunks, reached } = await json("setrep", "-w", "3", "/log");
    expect(reached).toBeGreaterThan(0);
    expect(chunks).toBeGreaterThan(0);
    const now = await replicasOf("/log");
    expect(now).toEqual(now.map(() => 3));
    await ok("append", "/log", join(directory, "small"));
    expect((await cluster.run(["cat", "/log"])).stdout.length).toBe(600_010);
  });

  test("refuses what makes no sense", async () => {
    await refused(2, "Usage", "setrep", "0", "/one");
    await refused(2, "Usage", "setrep", "17", "/one");
    await refused(2, "Usage", "setrep", "none", "/one");
    await refused(2, "Usage", "setrep", "-w", "2", "/dir");
    await refused(1, "NotDirectory", "setrep", "--default", "2", "/one");
    await refused(3, "NotFound", "setrep", "2", "/none");
  });
});

describe("the trash", () => {
  test("keeps what is removed as long as its directory says, or not at all", async () => {
    await ok("put", file, "/scratch/a/one");
    await ok("put", file, "/scratch/two");
    expect(await ok("trash", "retention", "/scratch", "0")).toBe("/scratch: what is removed goes for good at once\n");
    expect(await json("trash", "retention", "/scratch/a", "30d")).toEqual({
      path: "/scratch/a",
      seconds: 2_592_000,
      from: "/scratch/a",
    });
    expect(await ok("trash", "retention", "/")).toContain("3 d 0 h (from the master's trash_seconds)");
    const removed = await cluster.run(["rm", "/scratch/two"]);
    expect(removed.stderr).toContain("/scratch/two is removed for good");
    await refused(3, "NotFound", "trash", "restore", "/scratch/two");
    await ok("rm", "/scratch/a/one");
    const entry = await json("trash", "ls", "/scratch");
    expect(entry).toMatchObject({
      path: "/scratch/a/one",
      kind: "file",
      files: 1,
      bytes: 300_000,
      storedBytes: 600_000,
    });
    expect(Number(entry["expiresMs"]) - Number(entry["removedMs"])).toBe(2_592_000_000);
    expect(await ok("trash", "retention", "/scratch/a", "none")).toContain("goes for good at once (from /scratch)");
    await refused(1, "NotDirectory", "trash", "retention", "/one", "1d");
    await refused(2, "Usage", "trash", "retention", "/scratch", "soon");
  });

  test("is listed, restored and purged by path and by age; df and du show what it holds", async () => {
    await ok("trash", "purge", "--all");
    for (let i = 0; i < 2; i++) {
      await ok("put", file, "/bin/sub/file");
      await ok("rm", "/bin/sub/file");
    }
    await ok("put", file, "/bin/other");
    await ok("rm", "/bin/other");
    await ok("put", "--overwrite", file, "/bin/sub/file");
    expect(await json("du", "/bin")).toMatchObject({
      bytes: 300_000,
      trash: { entries: 3, bytes: 900_000, storedBytes: 1_800_000 },
    });
    expect(await ok("du", "/bin/sub")).toMatch(/ +600000 +\/bin\/sub$/m);
    expect(await ok("df")).toContain("the trash holds 900 kB in 3 entries, 1.80 MB with replicas");
    const taken = await refused(4, "Exists", "trash", "restore", "/bin/sub/file");
    expect(taken).toContain("--to restores it under another name");
    await ok("mkdir", "/back");
    const restored = await cluster.run(["trash", "restore", "/bin/sub/file", "--to", "/back"]);
    expect(restored.text).toBe("restored /back/file\n");
    expect(restored.stderr).toContain("1 older one is still in the trash");
    await ok("rm", "-r", "/bin");
    await ok("trash", "restore", "/bin/other");
    expect((await cluster.run(["cat", "/bin/other"])).stdout.length).toBe(300_000);
    expect(await ok("trash", "purge", "/bin/sub/file", "--older-than", "1h")).toBe("purged 0 entries\n");
    expect(await ok("trash", "purge", "-r", "/bin")).toBe("purged 2 entries\n");
    expect(await ok("trash", "ls", "/bin")).toBe("the trash has nothing of /bin\n");
    await refused(3, "NotFound", "trash", "purge", "/bin/sub/file");
    for (const args of [[], ["--all", "/bin"], ["-r"], ["5", "-r"]])
      await refused(2, "Usage", "trash", "purge", ...args);
  });

  test("attributes and numbers of replicas last through a restart of the master", async () => {
    await ok("setrep", "3", "/scratch");
    await cluster.master.kill();
    await cluster.restartMaster();
    expect(await json("stat", "/scratch")).toMatchObject({
      entry: { attributes: { replicas: 3, trashMs: 0 } },
      inherited: { replicas: { value: 3, from: "/scratch" }, trashMs: { value: 0, from: "/scratch" } },
    });
    expect(await ok("ls", "-l", "/one")).toMatch(/^- +1 /);
  });
});
