/** Runs of the simulation in a process of its own, with a mutant planted or without any. */
import { z } from "zod";
import { formatRun, type Run } from "./killers.ts";
import type { Mutant } from "./mutant.ts";

const Line = z.object({ scenario: z.string(), seed: z.number(), cpuMs: z.number(), noticed: z.string().optional() });
/** `noticed`: the promise that was seen to be broken first, and how. */
export type MutantRun = z.infer<typeof Line>;

/** A mutant may also make a run endless. */
const runMsMax = 240_000;

/**
 * In the order given, until `kills` of them have noticed.
 *
 * `mutant` undefined: the product as it is. @throws Error where the process did not end well
 */
export async function runMutant(mutant: Mutant | undefined, runs: readonly Run[], kills: number): Promise<MutantRun[]> {
  const plant = mutant === undefined ? [] : ["--preload", `${import.meta.dir}/plant.ts`];
  const child = Bun.spawn({
    cmd: [process.execPath, ...plant, `${import.meta.dir}/child.ts`, String(kills), ...runs.map(formatRun)],
    env: { ...process.env, GFS_SIM_MUTANT: mutant?.name },
    stdout: "pipe",
    stderr: "pipe",
  });
  const watch = setTimeout(() => child.kill("SIGKILL"), runMsMax * Math.max(1, runs.length / 8));
  const [out, error, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearTimeout(watch);
  const what = mutant === undefined ? "Without a mutant" : `Mutant ${mutant.name}`;
  if (exitCode !== 0) throw new Error(`${what}: exit code ${exitCode}, signal ${child.signalCode ?? "none"}\n${error}`);
  for (const { file } of mutant?.edits ?? [])
    if (!error.includes(`planted ${mutant?.name} in ${file}\n`)) throw new Error(`${what} was not planted in ${file}`);
  return out
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Line.parse(JSON.parse(line)));
}

/** At most `max` at a time; the others wait in order. */
export function atMost(max: number): <T>(run: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (run) => {
    if (running >= max) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      await promise;
    } else running++;
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
