/** Runs by name: the standard mix, and guided ones for rules that it rarely reaches. */
import { type RunOptions, runSeed, type SeedResult } from "./run-seed.ts";

type Scenario = (seed: number, options: RunOptions) => SeedResult;

const scenarios: Readonly<Record<string, Scenario>> = {
  standard: runSeed,
};

/** @throws Error for a name that is none */
export function runScenario(name: string, seed: number, options: RunOptions = {}): SeedResult {
  const scenario = scenarios[name];
  if (scenario === undefined)
    throw new Error(`No scenario is called ${name}; known: ${Object.keys(scenarios).join(", ")}`);
  return scenario(seed, options);
}
