/** `bun run sim:mutants [--only NAME] [--seeds N]`: takes one rule out at a time, and shows how many of N seeds notice. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { mutants } from "../sim/mutants/list.ts";
import type { Mutant } from "../sim/mutants/mutant.ts";
import { runMutant } from "../sim/mutants/run-mutant.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seeds: { type: "string" },
    from: { type: "string" },
    scenario: { type: "string" },
    /** Until one notices. */
    first: { type: "boolean" },
  },
});
const count = Number(values.seeds ?? 20);
const from = Number(values.from ?? 1);
const chosen = mutants.filter(({ name }) => values.only === undefined || name.includes(values.only));
const queue = [...chosen];
const missed: string[] = [];

async function work(): Promise<void> {
  for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) await show(mutant);
}

async function show(mutant: Mutant): Promise<void> {
  const fresh = Array.from({ length: count }, (_, i) => ({ scenario: values.scenario ?? "standard", seed: from + i }));
  const until = values.first === true ? "first" : "all";
  const runs = await runMutant(mutant, [...mutant.killedBy, ...fresh], until).catch((error: unknown) => {
    console.log(`${mutant.name}: ${String(error).split("\n").slice(0, 8).join("\n")}`);
    return [];
  });
  const kills = runs.filter(({ noticed }) => noticed !== undefined);
  const inFresh = kills.filter(({ scenario, seed }) =>
    fresh.some((run) => run.scenario === scenario && run.seed === seed),
  );
  if (kills.length === 0) missed.push(mutant.name);
  console.log(
    `${mutant.name}: ${inFresh.length} of ${count} seeds${kills.length > inFresh.length ? `, and ${kills.length - inFresh.length} known` : ""} — ${mutant.rule}`,
  );
  for (const { scenario, seed, noticed } of kills.slice(0, 3))
    console.log(`  ${scenario}:${seed} ${noticed?.split("\n")[0]?.slice(0, 200) ?? ""}`);
}

await Promise.all(Array.from({ length: Math.min(availableParallelism(), queue.length) }, work));
console.log(missed.length === 0 ? `all ${chosen.length} mutants were noticed` : `not noticed: ${missed.join(", ")}`);
process.exit(missed.length === 0 ? 0 : 1);
