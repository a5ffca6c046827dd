/** `bun run fuzz [--minutes M] [--seed S] [--target NAME [--input N]]`: what takes bytes or texts from others, with bad ones. */
import { parseArgs } from "node:util";
import { fuzzTarget } from "../fuzz/run-target.ts";
import { fuzzTargets } from "../fuzz/targets.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    seed: { type: "string" },
    target: { type: "string" },
    /** Only this input of the target. */
    input: { type: "string" },
  },
});
const seed = Number(values.seed ?? Math.floor(Date.now() / 1_000) % 1_000_000_000);
const chosen = fuzzTargets.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0)
  throw new Error(`no target ${values.target}; there are ${fuzzTargets.map(({ name }) => name).join(", ")}`);
const msMax = (Number(values.minutes ?? 1) * 60_000) / chosen.length;
const one = values.input === undefined ? {} : { firstInput: Number(values.input) };

let failed = 0;
for (const target of chosen) {
  const result = fuzzTarget(target, { seed, inputsMax: values.input === undefined ? Infinity : 1, msMax, ...one });
  failed += result.failures.length;
  const { name, inputs, seconds, longestMs, grownBytes } = result;
  console.log(
    `${name.padEnd(24)} ${String(inputs).padStart(9)} inputs in ${seconds.toFixed(1)} s, the longest ${longestMs.toFixed(1)} ms, ${Math.round(grownBytes / 1_048_576)} MiB more, ${result.failures.length} failed`,
  );
  for (const failure of result.failures) console.log(failure);
}
console.log(`seed ${seed}: ${failed === 0 ? "nothing failed" : `${failed} failed`}`);
process.exit(failed === 0 ? 0 : 1);
