/**
 * Jobs on standard input, a line of JSON each: runs to make, until so many have noticed, under a mutant that is chosen among those planted, or as planted. For each run a line
 * of JSON: what it noticed, and how much processor it took; then an empty line.
 */
import { z } from "zod";
import { violationsOf } from "../stories/stories.ts";
import { parseRun } from "./killers.ts";

const Job = z.object({ chosen: z.string().optional(), runs: z.array(z.string()), kills: z.number() });

for await (const line of console) {
  if (line === "") continue;
  const { chosen, runs, kills } = Job.parse(JSON.parse(line));
  globalThis.gfsMutant = chosen;
  let left = kills;
  for (const run of runs.map(parseRun)) {
    const before = process.cpuUsage();
    const [noticed] = violationsOf(run.scenario, run.seed);
    const { user, system } = process.cpuUsage(before);
    const cpuMs = Math.round((user + system) / 1_000);
    console.log(JSON.stringify({ ...run, cpuMs, noticed: noticed && `${noticed.promise}: ${noticed.what}` }));
    if (noticed !== undefined && --left === 0) break;
  }
  console.log("");
}
