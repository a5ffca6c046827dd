/** `bun run sim [--seed N] [--seeds A..B] [--minutes M]`: the whole system under simulated faults, by seed. */
import { parseArgs } from "node:util";
import { reportOf, type RunOptions } from "../sim/run-seed.ts";
import { runScenario } from "../sim/scenarios.ts";
import { faultClasses, isFaultClass, withoutFaults } from "../sim/without.ts";
import { formatEvent } from "../sim/world/sim-events.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    quiet: { type: "boolean" },
    /** Prints the events whose lines match. */
    trace: { type: "string" },
    /** Classes of faults to leave out. */
    without: { type: "string" },
    scenario: { type: "string" },
  },
});

const [from, to] = range();
const options = runOptions();
const untilMs =
  performance.now() +
  Number(values.minutes ?? (values.seed === undefined && values.seeds === undefined ? 1 : 1e9)) * 60_000;
const totals = {
  seeds: 0,
  failed: 0,
  undecided: 0,
  events: 0,
  simulatedMs: 0,
  operations: 0,
  acknowledged: 0,
  unknown: 0,
};
const counts = new Map<string, number>();
const failed: number[] = [];
const startMs = performance.now();

for (let seed = from; seed <= to && performance.now() < untilMs; seed++) {
  const beganMs = performance.now();
  const result = runScenario(values.scenario ?? "standard", seed, options);
  const tookMs = performance.now() - beganMs;
  totals.seeds++;
  totals.undecided += result.undecided.length;
  totals.events += result.events;
  totals.simulatedMs += result.simulatedMs;
  totals.operations += result.operations;
  totals.acknowledged += result.acknowledged;
  totals.unknown += result.unknown;
  for (const [name, count] of result.counts) counts.set(name, (counts.get(name) ?? 0) + count);
  const bad = result.violations.length > 0;
  if (bad) {
    totals.failed++;
    failed.push(seed);
  }
  if (values.quiet !== true || bad)
    console.log(
      `seed ${seed}: ${bad ? "FAILED" : "ok"} ${result.traceHash} ${result.operations} operations, ${result.acknowledged} acknowledged, ${result.unknown} unknown, ${result.events} events, ${(result.simulatedMs / 1000).toFixed(0)} s in ${(tookMs / 1000).toFixed(1)} s`,
    );
  if (bad) console.log(reportOf(result));
}

const seconds = (performance.now() - startMs) / 1000;
console.log(
  [
    `${totals.seeds} seeds, ${totals.failed} failed${failed.length > 0 ? ` (${failed.join(", ")})` : ""}, ${totals.undecided} orders undecided`,
    `${(totals.simulatedMs / 3_600_000).toFixed(2)} simulated hours, ${totals.operations} operations, ${totals.acknowledged} acknowledged, ${totals.unknown} of unknown outcome`,
    `${Math.round(totals.events / seconds)} events and ${(totals.simulatedMs / 60_000 / seconds).toFixed(2)} simulated minutes a second`,
    `faults: ${[...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}`,
  ].join("\n"),
);
process.exit(failed.length > 0 ? 1 : 0);

function runOptions(): RunOptions {
  const pattern = values.trace === undefined ? undefined : new RegExp(values.trace);
  const left = (values.without ?? "").split(",").filter((name) => name !== "");
  const unknown = left.find((name) => !isFaultClass(name));
  if (unknown !== undefined) throw new Error(`--without knows ${faultClasses.join(", ")}, not ${unknown}`);
  return {
    change: (settings) => withoutFaults(settings, left.filter(isFaultClass)),
    ...(pattern === undefined
      ? {}
      : {
          onEvent(event) {
            const line = formatEvent(event);
            if (pattern.test(line)) console.log(line);
          },
        }),
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
