import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeHostControl } from "../../../src/host/control.ts";
import { eventually } from "../../tools/eventually.ts";

const program = join(import.meta.dir, "process-child.ts");

function start(...args: readonly string[]) {
  return Bun.spawn([process.execPath, program, ...args], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
}

/** False for a zombie too. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("a host process", () => {
  test("is not kept alive by a timer of the clock", async () => {
    const child = start("timer");
    expect(await child.exited).toBe(0);
  });

  test("is kept alive by a call in flight, and not by an idle channel", async () => {
    await using server = await makeHostControl().serve("127.0.0.1:0", async () => {
      await Bun.sleep(300);
      return new Response("late");
    });
    const child = start("call", server.address);
    expect(await child.stdout.text()).toBe("200");
    expect(await child.exited).toBe(0);
  });

  test("copies standard input to standard output, whatever the size", async () => {
    const child = start("copy");
    const bytes = new Uint8Array(5_000_001).map((_, i) => i * 7 + (i >> 8));
    const written = child.stdin.write(bytes);
    const ended = child.stdin.end();
    expect(Buffer.compare(await child.stdout.bytes(), bytes)).toBe(0);
    await written;
    await ended;
    expect(await child.exited).toBe(0);
  });

  test("pipes pieces, whether they have buffers of their own or share them", async () => {
    const bytes = await start("pipe", "16").stdout.bytes();
    const expected = new Uint8Array(16 << 20);
    for (let i = 0; i < 16; i++) expected.fill(i, i << 20);
    expect(Buffer.compare(bytes, expected)).toBe(0);
  });

  test("learns by a typed error that nobody reads its output", async () => {
    const reader = start("flood", "100");
    const stream = reader.stdout.getReader();
    await stream.read();
    await stream.cancel();
    expect(await reader.exited).toBe(42);
  });

  test("gets SIGTERM and SIGINT as calls", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const child = start("wait-for-signal");
      const reader = child.stdout.getReader();
      const { value } = await reader.read();
      expect(new TextDecoder().decode(value)).toBe("ready\n");
      child.kill(signal);
      expect(new TextDecoder().decode((await reader.read()).value)).toBe(`${signal}\n`);
      expect(await child.exited).toBe(0);
    }
  });

  test("writes its last events although it ends at once", async () => {
    const child = start("events");
    expect((await child.stderr.text()).trimEnd().split("\n").length).toBe(3);
  });

  // reason: only Linux tells the limit in a file.
  test.if(process.platform === "linux")("knows its limit of open files", async () => {
    const child = start("open-files");
    expect(Number(await child.stdout.text())).toBeGreaterThan(0);
  });

  // reason: looks into /proc.
  test.if(process.platform === "linux")("takes its children with it, also when it is killed", async () => {
    const directory = await mkdtemp(join(tmpdir(), "gfs-process-"));
    const file = join(directory, "pid");
    const parent = start("parent", file);
    await eventually("the parent has a child", () => existsSync(file) && readFileSync(file, "utf8") !== "");
    const pid = Number(readFileSync(file, "utf8"));
    expect(isRunning(pid)).toBe(true);
    parent.kill("SIGKILL");
    await parent.exited;
    await eventually("the child is gone", () => !isRunning(pid));
    await rm(directory, { recursive: true });
  });
});
