/** Runs of the simulation in processes of their own, with a mutant planted or without any. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { quickEnvironment } from "../quick-start.ts";
import { formatRun, type Run } from "./killers.ts";
import type { Mutant } from "./mutant.ts";
import { canSwitch } from "./switched.ts";

const Line = z.object({ scenario: z.string(), seed: z.number(), cpuMs: z.number(), noticed: z.string().optional() });
/** `noticed`: the promise that was seen to be broken first, and how. */
export type MutantRun = z.infer<typeof Line>;

/** Where a mutant makes one run endless in a way that the simulation can't see (endless.ts): it is ended, and has noticed. Far more than a run takes. */
const runMsMax = 240_000;
const root = resolve(import.meta.dir, "../../..");

interface Job {
  /** Undefined: as it was planted. */
  readonly chosen?: string;
  readonly runs: readonly Run[];
  readonly kills: number;
}

/** A process that makes runs, one job after the other. */
class RunProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #lines: AsyncGenerator<string, void>;
  readonly #allErrors: Promise<void>;
  #errors = "";

  /** `mutant`: a name, or `*`: plant.ts. */
  constructor(mutant: string | undefined) {
    const plant = mutant === undefined ? [] : ["--preload", `${import.meta.dir}/plant.ts`];
    this.#child = Bun.spawn({
      cmd: [process.execPath, ...plant, `${import.meta.dir}/child.ts`],
      env: { ...quickEnvironment(), GFS_SIM_MUTANT: mutant },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#lines = linesOf(this.#child.stdout);
    this.#allErrors = this.#keepErrors();
  }

  /** In the order given, until `kills` of them have noticed. @throws Error where the process did not end well, or the mutant is not planted */
  async make(mutant: Mutant | undefined, { chosen, runs, kills }: Job): Promise<MutantRun[]> {
    const what = mutant === undefined ? "Without a mutant" : `Mutant ${mutant.name}`;
    await this.#child.stdin.write(`${JSON.stringify({ chosen, runs: runs.map(formatRun), kills })}\n`);
    await this.#child.stdin.flush();
    const made: MutantRun[] = [];
    for (let line = await this.#nextLine(); line !== ""; line = await this.#nextLine()) {
      if (line !== undefined) {
        made.push(Line.parse(JSON.parse(line)));
        continue;
      }
      const [exitCode] = await Promise.all([this.#child.exited, this.#allErrors]);
      const endless = this.#child.signalCode === "SIGKILL" ? runs[made.length] : undefined;
      if (endless === undefined)
        throw new Error(`${what}: exit code ${exitCode}, ${this.#child.signalCode ?? "no signal"}\n${this.#errors}`);
      made.push({ ...endless, cpuMs: runMsMax, noticed: `P6: the run had not ended after ${runMsMax} ms` });
      break;
    }
    for (const { file } of mutant?.edits ?? [])
      if (!this.#errors.includes(`planted ${mutant?.name} in ${file}\n`))
        throw new Error(`${what} was not planted in ${file}`);
    return made;
  }

  /** Undefined at its end, which comes where it is silent for longer than a run may take. */
  async #nextLine(): Promise<string | undefined> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), runMsMax);
    const next = await this.#lines.next();
    clearTimeout(timer);
    return next.done === true ? undefined : next.value;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.end();
    await Promise.all([this.#child.exited, this.#allErrors]);
  }

  async #keepErrors(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of this.#child.stderr) this.#errors += decoder.decode(piece, { stream: true });
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const piece of stream) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/**
 * In a process of its own, in the order given, until `kills` of them have noticed.
 *
 * `mutant` undefined: the product as it is. @throws Error where the process did not end well
 */
async function runMutant(mutant: Mutant | undefined, runs: readonly Run[], kills: number): Promise<MutantRun[]> {
  await using child = new RunProcess(mutant?.name);
  return await child.make(mutant, { runs, kills });
}

/** So many processes for many mutants, one after the other in each: those that can switch share them, for the code of a process runs quickly only after a while. */
export class MutantRunner implements AsyncDisposable {
  readonly #idle: RunProcess[] = [];
  readonly #slot: <T>(run: () => Promise<T>) => Promise<T>;

  constructor(processes: number) {
    this.#slot = atMost(processes);
  }

  /** As `runMutant`. */
  run(mutant: Mutant | undefined, runs: readonly Run[], kills: number): Promise<MutantRun[]> {
    const shared = mutant === undefined || canSwitch(mutant, (file) => readFileSync(resolve(root, file), "utf8"));
    return this.#slot(async () => {
      if (!shared) return runMutant(mutant, runs, kills);
      const child = this.#idle.pop() ?? new RunProcess("*");
      try {
        return await child.make(mutant, { ...(mutant === undefined ? {} : { chosen: mutant.name }), runs, kills });
      } finally {
        if (!child.ended) this.#idle.push(child);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#idle.map((child) => child[Symbol.asyncDispose]()));
  }
}

/** At most `max` at a time; the others wait in order. */
function atMost(max: number): <T>(run: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (run) => {
    if (running >= max) {
      const { promise, resolve: go } = Promise.withResolvers<void>();
      waiting.push(go);
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
