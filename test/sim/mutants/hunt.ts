/** Looks for runs that notice a mutant and are clean without it. */
import { candidates, formatRun, type Run } from "./killers.ts";
import type { Mutant } from "./mutant.ts";
import type { MutantRun, MutantRunner } from "./run-mutant.ts";

/** So many killers are kept: where the source changes, most likely one of them still is one. */
const keptKillers = 3;
/** So many are found, where the runs allowed hold so many, before the quickest are chosen. */
const foundKillers = 3;

/** What runs notice without any mutant; each is made once. */
export class CleanRuns {
  readonly #noticed = new Map<string, string | undefined>();
  readonly #runner: MutantRunner;

  constructor(runner: MutantRunner) {
    this.#runner = runner;
  }

  /** By run, as text. */
  async noticed(runs: readonly Run[]): Promise<ReadonlyMap<string, string | undefined>> {
    const missing = runs.filter((run) => !this.#noticed.has(formatRun(run)));
    if (missing.length > 0)
      for (const made of await this.#runner.run(undefined, missing, missing.length))
        this.#noticed.set(formatRun(made), made.noticed);
    return this.#noticed;
  }
}

export interface Hunt {
  /** The quickest first; empty where nobody noticed. */
  readonly killers: readonly MutantRun[];
  readonly tried: number;
  /** Runs that notice something without any mutant: the product, or the harness, is wrong. */
  readonly dirty: readonly string[];
}

/** Tries what was known, then each of the mutant's scenarios with each seed up to `seeds`. */
export async function hunt(
  mutant: Mutant,
  options: {
    readonly known: readonly Run[];
    readonly seeds: number;
    readonly clean: CleanRuns;
    readonly runner: MutantRunner;
  },
): Promise<Hunt> {
  const { known, seeds, runner } = options;
  const keys = new Set(known.map(formatRun));
  const fresh = candidates(mutant.scenarios, { from: 1, count: seeds }).filter((run) => !keys.has(formatRun(run)));
  const runs = await runner.run(mutant, [...known, ...fresh], foundKillers);
  const noticed = runs.filter((run) => run.noticed !== undefined).toSorted((a, b) => a.cpuMs - b.cpuMs);
  const clean = await options.clean.noticed(noticed);
  const killers = noticed.filter((run) => clean.get(formatRun(run)) === undefined).slice(0, keptKillers);
  const dirty = noticed.map(formatRun).flatMap((run) => {
    const violation = clean.get(run);
    return violation === undefined ? [] : [`${run}: ${violation}`];
  });
  return { killers, tried: runs.length, dirty };
}
