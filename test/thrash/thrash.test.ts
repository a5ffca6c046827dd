/** A short run of `bun run thrash`; that a run can fail; and that one which is interrupted leaves nothing behind. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually } from "../tools/eventually.ts";
import { cleanEnvironment } from "../tools/processes.ts";

const program = resolve(import.meta.dirname, "../tools/thrash.ts");
const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function thrash(...args: readonly string[]) {
  return Bun.spawn([process.execPath, program, ...args], {
    env: cleanEnvironment({ TMPDIR: folder }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function ended(child: ReturnType<typeof thrash>): Promise<{ readonly code: number; readonly text: string }> {
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, text: `${stdout}${stderr}` };
}

/** Processes and mounts that have to do with the folder. */
function leftovers(): string[] {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const found = processes.flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return command.includes(folder) ? [command] : [];
    } catch {
      return []; // it has just ended
    }
  });
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  return [...found, ...mounts.filter((line) => line.includes(folder))];
}

test("what was promised is kept while processes are killed, stopped, cut off and short of space", async () => {
  const { code, text } = await ended(thrash("--seed", "1", "--minutes", "1", "--round-seconds", "25"));
  expect(text).toContain("faults made");
  expect([code, text.includes("BROKEN"), text]).toEqual([0, false, text]);
  expect(/^acknowledged +(\d+)/m.exec(text)?.[1]?.length).toBeGreaterThanOrEqual(2);
  expect([leftovers(), readdirSync(folder)]).toEqual([[], []]);
}, 400_000);

test("an acknowledgement that nobody gave fails a run, which keeps its logs and says how to repeat it", async () => {
  const { code, text } = await ended(
    thrash("--loopback", "--canary", "--seed", "3", "--round-seconds", "5", "--only", "kill client,cut connections"),
  );
  expect(text).toContain("BROKEN P1: acknowledged and not there: #");
  expect(text).toContain("again: bun run thrash --minutes 1 --seed 3");
  const [, kept = ""] = /^logs and data: (.*)$/m.exec(text) ?? [];
  expect(readdirSync(join(kept, "logs"))).toContain("master.log");
  expect(code).toBe(1);
  rmSync(kept, { recursive: true });
  expect([leftovers(), readdirSync(folder)]).toEqual([[], []]);
}, 300_000);

test.each([[], ["--loopback"]])(
  "an interrupted run leaves no process, mount or file (%j)",
  async (...mode) => {
    const child = thrash("--seed", "5", "--minutes", "5", ...mode);
    await eventually("it has a folder", () => readdirSync(folder).length === 1);
    await Bun.sleep(6_000);
    child.kill("SIGINT");
    const { code } = await ended(child);
    expect(code).toBe(130);
    expect([leftovers(), readdirSync(folder)]).toEqual([[], []]);
  },
  120_000,
);
