import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fieldsOf, listOf, TestCluster, type RunResult } from "../tools/processes.ts";

const chunkBytes = 65_536;
let cluster: TestCluster;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  cluster = await TestCluster.start({ env: { GFS_MASTER_CHUNK_SIZE: String(chunkBytes) } });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

function local(name: string, bytes: Uint8Array | string): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

async function ok(...args: readonly string[]): Promise<RunResult> {
  const result = await cluster.run(args);
  expect(result.stderr).toBe("");
  expect(result.code).toBe(0);
  return result;
}

async function refused(code: number, text: string, ...args: readonly string[]): Promise<void> {
  const result = await cluster.run(args);
  expect(result.stderr).toContain(text);
  expect(result.code).toBe(code);
  expect(result.stderr.split("\n").length).toBeLessThanOrEqual(3);
}

describe("put, then get, gives back every byte", () => {
  test.each([0, 1, 4_096, chunkBytes - 1, chunkBytes, chunkBytes + 1, 10 * chunkBytes + 17])(
    "%d bytes",
    async (bytes) => {
      const data = randomBytes(bytes);
      await ok("put", local("in", data), `/sizes/${bytes}`);
      await ok("get", `/sizes/${bytes}`, join(directory, `out-${bytes}`));
      expect(Buffer.compare(readFileSync(join(directory, `out-${bytes}`)), data)).toBe(0);
      const piped = await ok("cat", `/sizes/${bytes}`);
      expect(Buffer.compare(piped.stdout, data)).toBe(0);
    },
  );

  test("from standard input and to standard output", async () => {
    const data = randomBytes(3 * chunkBytes + 5);
    const put = await cluster.run(["put", "-", "/piped"], { stdin: data });
    expect(put.code).toBe(0);
    expect(Buffer.compare((await ok("get", "/piped", "-")).stdout, data)).toBe(0);
  });

  test("a part of it: offset and length, across chunks", async () => {
    const data = randomBytes(5 * chunkBytes);
    await ok("put", local("in", data), "/part");
    for (const [offset, length] of [
      [0, 10],
      [chunkBytes - 3, 7],
      [12_345, 3 * chunkBytes],
      [5 * chunkBytes - 1, 100],
      [5 * chunkBytes, 1],
    ] as const) {
      const got = await ok("get", "/part", "-", "--offset", String(offset), "--length", String(length));
      expect(Buffer.compare(got.stdout, data.subarray(offset, offset + length))).toBe(0);
    }
  });

  test("into a directory, under its own name", async () => {
    mkdirSync(join(directory, "into"), { recursive: true });
    await ok("put", local("in", "x"), "/named");
    await ok("get", "/named", join(directory, "into"));
    expect(readFileSync(join(directory, "into", "named"), "utf8")).toBe("x");
  });
});

describe("names", () => {
  test.each(["/with space", "/new\nline", "/🐟/naïve", "/-dash", `/${"n".repeat(255)}`])(
    "%j is kept as it is",
    async (path) => {
      await ok("put", local("in", path), path);
      expect((await ok("cat", path)).text).toBe(path);
      const listed = await ok("ls", "--json", path);
      expect(JSON.parse(listed.text)).toMatchObject({ path });
    },
  );

  test.each(["relative", "/a/../b", "/a/./b", "/a//b", `/${"n".repeat(256)}`, `/${"d/".repeat(2_100)}x`])(
    "%j is refused",
    async (path) => {
      await refused(2, "PathInvalid", "put", local("in", ""), path);
    },
  );

  test("a control character can't reach the terminal", async () => {
    await ok("put", local("in", "x"), "/escape/\u001b[31mred");
    expect((await ok("ls", "/escape")).text).toBe("\\x1b[31mred\n");
  });
});

