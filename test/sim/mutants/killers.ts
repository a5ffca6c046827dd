/**
 * Which runs are known to notice which mutant: data that `bun run sim:mutants --update` makes anew, for the source changes, and with it what a seed does.
 * Every one of them is clean without a mutant.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { mutants } from "./list.ts";

/** A run of the simulation: `standard` draws all from the seed; others are guided (scenarios.ts). */
export interface Run {
  readonly scenario: string;
  readonly seed: number;
}

/** As on the command line: `storm:17`. */
export function formatRun({ scenario, seed }: Run): string {
  return `${scenario}:${seed}`;
}

export function parseRun(text: string): Run {
  const [scenario = "standard", seed = "1"] = text.split(":");
  return { scenario, seed: Number(seed) };
}

const path = `${import.meta.dir}/killers.json`;
const Killers = z.record(z.string(), z.array(z.string()));

/** By the mutant's name; first the quickest. */
export function readKillers(): Map<string, readonly Run[]> {
  const killers = Killers.parse(JSON.parse(readFileSync(path, "utf8")));
  return new Map(Object.entries(killers).map(([name, runs]) => [name, runs.map(parseRun)]));
}

/** Of the mutants that there are, in the order of the list. */
export function writeKillers(killers: ReadonlyMap<string, readonly Run[]>): void {
  const lines = mutants.flatMap(({ name }) => {
    const runs = killers.get(name) ?? [];
    return runs.length === 0 ? [] : [`  "${name}": [${runs.map((run) => `"${formatRun(run)}"`).join(", ")}]`];
  });
  writeFileSync(path, `{\n${lines.join(",\n")}\n}\n`);
}

/** Runs that nobody has chosen: every scenario of the mutant with each seed in turn. */
export function candidates(
  scenarios: readonly string[],
  seeds: { readonly from: number; readonly count: number },
): Run[] {
  return Array.from({ length: seeds.count }, (_, i) =>
    scenarios.map((scenario) => ({ scenario, seed: seeds.from + i })),
  ).flat();
}
