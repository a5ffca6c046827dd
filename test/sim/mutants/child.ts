/** One line of JSON a run: what a mutant's simulations noticed. Arguments: runs as `scenario:seed`. Ends at the first that noticed, if `--first` comes first. */
import { runScenario } from "../scenarios.ts";

const [flag, ...rest] = process.argv.slice(2);
const first = flag === "--first";
for (const text of first ? rest : process.argv.slice(2)) {
  const [scenario = "standard", seed = "1"] = text.split(":");
  const { violations } = runScenario(scenario, Number(seed));
  const noticed = violations[0];
  console.log(
    JSON.stringify({ scenario, seed: Number(seed), noticed: noticed && `${noticed.promise}: ${noticed.what}` }),
  );
  if (first && noticed !== undefined) break;
}
