/**
 * `bun run sim:mutants`: takes one rule out at a time, and shows how many of N seeds notice, and by which promise; the hardest first.
 * `--update` finds for each mutant the runs that notice soonest, and writes them down for the test.
 */
import { availableParallelism } from "node:os";
import { CleanRuns, hunt } from "../sim/mutants/hunt.ts";
import { candidates, formatRun, readKillers, writeKillers } from "../sim/mutants/killers.ts";
import { mutants } from "../sim/mutants/list.ts";
import type { Mutant } from "../sim/mutants/mutant.ts";
import { type MutantRun, MutantRunner } from "../sim/mutants/run-mutant.ts";
import { scenarioNames } from "../sim/scenarios.ts";
import { toolFlags } from "./tool-flags.ts";

const flags = toolFlags({
  command: "bun run sim:mutants",
  about: "Takes one rule out at a time, and shows how many seeds notice, and by which promise; the hardest first.",
  flags: {
    only: { kind: "text", about: "mutants with this in their name; several with commas" },
    seeds: { kind: "whole", about: "of each scenario of a mutant; 20 where left out, 40 of an update" },
    scenario: { kind: "text", about: "instead of the mutant's own" },
    jobs: { kind: "whole", about: "runs at a time; one for each processor where left out" },
    update: { kind: "on", about: "finds the runs that notice soonest, and writes them down for the test" },
    missing: { kind: "on", about: "of an update: only mutants that no known run notices" },
  },
  examples: ["bun run sim:mutants --only seal --seeds 50", "bun run sim:mutants --update --missing"],
});
const scenario = flags.text("scenario");
if (scenario !== undefined && !scenarioNames.includes(scenario))
  flags.refuse(`no scenario is called ${scenario}; known: ${scenarioNames.join(", ")}`);
const known = readKillers();
const names = flags.text("only")?.split(",");
const chosen = mutants.filter(
  ({ name }) =>
    (names === undefined || names.some((part) => name.includes(part))) && (!flags.on("missing") || !known.has(name)),
);
if (chosen.length === 0) flags.refuse("no mutant has such a name, or none is missing");
const runner = new MutantRunner(flags.number("jobs") ?? availableParallelism());
/** Mutants that could not be tried. */
const failed: string[] = [];
const missed = flags.on("update") ? await update() : await show();
if (missed.length > 0) console.log(`not noticed: ${missed.join(", ")}`);
if (failed.length > 0) console.log(`not tried: ${failed.join(", ")}`);
const allNoticed = missed.length + failed.length === 0;
if (allNoticed) console.log(`all ${chosen.length} mutants were noticed`);
process.exit(allNoticed ? 0 : 1);

async function update(): Promise<string[]> {
  const clean = new CleanRuns(runner);
  const seeds = flags.number("seeds") ?? 40;
  const unseen: string[] = [];
  await each(async (mutant) => {
    const found = await hunt(withScenario(mutant), { known: known.get(mutant.name) ?? [], seeds, clean, runner });
    for (const text of found.dirty) console.log(`WITHOUT ANY MUTANT ${text}`);
    if (found.killers.length === 0) unseen.push(mutant.name);
    else known.set(mutant.name, found.killers);
    writeKillers(known);
    console.log(`${mutant.name}: ${found.killers.map(describe).join(", ") || `nothing in ${found.tried} runs`}`);
  });
  return unseen;
}

function describe(run: MutantRun): string {
  return `${formatRun(run)} (${(run.cpuMs / 1_000).toFixed(1)} s, ${(run.noticed ?? "").slice(0, 60)})`;
}

async function show(): Promise<string[]> {
  const seeds = flags.number("seeds") ?? 20;
  const results: { readonly mutant: Mutant; readonly runs: readonly MutantRun[]; readonly kills: number }[] = [];
  await each(async (mutant) => {
    const { scenarios } = withScenario(mutant);
    const tries = candidates(scenarios, { from: 1, count: seeds });
    const runs = await runner.run(mutant, tries, tries.length);
    const kills = runs.filter(({ noticed }) => noticed !== undefined).length;
    results.push({ mutant, runs, kills });
    console.log(`${mutant.name}: ${kills} of ${runs.length}`);
  });
  console.log();
  const share = ({ kills, runs }: (typeof results)[number]): number => kills / runs.length;
  for (const { mutant, runs, kills } of results.toSorted((a, b) => share(a) - share(b))) {
    const promises = new Set(runs.flatMap(({ noticed }) => noticed?.split(":", 1) ?? []));
    const by = kills === 0 ? "" : ` by ${[...promises].sort().join(", ")}`;
    console.log(`${mutant.name}: ${kills} of ${runs.length} (${mutant.scenarios.join(", ")})${by} — ${mutant.rule}`);
    const first = runs.find(({ noticed }) => noticed !== undefined);
    if (first !== undefined) console.log(`  ${formatRun(first)} ${first.noticed?.split("\n")[0]?.slice(0, 200) ?? ""}`);
  }
  return results.filter(({ kills }) => kills === 0).map(({ mutant }) => mutant.name);
}

function withScenario(mutant: Mutant): Mutant {
  return scenario === undefined ? mutant : { ...mutant, scenarios: [scenario] };
}

/** The runner lets as many run at a time as may be. */
async function each(work: (mutant: Mutant) => Promise<void>): Promise<void> {
  await Promise.all(
    chosen.map((mutant) =>
      work(mutant).catch((error: unknown) => {
        console.log(`${mutant.name}: ${String(error).split("\n").slice(0, 8).join("\n")}`);
        failed.push(mutant.name);
      }),
    ),
  );
}
