/** Runs of the simulation in a process of its own, with a mutant planted or without any. */
import { z } from "zod";
import { quickEnvironment } from "../quick-start.ts";
import { formatRun, type Run } from "./killers.ts";
import type { Mutant } from "./mutant.ts";

const Line = z.object({ scenario: z.string(), seed: z.number(), cpuMs: z.number(), noticed: z.string().optional() });
/** `noticed`: the promise that was seen to be broken first, and how. */
export type MutantRun = z.infer<typeof Line>;

/** Where a mutant makes one run endless in a way that the simulation can't see (endless.ts): it is ended, and has noticed. Far more than a run takes. */
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
    env: { ...quickEnvironment(), GFS_SIM_MUTANT: mutant?.name },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [lines, error, exitCode] = await Promise.all([
    linesInTime(child),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const what = mutant === undefined ? "Without a mutant" : `Mutant ${mutant.name}`;
  const made = lines.map((line) => Line.parse(JSON.parse(line)));
  const endless = child.signalCode === "SIGKILL" ? runs[made.length] : undefined;
  if (exitCode !== 0 && endless === undefined)
    throw new Error(`${what}: exit code ${exitCode}, signal ${child.signalCode ?? "none"}\n${error}`);
  for (const { file } of mutant?.edits ?? [])
    if (!error.includes(`planted ${mutant?.name} in ${file}\n`)) throw new Error(`${what} was not planted in ${file}`);
  if (endless === undefined) return made;
  return [...made, { ...endless, cpuMs: runMsMax, noticed: `P6: the run had not ended after ${runMsMax} ms` }];
}

/** What it prints, until it ends or is silent for longer than a run may take. */
async function linesInTime(child: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<string[]> {
  const decoder = new TextDecoder();
  const watch = (): Timer => setTimeout(() => child.kill("SIGKILL"), runMsMax);
  let timer = watch();
  let text = "";
  for await (const piece of child.stdout) {
    clearTimeout(timer);
    timer = watch();
    text += decoder.decode(piece, { stream: true });
  }
  clearTimeout(timer);
  return text.split("\n").filter((line) => line !== "");
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
