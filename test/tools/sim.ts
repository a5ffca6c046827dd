/**
 * `bun run sim [--seed N | --seeds A..B] [--minutes M] [--jobs N] [--scenario NAME]`: the whole system under simulated faults, by seed. `--shrink` makes a failing
 * one smaller; the flags of reduction.ts run it so.
 */
import { lineOf, SeedLine, textOf, Totals } from "../sim/campaign.ts";
import { startQuickly } from "../sim/quick-start.ts";
import { commandOf, type Reduction, reduced } from "../sim/reduction.ts";
import { drawSettings, type SeedSettings } from "../sim/run-seed.ts";
import { runScenario, scenarioNames } from "../sim/scenarios.ts";
import { shrink } from "../sim/shrink.ts";
import { faultClasses, isFaultClass } from "../sim/without.ts";
import { formatEvent, type SimEvent } from "../sim/world/sim-events.ts";
import { toolFlags } from "./tool-flags.ts";

const flags = toolFlags({
  command: "bun run sim",
  about:
    "The whole system under simulated faults, by seed. Without --seed, --seeds and --minutes: fresh seeds for a minute.",
  flags: {
    seed: { kind: "whole", about: "this one" },
    seeds: { kind: "text", about: "these, as A..B" },
    minutes: { kind: "number", about: "no seed is begun after so many" },
    scenario: { kind: "text", about: `standard, or another mix: ${scenarioNames.join(", ")}` },
    jobs: { kind: "whole", about: "processes that share the seeds" },
    quiet: { kind: "on", about: "prints only failures, and the sum" },
    trace: { kind: "text", about: "prints the events whose lines match this regular expression" },
    shrink: { kind: "on", about: "finds a smaller run of a failing seed that breaks the same promise" },
    without: { kind: "text", about: `without these classes of faults, with commas: ${faultClasses.join(", ")}` },
    "duration-ms": { kind: "whole", about: "a shorter run" },
    clients: { kind: "whole", about: "only so many" },
    lanes: { kind: "whole", about: "only so many operations at a time of each client" },
    operations: { kind: "whole", about: "only so many in all" },
    luck: { kind: "whole", about: "other draws of the same seed" },
    step: { kind: "whole", about: "every n-th seed", hidden: true },
    json: { kind: "on", about: "lines of JSON", hidden: true },
  },
  examples: ["bun run sim --minutes 30 --jobs 2", "bun run sim --seed 17 --shrink"],
});

await startQuickly(import.meta.path);

const scenario = flags.text("scenario") ?? "standard";
if (!scenarioNames.includes(scenario))
  flags.refuse(`no scenario is called ${scenario}; known: ${scenarioNames.join(", ")}`);
const reduction = reductionAsked();
const traced = patternAsked();
const [from, to] = range();
const jobs = flags.number("jobs") ?? 1;
const minutes =
  flags.number("minutes") ?? (flags.text("seed") === undefined && flags.text("seeds") === undefined ? 1 : 1e9);
const untilMs = performance.now() + minutes * 60_000;
const totals = new Totals();

if (flags.on("shrink")) shrinkOne(from);
else if (jobs > 1) await Promise.all(Array.from({ length: jobs }, (_, job) => runChild(job)));
else runHere(flags.number("step") ?? 1);
if (!flags.on("json")) console.log(totals.text);
process.exit(totals.failed.length > 0 ? 1 : 0);

function runHere(step: number): void {
  for (let seed = from; seed <= to && performance.now() < untilMs; seed += step) {
    const beganMs = performance.now();
    const cpuBegan = process.cpuUsage();
    const result = runSeed(seed, reduction);
    const { user, system } = process.cpuUsage(cpuBegan);
    const tookMs = performance.now() - beganMs;
    show(lineOf({ result, scenario, reduction, tookMs, cpuMs: (user + system) / 1000 }));
  }
}

function show(line: SeedLine): void {
  totals.add(line);
  if (flags.on("json")) return console.log(JSON.stringify(line));
  if (!flags.on("quiet") || line.report !== undefined) console.log(textOf(line));
  if (line.report !== undefined) console.log(line.report);
}

