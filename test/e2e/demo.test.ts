import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { cleanEnvironment } from "../tools/processes.ts";

test("the demo gets every byte back, with one chunkserver killed", async () => {
  const child = Bun.spawn([process.execPath, resolve(import.meta.dirname, "../tools/demo.ts")], {
    env: cleanEnvironment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(stderr).toBe("");
  expect(await child.exited).toBe(0);
  expect(text.match(/SHA-256 [0-9a-f]{64}: the same/g)).toHaveLength(2);
  expect(text).toContain("chunk-1");
}, 120_000);
