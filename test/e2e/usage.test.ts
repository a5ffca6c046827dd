import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gfs, gfsPath } from "../tools/processes.ts";

describe("a newcomer's mistakes end with 2, and name what was probably meant", () => {
  test.each([
    [["pt", "a", "/b"], "unknown verb pt (did you mean put?)"],
    [["put"], "missing LOCAL"],
    [["put", "a"], "missing PATH"],
    [["put", "a", "/b", "c"], 'unexpected argument "c"'],
    [["put", "--overwrit", "a", "/b"], "unknown flag --overwrit (did you mean --overwrite?)"],
    [["put", "-x", "a", "/b"], "unknown flag -x"],
    [["put", "a", "/b", "--replicas"], "--replicas wants a value"],
    [["put", "a", "/b", "--replicas", "none"], "--replicas wants a whole number from 1 to 16"],
    [["put", "a", "/b", "--replicas", "0"], "--replicas wants a whole number from 1 to 16"],
    [["put", "a", "/b", "--replicas", "17"], "--replicas wants a whole number from 1 to 16"],
    [["up", "--chunkservers", "17"], "--chunkservers wants a whole number from 1 to 16"],
    [["--master", "a", "ls"], "unknown flag --master before the verb (did you mean master?)"],
    [["ls", "--secret-file", "none"], "cannot read the secret in none: there is no such file (ConfigInvalid)"],
    [["put", "a", "/b", "--chunk-size", "64XB"], "client.upload_chunk_size of --chunk-size"],
    [["get", "/a", "-", "--offset", "-1"], "--offset wants a size"],
    [["ls", "--location", "here"], "--location wants two numbers"],
    [["ls", "--timeout", "soon"], "client.timeout_seconds of --timeout"],
    [["ls", "--master", "a:b:c"], "is not HOST:PORT"],
    [["master"], "--data-dir is missing"],
    [["chunk"], "--data-dir is missing"],
    [["trash", "list"], "unknown action list"],
    [["trash", "ls", "--older-than", "7d"], "--older-than is for: gfs trash purge"],
    [["scrub", "status", "--rate", "20MB"], "--rate is for: gfs scrub set"],
    [["scrub", "stop", "1", "--wait"], "--wait is for: gfs scrub PATH"],
    [["balance", "stop", "--rate", "1MB"], "--rate is for: gfs balance start"],
    [["scrub", "set", "--days", "abc"], '--days wants a whole number of at least 0 (0: never), or default, not "abc"'],
    [["scrub", "set", "--days="], "--days wants a value: --days N"],
    [["balance", "start", "--threshold", "abc"], '--threshold wants a whole percentage like 10%, not "abc"'],
    [["balance", "start", "--rate", "0"], "--rate wants bytes per second like 50MB, or none for no limit"],
    [["events", "--limit", "0x10"], '--limit wants a whole number of at least 0, not "0x10"'],
    [
      ["events", "--kind", "volum.dead"],
      'no kind of event begins with "volum.dead" (did you mean volume.dead?); known: backup., ',
    ],
    [["events", "--kind", "volumes"], "(did you mean volume.?)"],
    [["events", "--kind", "volume.", "--kind", "foo"], 'no kind of event begins with "foo"; known: backup., '],
    [["locate", "/a", "--offset", "far"], "--offset wants a size like 64MB"],
    [["repair", "status", "--reset"], "--reset is for: gfs repair limits"],
    [["config", "show", "master.prot"], "did you mean master.port?"],
    [["completion", "tcsh"], "unknown shell tcsh"],
    [["status", "--log-level", "loud"], "--log-level is one of"],
  ])("gfs %j", async (args, text) => {
    const result = await gfs(args);
    expect(result.stderr).toContain(text);
    expect(result.code).toBe(2);
    expect(result.text).toBe("");
  });

  test("an unknown key in the configuration file is named with its file", async () => {
    const directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
    try {
      writeFileSync(join(directory, "gfs.toml"), "[master]\nprot = 1\n");
      const found = await gfs(["status"], { cwd: directory });
      expect(found.stderr).toContain("gfs.toml: unknown key prot in [master] (did you mean port?)");
      expect(found.code).toBe(2);
      writeFileSync(join(directory, "bad.toml"), "[master\n");
      const bad = await gfs(["status", "--config", "bad.toml"], { cwd: directory });
      expect(bad.stderr).toContain("bad.toml: it is not valid TOML");
      expect(bad.code).toBe(2);
      const none = await gfs(["status", "--config", "none.toml"], { cwd: directory });
      expect(none.code).toBe(2);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test("a variable is named as what it is", async () => {
    for (const [name, text] of [
      ["GFS_LOG_LEVEL", "GFS_LOG_LEVEL is one of debug, info, warn, error"],
      ["GFS_LOG_FORMAT", "GFS_LOG_FORMAT is one of text, json"],
      ["GFS_MASTER", "Cannot use GFS_MASTER"],
      ["GFS_MASTR", "unknown setting GFS_MASTR (did you mean GFS_MASTER?)"],
    ] as const) {
      const result = await gfs(["ls"], { env: { [name]: "what ever" } });
      expect(result.stderr.toLowerCase()).toContain(text.toLowerCase());
      expect(result.code).toBe(2);
    }
  });

  test("an argument that is not UTF-8 is refused, not mangled", async () => {
    const child = Bun.spawn(["bash", "-c", String.raw`"$0" ls $'/\xff\xfe'`, gfsPath], {
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await new Response(child.stderr).text()).toContain("not valid UTF-8");
    expect(await child.exited).toBe(2);
  });
});

describe("help", () => {
  test("gfs alone shows every verb and ends with 2, gfs --help with 0", async () => {
    const [none, help] = await Promise.all([gfs([]), gfs(["--help"])]);
    expect(none.code).toBe(2);
    expect(help.code).toBe(0);
    for (const verb of ["up", "master", "chunk", "put", "get", "append", "ls", "status", "fsck"]) {
      expect(help.text).toMatch(new RegExp(`^  ${verb} `, "m"));
    }
    expect(help.text).not.toContain("checkpoint-master");
    expect(help.text).not.toMatch(/:\n\n/);
  });

  test("each verb's page has its usage, an example and its flags", async () => {
    const root = await gfs(["--help"]);
    const verbs = [...root.text.matchAll(/^ {2}([a-z]+) {2,}/gm)]
      .map((match) => match[1] ?? "")
      .filter((verb) => verb !== "gfs");
    expect(verbs.length).toBeGreaterThan(15);
    const pages = await Promise.all(verbs.map((verb) => gfs([verb, "--help"])));
    for (const [i, page] of pages.entries()) {
      expect(page.code).toBe(0);
      expect(page.text).toStartWith(`Usage: gfs ${verbs[i]}`);
      expect(page.text).toContain("Examples:\n");
      expect(page.text).toContain("Flags:\n");
    }
  });
});

describe("this program", () => {
  test("version prints itself, and as JSON", async () => {
    expect((await gfs(["version"])).text).toMatch(/^gfs \d+\.\d+\.\d+ \(protocol 1, Bun /);
    expect(JSON.parse((await gfs(["version", "--json"])).text)).toMatchObject({ protocol: { min: 1, max: 1 } });
    expect((await gfs(["--version"])).code).toBe(0);
  });

  test("config show tells each value and where it came from", async () => {
    const result = await gfs(["config", "show", "--master", "flag:1"], { env: { GFS_CLIENT_ID: "me" } });
    expect(result.text).toMatch(/^master\.host +flag +flag --master /m);
    expect(result.text).toMatch(/^client\.id +me +environment GFS_CLIENT_ID /m);
    expect(result.text).toMatch(/^master\.chunk_size +64000000 bytes +default /m);
  });
});

describe("no master there", () => {
  test.each([
    [["ls", "--master", "127.0.0.1:1"], {}, "flag --master"],
    [["put", gfsPath, "/x"], { GFS_MASTER: "127.0.0.1:1" }, "environment GFS_MASTER"],
  ])("gfs %j ends with 7 within its time-out, naming the address and where it came from", async (args, env, origin) => {
    const result = await gfs([...args, "--timeout", "1"], { env });
    expect(result.code).toBe(7);
    expect(result.stderr).toContain("127.0.0.1:1");
    expect(result.stderr).toContain(origin);
    expect(result.stderr.match(/127\.0\.0\.1:1/g)).toHaveLength(1);
    expect(result.ms).toBeLessThan(20_000);
  });
});