/** Every `jobs`-th seed, in a process of its own. */
async function runChild(job: number): Promise<void> {
  // A compiled executable has this file in it, and takes no path.
  const self = import.meta.path.startsWith("/$bunfs") ? [process.execPath] : [process.execPath, import.meta.path];
  const passed = (["scenario", "without", "duration-ms", "clients", "lanes", "operations", "luck"] as const).flatMap(
    (name) => {
      const given = flags.text(name);
      return given === undefined ? [] : [`--${name}`, given];
    },
  );
  const share = ["--seeds", `${from + job}..${to}`, "--step", String(jobs), "--minutes", String(minutes), "--json"];
  const child = Bun.spawn({ cmd: [...self, ...passed, ...share], stdout: "pipe", stderr: "inherit" });
  let rest = "";
  for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) show(SeedLine.parse(JSON.parse(line)));
  }
  const exitCode = await child.exited;
  if (exitCode > 1) throw new Error(`A job ended with exit code ${exitCode}`);
}

function runSeed(seed: number, smaller: Reduction): ReturnType<typeof runScenario> {
  const printed = (event: SimEvent): void => {
    const line = formatEvent(event);
    if (traced?.test(line) === true) console.log(line);
  };
  return runScenario(scenario, seed, {
    change: (settings) => reduced(settings, smaller),
    luck: smaller.luck,
    ...(traced === undefined ? {} : { onEvent: printed }),
  });
}

function shrinkOne(seed: number): void {
  let settings: SeedSettings = drawSettings(seed);
  const run = (smaller: Reduction) => {
    const result = runSeed(seed, smaller);
    if (smaller.without.length === 0) settings = result.settings;
    return result.violations;
  };
  run({ without: [] });
  const found = shrink({
    settings,
    run,
    lucksMax: 6,
    onStep: (smaller) => console.log(`still fails: ${commandOf(scenario, seed, smaller)}`),
  });
  if (found === undefined) return console.log(`seed ${seed} violates nothing`);
  const result = runSeed(seed, found);
  show(lineOf({ result, scenario, reduction: found, tookMs: 1, cpuMs: 1 }));
  console.log(`smallest found: ${commandOf(scenario, seed, found)}`);
}

function patternAsked(): RegExp | undefined {
  const trace = flags.text("trace");
  try {
    return trace === undefined ? undefined : new RegExp(trace);
  } catch (error) {
    return flags.refuse(
      `--trace wants a regular expression: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function reductionAsked(): Reduction {
  const left = (flags.text("without") ?? "").split(",").filter((name) => name !== "");
  const unknown = left.find((name) => !isFaultClass(name));
  if (unknown !== undefined) flags.refuse(`--without knows ${faultClasses.join(", ")}, not ${unknown}`);
  const number = (key: "durationMs" | "clients" | "lanes" | "operations" | "luck", value: number | undefined) =>
    value === undefined ? {} : { [key]: value };
  return {
    without: left.filter(isFaultClass),
    ...number("durationMs", flags.number("duration-ms")),
    ...number("clients", flags.number("clients")),
    ...number("lanes", flags.number("lanes")),
    ...number("operations", flags.number("operations")),
    ...number("luck", flags.number("luck")),
  };
}

function range(): [number, number] {
  const seed = flags.number("seed");
  if (seed !== undefined) return [seed, seed];
  const seeds = flags.text("seeds");
  const [, a, b] = /^(\d+)\.\.(\d+)$/.exec(seeds ?? "") ?? [];
  if (a !== undefined && b !== undefined) return [Number(a), Number(b)];
  if (seeds !== undefined) flags.refuse(`--seeds wants A..B, not ${JSON.stringify(seeds)}`);
  // Fresh ones; printed with each result.
  const start = Math.floor(Date.now() / 1000) % 1_000_000_000;
  return [start, Number.MAX_SAFE_INTEGER];
}
