import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fieldsOf, TestCluster } from "../tools/processes.ts";

let cluster: TestCluster;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  cluster = await TestCluster.start({ env: { GFS_MASTER_CHUNK_SIZE: "1MiB" } });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function append(
  path: string,
  text: string | Uint8Array,
  ...flags: readonly string[]
): Promise<{ offset: number; bytes: number }> {
  const result = await cluster.run(["append", path, "-", "--json", ...flags], {
    stdin: typeof text === "string" ? new TextEncoder().encode(text) : text,
  });
  expect(result.stderr).toBe("");
  expect(result.code).toBe(0);
  const { offset, bytes } = fieldsOf(JSON.parse(result.text));
  return { offset: Number(offset), bytes: Number(bytes) };
}

async function content(path: string): Promise<string> {
  const result = await cluster.run(["cat", path]);
  expect(result.code).toBe(0);
  return result.text;
}

describe("append", () => {
  test("adds to the end, says where, and makes the file", async () => {
    expect(await append("/log", "one\n")).toMatchObject({ offset: 0, bytes: 4 });
    expect(await append("/log", "two\n")).toMatchObject({ offset: 4, bytes: 4 });
    expect(await content("/log")).toBe("one\ntwo\n");
    expect(await cluster.json(["stat", "/log"])).toMatchObject({ entry: { bytes: 8, generation: 1 } });
  });

  test.each([[[]], [["--id", "k"]]])("the first one, where it fails, leaves no file behind: %j", async (flags) => {
    // One server, and two replicas are the least.
    await using small = await TestCluster.start({ chunkservers: 1 });
    const result = await small.run(["append", "/d/new", "-", ...flags], { stdin: new Uint8Array(10) });
    expect(result.stderr).toContain("(TooFewServers)");
    expect(result.code).toBe(7);
    expect((await small.run(["ls", "-R", "/"])).text).toBe("/:\n");
    expect((await small.run(["cat", "/d/new"])).code).toBe(3);
  });

  test("the first ones to a file, of many processes at once, all take effect", async () => {
    const lines = Array.from({ length: 8 }, (_, i) => `line ${i}\n`);
    const offsets = await Promise.all(lines.map(async (line) => (await append("/dir/made-by-all", line)).offset));
    const all = await content("/dir/made-by-all");
    expect(all.length).toBe(lines.join("").length);
    for (const [i, line] of lines.entries()) expect(all.slice(offsets[i], (offsets[i] ?? 0) + line.length)).toBe(line);
  });

  test("--no-create refuses where the file does not exist", async () => {
    const result = await cluster.run(["append", "/none", "-", "--no-create"], { stdin: new Uint8Array(1) });
    expect(result.code).toBe(3);
  });

  test("to a file that was put, whose bytes stay before it", async () => {
    writeFileSync(join(directory, "head"), "head ");
    await cluster.run(["put", join(directory, "head"), "/put-then-append"]);
    await append("/put-then-append", "tail");
    expect(await content("/put-then-append")).toBe("head tail");
  });

  test("one larger than a chunk is one append", async () => {
    const data = randomBytes(3 * 1_048_576 + 11);
    await append("/large", "small");
    expect(await append("/large", data)).toMatchObject({ offset: 5, bytes: data.length });
    await append("/large", "after");
    const got = await cluster.run(["get", "/large", "-"]);
    expect(Buffer.compare(got.stdout, Buffer.concat([Buffer.from("small"), data, Buffer.from("after")]))).toBe(0);
  });

  test.each(["short", "x".repeat(2_000_000)])("--id takes effect once, whatever its size", async (text) => {
    const path = `/once-${text.length}`;
    const first = await append(path, text, "--id", `job-${text.length}`);
    expect(await append(path, text, "--id", `job-${text.length}`)).toEqual(first);
    expect(await content(path)).toBe(text);
    const other = await cluster.run(["append", path, "-", "--id", `job-${text.length}`], {
      stdin: new TextEncoder().encode("other"),
    });
    expect(other.stderr).toContain("IdReused");
    expect(other.code).toBe(1);
    expect(await content(path)).toBe(text);
  });

  test("after an overwrite goes to the new file", async () => {
    await append("/replaced", "old");
    writeFileSync(join(directory, "new"), "new");
    expect((await cluster.run(["put", "--overwrite", join(directory, "new"), "/replaced"])).code).toBe(0);
    await append("/replaced", "er");
    expect(await content("/replaced")).toBe("newer");
  });

  test("many processes at once: every line is there once, whole, each process's in order", async () => {
    const writers = 6;
    const each = 15;
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let i = 0; i < each; i++) await append("/many", `${writer} ${i} ${"x".repeat(writer * 100)}\n`);
      }),
    );
    const lines = (await content("/many")).slice(0, -1).split("\n");
    expect(lines).toHaveLength(writers * each);
    for (let writer = 0; writer < writers; writer++) {
      const own = lines.filter((line) => line.startsWith(`${writer} `));
      expect(own).toEqual(Array.from({ length: each }, (_, i) => `${writer} ${i} ${"x".repeat(writer * 100)}`));
    }
  });
});
