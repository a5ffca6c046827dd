/**
 * `bun run sim [--seed N | --seeds A..B] [--minutes M] [--jobs N] [--scenario NAME]`: the whole system under simulated faults, by seed. `--shrink` makes a failing
 * one smaller; the flags of reduction.ts run it so.
 */
import { parseArgs } from "node:util";
import { lineOf, SeedLine, textOf, Totals } from "../sim/campaign.ts";
import { startQuickly } from "../sim/quick-start.ts";
import { commandOf, type Reduction, reduced } from "../sim/reduction.ts";
import { drawSettings, type SeedSettings } from "../sim/run-seed.ts";
import { runScenario } from "../sim/scenarios.ts";
import { shrink } from "../sim/shrink.ts";
import { faultClasses, isFaultClass } from "../sim/without.ts";
import { formatEvent, type SimEvent } from "../sim/world/sim-events.ts";

await startQuickly(import.meta.path);

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const { values } = parseArgs({
  options: {
    seed: text,
    seeds: text,
    minutes: text,
    scenario: text,
    /** Processes that share the seeds. */
    jobs: text,
    /** Only failures, and the sum. */
    quiet: flag,
    /** Prints the events whose lines match. */
    trace: text,
    shrink: flag,
    /** For children: every n-th seed, and lines of JSON. */
    step: text,
    json: flag,
    // ------------------------------------------------ a reduction
    without: text,
    "duration-ms": text,
    clients: text,
    lanes: text,
    operations: text,
    luck: text,
  },
});

const scenario = values.scenario ?? "standard";
const reduction = reductionAsked();
const [from, to] = range();
const jobs = Number(values.jobs ?? 1);
const minutes = Number(values.minutes ?? (values.seed === undefined && values.seeds === undefined ? 1 : 1e9));
const untilMs = performance.now() + minutes * 60_000;
const totals = new Totals();

if (values.shrink === true) shrinkOne(from);
else if (jobs > 1) await Promise.all(Array.from({ length: jobs }, (_, job) => runChild(job)));
else runHere(Number(values.step ?? 1));
if (values.json !== true) console.log(totals.text);
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
  if (values.json === true) return console.log(JSON.stringify(line));
  if (values.quiet !== true || line.report !== undefined) console.log(textOf(line));
  if (line.report !== undefined) console.log(line.report);
}

/** Every `jobs`-th seed, in a process of its own. */
async function runChild(job: number): Promise<void> {
  // A compiled executable has this file in it, and takes no path.
  const self = import.meta.path.startsWith("/$bunfs") ? [process.execPath] : [process.execPath, import.meta.path];
  const passed = (["scenario", "without", "duration-ms", "clients", "lanes", "operations", "luck"] as const).flatMap(
    (name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]),
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
  const pattern = values.trace === undefined ? undefined : new RegExp(values.trace);
  const printed = (event: SimEvent): void => {
    const line = formatEvent(event);
    if (pattern?.test(line) === true) console.log(line);
  };
  return runScenario(scenario, seed, {
    change: (settings) => reduced(settings, smaller),
    luck: smaller.luck,
    ...(pattern === undefined ? {} : { onEvent: printed }),
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

function reductionAsked(): Reduction {
  const left = (values.without ?? "").split(",").filter((name) => name !== "");
  const unknown = left.find((name) => !isFaultClass(name));
  if (unknown !== undefined) throw new Error(`--without knows ${faultClasses.join(", ")}, not ${unknown}`);
  const number = (key: "durationMs" | "clients" | "lanes" | "operations" | "luck", value: string | undefined) =>
    value === undefined ? {} : { [key]: Number(value) };
  return {
    without: left.filter(isFaultClass),
    ...number("durationMs", values["duration-ms"]),
    ...number("clients", values.clients),
    ...number("lanes", values.lanes),
    ...number("operations", values.operations),
    ...number("luck", values.luck),
  };
}

function range(): [number, number] {
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed)];
  const [a, b] = (values.seeds ?? "").split("..");
  if (a !== undefined && b !== undefined) return [Number(a), Number(b)];
  // Fresh ones; printed with each result.
  const start = Math.floor(Date.now() / 1000) % 1_000_000_000;
  return [start, Number.MAX_SAFE_INTEGER];
}
