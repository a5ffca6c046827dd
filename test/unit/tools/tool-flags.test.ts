/** What the programs of test/tools say of themselves, and of flags that are wrong: never a stack. */
import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";

async function run(tool: string, ...args: readonly string[]) {
  const path = resolve(import.meta.dirname, "../../tools", `${tool}.ts`);
  const child = Bun.spawn([process.execPath, path, ...args], { stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, stdout, stderr };
}

const tools = new Map([
  ["sim", "sim"],
  ["mutants", "sim:mutants"],
  ["fuzz", "fuzz"],
  ["thrash", "thrash"],
  ["bench", "bench"],
  ["bench-namespace", "bench:namespace"],
  ["demo", "demo"],
]);

describe("a program of test/tools", () => {
  test.each([...tools])("%s shows what it takes, and an example", async (tool, name) => {
    const { code, stdout, stderr } = await run(tool, "--help");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(new RegExp(`^Usage: bun run ${name}( |\n)`));
    expect(stdout).toContain(`Examples:\n  `);
  });

  test.each([...tools])("%s refuses a flag that it does not know, in one line", async (tool, name) => {
    const { code, stdout, stderr } = await run(tool, "--no-such-flag");
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toBe(`bun run ${name}: unknown option '--no-such-flag' (--help shows what there is)\n`);
  });

  test.each([
    ["sim", ["--seed", "x"], '--seed wants a whole number, not "x"'],
    ["sim", ["--minutes", "-1"], "option '--minutes' argument is ambiguous (--help"],
    ["sim", ["--seeds", "3"], '--seeds wants A..B, not "3"'],
    ["sim", ["--scenario", "none"], "no scenario is called none; known: standard"],
    ["sim", ["--without", "none"], "--without knows kill"],
    ["sim", ["17"], 'unexpected argument "17"'],
    ["fuzz", ["--target", "none"], "no target is called none; known: "],
    ["fuzz", ["--input"], "--input"],
    ["sim", ["--trace", "("], "--trace wants a regular expression: "],
    ["mutants", ["--only", "none of them"], "no mutant has such a name"],
    ["mutants", ["--scenario", "none"], "no scenario is called none; known: standard"],
    ["thrash", ["--minutes", "long"], '--minutes wants a number, not "long"'],
    ["thrash", ["--only", "kill master,none"], "--only knows kill chunkserver, "],
    ["demo", ["now"], 'unexpected argument "now"'],
    ["bench", ["none"], "no section is called none; known: large"],
  ] as const)("%s %j ends with 2", async (tool, args, text) => {
    const { code, stderr } = await run(tool, ...args);
    expect(code).toBe(2);
    expect(stderr).toContain(text);
    expect(stderr.trimEnd()).not.toContain("\n");
  });
});
