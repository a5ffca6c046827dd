/** One line of JSON a run: what it noticed, and how much processor it took. Arguments: after how many that noticed to end, then runs as `scenario:seed`. */
import { violationsOf } from "../stories/stories.ts";
import { parseRun } from "./killers.ts";

const [wanted, ...runs] = process.argv.slice(2);
let kills = 0;
for (const run of runs.map(parseRun)) {
  const before = process.cpuUsage();
  const [noticed] = violationsOf(run.scenario, run.seed);
  const { user, system } = process.cpuUsage(before);
  const cpuMs = Math.round((user + system) / 1_000);
  console.log(JSON.stringify({ ...run, cpuMs, noticed: noticed && `${noticed.promise}: ${noticed.what}` }));
  if (noticed !== undefined && ++kills >= Number(wanted)) break;
}
