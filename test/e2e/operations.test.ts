/** What an operator and a script see: ready, health, logs, JSON, quiet, progress, a clean end. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../tools/eventually.ts";
import { cleanEnvironment, fieldsOf, gfs, gfsPath, ServerProcess, TestCluster } from "../tools/processes.ts";

const debug = ["--log-level", "debug"];
let cluster: TestCluster;
let directory: string;
let file: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  file = join(directory, "file");
  writeFileSync(file, new Uint8Array(3_000_000));
  cluster = await TestCluster.start({
    env: { GFS_MASTER_CHUNK_SIZE: "1MiB" },
    masterArgs: debug,
    chunkArgs: () => debug,
  });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** By a shell, with `$G` the program and `$M` the master. */
async function shell(line: string) {
  const child = Bun.spawn(["bash", "-c", line], {
    env: { ...cleanEnvironment(), G: gfsPath, M: cluster.address },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, text, stderr };
}

describe("output", () => {
  test("--json prints one JSON value for every verb, whether it works or fails, and nothing else", async () => {
    const calls: [number, ...string[]][] = [
      [0, "put", file, "/json/file"],
      [4, "put", file, "/json/file"],
      [0, "get", "/json/file", join(directory, "out")],
      [0, "append", "/json/log", file],
      [0, "stat", "/json/file"],
      [3, "ls", "/none"],
      [0, "mkdir", "/made"],
      [0, "mv", "/made", "/moved"],
      [0, "rm", "-r", "/moved"],
      [0, "trash", "ls"],
      [0, "trash", "restore", "/moved"],
      [0, "setrep", "2", "/json/file"],
      [0, "setrep", "2", "/moved"],
      [3, "setrep", "2", "/none"],
      [0, "trash", "retention", "/moved", "1d"],
      [3, "rm", "/none"],
      [0, "du", "/json"],
      [0, "df"],
      [0, "status"],
      [0, "fsck"],
      [0, "drain"],
      [3, "drain", "none"],
      [0, "balance"],
      [0, "trash", "purge", "--all"],
      [0, "config", "show"],
      [0, "master", "confirm"],
      [0, "backup", join(directory, "backup")],
      [0, "backup", "--verify", join(directory, "backup"), "--quiet"],
      [2, "stat", "--nope"],
    ];
    for (const [code, ...args] of calls) {
      const result = await cluster.run([...args, "--json"]);
      expect([args, result.code]).toEqual([args, code]);
      expect(result.text.trimEnd().split("\n")).toHaveLength(1);
      expect("error" in fieldsOf(JSON.parse(result.text))).toBe(code !== 0);
      if (code === 0) expect(result.stderr).toBe("");
    }
  });

  test("--quiet says nothing of what works", async () => {
    for (const args of [
      ["put", file, "/quiet/file"],
      ["get", "/quiet/file", join(directory, "quiet")],
      ["append", "/quiet/log", file],
    ]) {
      const result = await cluster.run([...args, "--quiet"]);
      expect([result.code, result.text, result.stderr]).toEqual([0, "", ""]);
    }
  });

  test("progress is shown on a terminal, and there alone", async () => {
    if (Bun.which("script") === null) return; // no terminal to be had here
    const put = `$G put ${file} /progress/PATH --master $M`;
    const terminal = await shell(`script -qec '${put.replace("PATH", "terminal")}' /dev/null`);
    expect(terminal.code).toBe(0);
    expect(terminal.text).toContain("100");
    const piped = await shell(put.replace("PATH", "pipe"));
    expect([piped.code, piped.stderr]).toEqual([0, ""]);
    expect(piped.text.trimEnd().split("\n")).toHaveLength(1);
    // oxlint-disable-next-line no-control-regex -- what moves a cursor
    expect(piped.text).not.toMatch(/[\r\u001b]/);
  });

  test.each([
    ["cat /output > /dev/full", 6, "standard output: the local disk is full (NoSpace)"],
    ["ls / --json > /dev/full", 6, "standard output: the local disk is full (NoSpace)"],
    ["cat /output | head -c 1 > /dev/null", 0, ""],
    ["put - /directory < /", 1, "standard input"],
  ])("gfs %s", async (line, code, text) => {
    await cluster.run(["put", file, "/output", "--overwrite"]);
    const [verb = "", ...rest] = line.split(" ");
    const result = await shell(`set -o pipefail; $G ${verb} --master $M ${rest.join(" ")}`);
    expect(result.stderr).toContain(text);
    expect(result.code).toBe(code);
  });
});

/** Resolves when the process has the file open. @throws where the process ends before */
async function opened(pid: number, path: string): Promise<void> {
  const folder = `/proc/${pid}/fd`;
  const isIt = (descriptor: string): boolean => {
    try {
      return readlinkSync(join(folder, descriptor)) === path;
    } catch {
      return false; // closed meanwhile
    }
  };
  while (!readdirSync(folder).some(isIt)) await Bun.sleep(1);
}

describe("a source", () => {
  test("that shrinks, grows or changes while it is read is refused, and nothing of it is visible", async () => {
    const large = join(directory, "large");
    for (const [how, change] of [
      ["shrank", () => truncateSync(large, 1_000)],
      ["changed", () => truncateSync(large, 150_000_001)],
    ] as const) {
      writeFileSync(large, new Uint8Array(150_000_000));
      let changed: Promise<void> | undefined;
      const result = await cluster.run(["put", large, "/changes"], {
        onSpawn: ({ pid }) => {
          changed = opened(pid, large).then(change);
        },
      });
      await changed;
      // What is cut off after it was read, or not reached yet, is found at the end.
      expect(result.stderr).toMatch(new RegExp(`it (${how}|changed) while it was read \\(SourceChanged\\)`));
      expect(result.code).toBe(1);
      expect((await cluster.run(["ls", "/changes"])).code).toBe(3);
    }
  }, 120_000);

  test("without a size of its own is not put as an empty file", async () => {
    const result = await cluster.run(["put", "/proc/self/status", "/proc"]);
    expect(result.stderr).toContain("pipe it in as -");
    expect(result.code).toBe(1);
  });

  test("that ends because its producer was killed is what it wrote: a pipe tells no more, the shell's pipefail does", async () => {
    const result = await shell(`set -o pipefail; (echo whole; kill -9 $BASHPID) | $G put - /broken --master $M`);
    expect(result.code).toBe(137);
    expect((await cluster.run(["cat", "/broken"])).text).toBe("whole\n");
  });
});

describe("servers", () => {
  test("tell their health on the control port, to anybody", async () => {
    const master = await fetch(`http://${cluster.address}/healthz`);
    expect([master.status, await master.json()]).toMatchObject([200, { ok: true, role: "master", epoch: 1 }]);
    for (const server of cluster.chunkservers) {
      const answer = await fetch(`http://${server.ready["control"]}/healthz`);
      expect([answer.status, await answer.json()]).toMatchObject([200, { ok: true, role: "chunkserver" }]);
    }
  });

  test("log each step of a mutation at debug level, with chunk, version and id", async () => {
    await cluster.run(["put", file, "/steps/put"]);
    for (let i = 0; i < 2; i++) await cluster.run(["append", "/steps/log", "-"], { stdin: new Uint8Array(100) });
    await cluster.run(["rm", "--skip-trash", "/steps/log"]);
    const chunkservers = (): string => cluster.chunkservers.map(({ stderr }) => stderr).join("");
    const master = (): string => cluster.master.stderr;
    for (const step of ["START", "PREPARE", "COMMIT", "FENCE", "SEAL"]) {
      const line = new RegExp(`debug mutation\\.${step} .*chunk=\\d+ version=\\d+`);
      await eventually(`a chunkserver logs ${step}`, () => line.test(chunkservers()));
      await eventually(`the master logs ${step}`, () => line.test(master()));
    }
    await eventually("ROLLBACK", () => /debug mutation\.ROLLBACK .*chunk=\d+ version=\d+/.test(master()));
    await eventually("an id", () => /debug mutation\.START .*id=\d+\/\d+/.test(chunkservers()));
  });

  test("end with 0 on SIGTERM and SIGINT, and gfs up is a cluster that keeps what it has", async () => {
    const args = ["up", "--data-dir", join(directory, "up"), "--chunkservers", "2", "--listen", "127.0.0.1:0"];
    const first = await ServerProcess.start(args);
    const put = await gfs(["put", file, "/kept", "--master", first.ready["control"] ?? ""]);
    expect([put.code, put.stderr]).toEqual([0, ""]);
    expect(await first.stop()).toBe(0);
    const second = await ServerProcess.start(args);
    const got = await gfs(["get", "/kept", "-", "--master", second.ready["control"] ?? ""]);
    expect([got.code, got.stdout.length]).toEqual([0, 3_000_000]);
    second.signal("SIGINT");
    expect(await second.exited).toBe(0);
  }, 120_000);

  test("three chunkservers of one machine start without being told ports, at the usual ones", async () => {
    const started: ServerProcess[] = [];
    try {
      for (const i of [7, 8, 9]) {
        const args = ["chunk", "--master", cluster.address, "--data-dir", join(directory, `chunk-${i}`)];
        started.push(await ServerProcess.start(args));
      }
      const portOf = (address = ""): number => Number(address.slice(address.lastIndexOf(":") + 1));
      const ports = started.map(({ ready }) => portOf(ready["control"]));
      expect(started.map(({ ready }) => portOf(ready["data"]))).toEqual(ports.map((port) => port + 1_000));
      expect([...new Set(ports)].toSorted((a, b) => a - b)).toEqual(ports);
      expect(ports[0]).toBeGreaterThanOrEqual(4371);
      expect(ports[2]).toBeLessThan(4471);
      const second = await gfs(["chunk", "--master", cluster.address, "--data-dir", join(directory, "chunk-10")], {
        env: { GFS_CHUNK_SERVER_BASE_PORT: String(ports[0]) },
      });
      expect(second.stderr).toContain("it is in use by another process (AddressInUse)");
      expect(second.code).toBe(1);
    } finally {
      await Promise.all(started.map((server) => server.stop()));
    }
  }, 120_000);

  test("that nobody has heard of since the master started are not called well", async () => {
    await using other = await TestCluster.start({ chunkservers: 2, env: { GFS_MASTER_REPLICATION_FACTOR: "2" } });
    expect((await other.run(["put", file, "/file"])).code).toBe(0);
    await Promise.all([other.master.kill(), ...other.chunkservers.map((server) => server.kill())]);
    await other.restartMaster();
    const checked = await other.run(["fsck"]);
    expect(checked.text).toContain("1 pending");
    expect(checked.code).toBe(9);
    expect((await other.run(["status"])).text).toStartWith("starting: ");
  }, 120_000);
});
