import { availableParallelism } from "node:os";
import { z } from "zod";
import type { KnownKill, Mutant } from "./mutant.ts";

const Line = z.object({ scenario: z.string(), seed: z.number(), noticed: z.string().optional() });
export type MutantRun = z.infer<typeof Line>;

const free: (() => void)[] = [];
let running = 0;

/** Runs with a mutant planted, in a process of its own; as many at a time as there are processors. @throws Error where that process did not end well */
export async function runMutant(
  mutant: Mutant,
  runs: readonly KnownKill[],
  until: "first" | "all",
): Promise<MutantRun[]> {
  if (running >= availableParallelism()) {
    const { promise, resolve } = Promise.withResolvers<void>();
    free.push(resolve);
    await promise;
  }
  running++;
  try {
    return await runInChild(mutant, runs, until);
  } finally {
    running--;
    free.shift()?.();
  }
}

async function runInChild(mutant: Mutant, runs: readonly KnownKill[], until: "first" | "all"): Promise<MutantRun[]> {
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      "--preload",
      `${import.meta.dir}/plant.ts`,
      `${import.meta.dir}/child.ts`,
      ...(until === "first" ? ["--first"] : []),
      ...runs.map(({ scenario, seed }) => `${scenario}:${seed}`),
    ],
    env: { ...process.env, GFS_SIM_MUTANT: mutant.name },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, error, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  for (const { file } of mutant.edits)
    if (!error.includes(`planted ${mutant.name} in ${file}\n`))
      throw new Error(`Mutant ${mutant.name} was not planted in ${file}: ${error}`);
  if (exitCode !== 0) throw new Error(`Mutant ${mutant.name}: exit code ${exitCode}\n${error}`);
  return out
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Line.parse(JSON.parse(line)));
}
