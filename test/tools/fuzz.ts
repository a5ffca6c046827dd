/** `bun run fuzz [--minutes M] [--seed S] [--target NAME [--input N]]`: what takes bytes or texts from others, with bad ones. */
import { fuzzTarget } from "../fuzz/run-target.ts";
import { fuzzTargets } from "../fuzz/targets.ts";
import { toolFlags } from "./tool-flags.ts";

const names = fuzzTargets.map(({ name }) => name).join(", ");
const flags = toolFlags({
  command: "bun run fuzz",
  about: "Bad inputs to all that takes bytes or texts from others.",
  flags: {
    minutes: { kind: "number", about: "for so many, 1 where left out" },
    seed: { kind: "whole", about: "the inputs of this one; a fresh one where left out" },
    target: { kind: "text", about: `only this: ${names}` },
    input: { kind: "whole", about: "only this input of the target" },
  },
  examples: ["bun run fuzz --target volume-log --minutes 5 --seed 3"],
});
const seed = flags.number("seed") ?? Math.floor(Date.now() / 1_000) % 1_000_000_000;
const wanted = flags.text("target");
const chosen = fuzzTargets.filter(({ name }) => wanted === undefined || name === wanted);
if (chosen.length === 0) flags.refuse(`no target is called ${wanted}; known: ${names}`);
const msMax = ((flags.number("minutes") ?? 1) * 60_000) / chosen.length;
const firstInput = flags.number("input");
const one = firstInput === undefined ? {} : { firstInput };

let failed = 0;
for (const target of chosen) {
  const result = fuzzTarget(target, { seed, inputsMax: firstInput === undefined ? Infinity : 1, msMax, ...one });
  failed += result.failures.length;
  const { name, inputs, seconds, longestMs, grownBytes } = result;
  console.log(
    `${name.padEnd(24)} ${String(inputs).padStart(9)} inputs in ${seconds.toFixed(1)} s, the longest ${longestMs.toFixed(1)} ms, ${Math.round(grownBytes / 1_048_576)} MiB more, ${result.failures.length} failed`,
  );
  for (const failure of result.failures) console.log(failure);
}
console.log(`seed ${seed}: ${failed === 0 ? "nothing failed" : `${failed} failed`}`);
process.exit(failed === 0 ? 0 : 1);