describe("what is in the way is said", () => {
  test("an existing target, without --overwrite", async () => {
    await ok("put", local("in", "1"), "/there");
    await refused(4, "Exists", "put", local("in", "2"), "/there");
    expect((await ok("cat", "/there")).text).toBe("1");
    await ok("put", "--overwrite", local("in", "2"), "/there");
    expect((await ok("cat", "/there")).text).toBe("2");
    const target = local("target", "mine");
    await refused(4, "Exists", "get", "/there", target);
    expect(readFileSync(target, "utf8")).toBe("mine");
    await ok("get", "--overwrite", "/there", target);
    expect(readFileSync(target, "utf8")).toBe("2");
  });

  test("--if-generation", async () => {
    await ok("put", local("in", "1"), "/generation");
    await refused(
      1,
      "GenerationMismatch",
      "put",
      "--overwrite",
      "--if-generation",
      "7",
      local("in", "2"),
      "/generation",
    );
    await ok("put", "--overwrite", "--if-generation", "1", local("in", "2"), "/generation");
    expect(await cluster.json(["stat", "/generation"])).toMatchObject({ entry: { generation: 2 } });
  });

  test("a local file that is missing is not said to be one of gfs, and where a get went is told", async () => {
    writeFileSync(join(directory, "told"), "told");
    await cluster.run(["put", join(directory, "told"), "/told"]);
    const none = join(directory, "none");
    const append = await cluster.run(["append", "/told", none]);
    expect(append.stderr).toBe(`gfs: append /told: cannot read local ${none}: there is no such file here (NotFound)\n`);
    const get = await cluster.run(["get", "/told", join(none, "x")]);
    expect(get.stderr).toBe(
      `gfs: get /told: cannot write local ${join(none, "x")}: there is no directory ${none} (NotFound)\n`,
    );
    expect([append.code, get.code]).toEqual([3, 3]);
    mkdirSync(join(directory, "into-told"));
    expect(await cluster.json(["get", "/told", join(directory, "into-told")])).toMatchObject({
      local: join(directory, "into-told", "told"),
    });
  });

  test("missing paths and wrong kinds", async () => {
    await ok("mkdir", "-p", "/kinds/dir");
    await ok("put", local("in", "x"), "/kinds/file");
    await refused(3, "NotFound", "get", "/kinds/none", "-");
    await refused(3, "NotFound", "ls", "/none/at/all");
    await refused(3, "NotFound", "put", join(directory, "none"), "/kinds/x");
    await refused(1, "IsDirectory", "put", directory, "/kinds/x");
    await refused(1, "IsDirectory", "get", "/kinds/dir", "-");
    await refused(1, "IsDirectory", "put", "--overwrite", local("in", "x"), "/kinds/dir");
    await refused(1, "IsDirectory", "append", "/kinds/dir", local("in", "x"));
    const append = await cluster.run(["append", "--no-create", "/kinds/none", local("in", "x")]);
    expect(append.stderr).toContain("cannot append to /kinds/none: no such file or directory");
    await refused(1, "NotDirectory", "put", local("in", "x"), "/kinds/file/below");
    await refused(4, "Exists", "mkdir", "/kinds/dir");
    await refused(3, "NotFound", "get", "/kinds/file", join(directory, "no", "such", "directory"));
    expect(existsSync(join(directory, "no"))).toBe(false);
  });

  test("a download that can't be written leaves nothing", async () => {
    await ok("put", local("in", randomBytes(chunkBytes)), "/leaves");
    const before = readdirSync(directory).sort();
    await refused(3, "NotFound", "get", "/leaves", "/proc/gfs-can-not-be-made");
    expect(readdirSync(directory).sort()).toEqual(before);
  });
});

