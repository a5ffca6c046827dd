/** Many seeds: what each line of a campaign says, and the sum of all. */
import { z } from "zod";
import { neverReached } from "./marks.ts";
import { type SeedResult, reportOf } from "./run-seed.ts";
import type { Reduction } from "./reduction.ts";

/** Of one seed, as a child process tells it. */
export const SeedLine = z.object({
  seed: z.number(),
  traceHash: z.string(),
  events: z.number(),
  simulatedMs: z.number(),
  tookMs: z.number(),
  cpuMs: z.number(),
  operations: z.number(),
  acknowledged: z.number(),
  unknown: z.number(),
  undecided: z.number(),
  mix: z.string(),
  counts: z.record(z.string(), z.number()),
  marks: z.record(z.string(), z.number()),
  /** Absent where nothing was violated. */
  report: z.string().optional(),
});
export type SeedLine = z.infer<typeof SeedLine>;

export interface RanSeed {
  readonly result: SeedResult;
  readonly scenario: string;
  readonly reduction: Reduction;
  readonly tookMs: number;
  readonly cpuMs: number;
}

export function lineOf({ result, scenario, reduction, tookMs, cpuMs }: RanSeed): SeedLine {
  const { seed, traceHash, events, simulatedMs, operations, acknowledged, unknown } = result;
  return {
    seed,
    traceHash,
    events,
    simulatedMs,
    tookMs,
    cpuMs,
    operations,
    acknowledged,
    unknown,
    undecided: result.undecided.length,
    mix: result.mix,
    counts: Object.fromEntries(result.counts),
    marks: Object.fromEntries(result.marks),
    ...(result.violations.length === 0 ? {} : { report: reportOf(result, scenario, reduction) }),
  };
}

/** Two lines for people: what came of it, and what the seed drew. */
export function textOf(line: SeedLine): string {
  const { seed, traceHash, operations, acknowledged, unknown, events, simulatedMs, tookMs, report } = line;
  const verdict = report === undefined ? "ok" : "FAILED";
  return `seed ${seed}: ${verdict} ${traceHash} ${operations} operations, ${acknowledged} acknowledged, ${unknown} unknown, ${events} events, ${(simulatedMs / 1000).toFixed(0)} s in ${(tookMs / 1000).toFixed(1)} s\n  ${line.mix}`;
}

export class Totals {
  readonly failed: number[] = [];
  readonly #counts = new Map<string, number>();
  readonly #marks = new Map<string, number>();
  #seeds = 0;
  #undecided = 0;
  #events = 0;
  #simulatedMs = 0;
  #tookMs = 0;
  #cpuMs = 0;
  #operations = 0;
  #acknowledged = 0;
  #unknown = 0;

  add(line: SeedLine): void {
    this.#seeds++;
    this.#undecided += line.undecided;
    this.#events += line.events;
    this.#simulatedMs += line.simulatedMs;
    this.#tookMs += line.tookMs;
    this.#cpuMs += line.cpuMs;
    this.#operations += line.operations;
    this.#acknowledged += line.acknowledged;
    this.#unknown += line.unknown;
    addAll(this.#counts, line.counts);
    addAll(this.#marks, line.marks);
    if (line.report !== undefined) this.failed.push(line.seed);
  }

  /** Speeds are those of one job: of its time on the wall, and of its processor time. */
  get text(): string {
    const { failed } = this;
    const speed = (ms: number): string =>
      `${Math.round(this.#events / (ms / 1000))} events and ${(this.#simulatedMs / 60 / ms).toFixed(2)} simulated minutes`;
    return [
      `${this.#seeds} seeds, ${failed.length} failed${failed.length > 0 ? ` (${failed.join(", ")})` : ""}, ${this.#undecided} orders undecided`,
      `${(this.#simulatedMs / 3_600_000).toFixed(2)} simulated hours, ${this.#operations} operations, ${this.#acknowledged} acknowledged, ${this.#unknown} of unknown outcome`,
      `a job: ${speed(this.#tookMs)} a second, ${speed(this.#cpuMs)} a second of processor time`,
      `faults: ${listed(this.#counts)}`,
      `rare branches: ${listed(this.#marks)}`,
      `never reached: ${neverReached(this.#marks).join(", ") || "none"}`,
    ].join("\n");
  }
}

function addAll(sum: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) sum.set(name, (sum.get(name) ?? 0) + count);
}

function listed(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([name, count]) => `${name} ${count}`).join(", ");
}