describe("the tree", () => {
  test("ls lists by name, -l and -R and --json", async () => {
    await ok("mkdir", "-p", "/tree/b", "/tree/a/deep");
    await ok("put", local("in", "12345"), "/tree/c");
    expect((await ok("ls", "/tree")).text).toBe("a/\nb/\nc\n");
    expect((await ok("ls", "-l", "/tree")).text).toMatch(/^- +3 +5 .* c$/m);
    expect((await ok("ls", "-lh", "/tree")).text).toMatch(/^- +3 +5 B .* c$/m);
    expect((await ok("ls", "-R", "/tree")).text).toBe(
      "/tree:\na/\nb/\nc\n\n/tree/a:\ndeep/\n\n/tree/a/deep:\n\n/tree/b:\n",
    );
    const json = (await ok("ls", "-R", "--json", "/tree")).text.trim().split("\n");
    expect(json.map((line) => String(fieldsOf(JSON.parse(line))["path"]))).toEqual([
      "/tree/a",
      "/tree/b",
      "/tree/c",
      "/tree/a/deep",
    ]);
  });

  test("mv renames, moves into a directory, and refuses to move into itself", async () => {
    await ok("mkdir", "-p", "/mv/dir");
    await ok("put", local("in", "x"), "/mv/file");
    await ok("mv", "/mv/file", "/mv/renamed");
    await ok("mv", "/mv/renamed", "/mv/dir");
    expect((await ok("cat", "/mv/dir/renamed")).text).toBe("x");
    await refused(1, "MoveIntoItself", "mv", "/mv", "/mv/dir/deeper");
    await refused(3, "NotFound", "mv", "/mv/none", "/mv/x");
    await ok("put", local("in", "y"), "/mv/other");
    await refused(4, "Exists", "mv", "/mv/other", "/mv/dir/renamed");
    await ok("mv", "--overwrite", "/mv/other", "/mv/dir/renamed");
    expect((await ok("cat", "/mv/dir/renamed")).text).toBe("y");
  });

  test("rm goes to the trash, from where it can be restored or purged", async () => {
    await ok("mkdir", "-p", "/rm/dir");
    await ok("put", local("in", "kept"), "/rm/dir/file");
    await refused(1, "DirectoryNotEmpty", "rm", "/rm/dir");
    await ok("rm", "-r", "/rm/dir");
    await refused(3, "NotFound", "cat", "/rm/dir/file");
    expect((await ok("trash", "ls")).text).toContain("/rm/dir/");
    await ok("trash", "restore", "/rm/dir");
    expect((await ok("cat", "/rm/dir/file")).text).toBe("kept");
    await ok("rm", "/rm/dir/file");
    await ok("trash", "restore", "/rm/dir/file", "--to", "/rm/elsewhere");
    expect((await ok("cat", "/rm/elsewhere")).text).toBe("kept");
    await ok("rm", "--skip-trash", "/rm/elsewhere");
    await refused(3, "NotFound", "trash", "restore", "/rm/elsewhere");
    await ok("trash", "purge", "--all");
    expect((await ok("trash", "ls")).text).toBe("the trash is empty\n");
    // Lines of objects, of which there are none; and one array.
    expect((await ok("trash", "ls", "--json")).text).toBe("");
    expect((await ok("drain", "--json")).text).toBe("[]\n");
    await refused(2, "PathInvalid", "rm", "-r", "/");
  });

  test("du counts content and what its replicas take", async () => {
    await ok("put", local("in", randomBytes(1_000)), "/du/a/one");
    await ok("put", local("in", randomBytes(500)), "/du/two", "--replicas", "2");
    expect(await cluster.json(["du", "/du"])).toMatchObject({
      files: 2,
      directories: 1,
      bytes: 1_500,
      storedBytes: 4_000,
      openFiles: 0,
    });
    await ok("append", "/du/two", local("in", randomBytes(10)));
    expect(await cluster.json(["du", "/du"])).toMatchObject({ files: 2, openFiles: 1 });
    expect((await cluster.run(["du", "/du"])).stderr).toContain("of files open for append (1), the last bytes count");
    expect((await ok("status")).text).toContain("open for append)");
  });
});

describe("the cluster", () => {
  test("status, df and fsck agree that all is well", async () => {
    await ok("put", local("in", randomBytes(chunkBytes + 1)), "/well");
    expect((await ok("status")).text).toStartWith("healthy");
    expect(await cluster.json(["status"])).toMatchObject({
      chunks: { short: 0, lost: 0 },
      servers: [{ liveness: "live" }, { liveness: "live" }, { liveness: "live" }],
    });
    expect((await ok("fsck")).text).toContain("all is well");
    expect((await ok("df")).text).toContain("room for about");
  });

  test("stat shows each replica with its distance from the caller, nearest first", async () => {
    await ok("put", local("in", randomBytes(10)), "/near");
    const status = await cluster.json(["stat", "/near", "--location", "19,0"]);
    const [extent] = listOf(fieldsOf(status)["extents"]);
    const replicas = listOf(fieldsOf(extent)["replicas"]).map(fieldsOf);
    expect(replicas.map((replica) => [replica["label"], replica["distance"]])).toEqual([
      ["chunk-3", 1],
      ["chunk-2", 9],
      ["chunk-1", 19],
    ]);
  });
});
