/** What a run did and found, as a table for people. */
import { isDone, type Violation } from "../sim/history.ts";
import type { Timing } from "./workload.ts";

/** Of all rounds together; timings are not kept one by one. */
export class Figures {
  readonly faults = new Map<string, number>();
  /** What operators did, and what they were refused: by the command and the code. */
  readonly acts = new Map<string, number>();
  readonly refusedActs = new Map<string, number>();
  readonly violations: Violation[] = [];
  /** Operations that were refused, by code, and the first of each in words. */
  readonly refusals = new Map<string, number>();
  readonly firstRefusals = new Map<string, string>();
  readonly acknowledged = new Map<string, number>();
  readonly undecided: string[] = [];
  /** How long until everything was whole after a round's faults, in ms. */
  readonly wholeMs: number[] = [];
  /** How long after a fault began every hot file had acknowledged an append called since, in ms. */
  readonly serviceMs: number[] = [];
  operations = 0;
  unknown = 0;
  rounds = 0;
  /** Without the time that its client stood still. */
  longestStallMs = 0;
  longestStall = "";
  readonly memory = new Map<string, number>();

  addTiming({ operation, tookMs, pausedMs }: Timing): void {
    const stallMs = tookMs - pausedMs;
    if (stallMs > this.longestStallMs) {
      this.longestStallMs = stallMs;
      this.longestStall = `${operation.kind}, ${operation.ending?.kind ?? "never answered"}`;
    }
  }

  /** From a round's appends to its hot files and the moments of its faults. */
  addService(moments: readonly number[], timings: readonly Timing[], hotPaths: readonly string[]): void {
    const byPath = hotPaths.map((path) =>
      timings.filter(({ operation }) => operation.kind === "append" && operation.path === path && isDone(operation)),
    );
    for (const moment of moments) {
      const back = byPath.map((appends) =>
        appends.reduce(
          (first, { calledMs, tookMs }) => (calledMs >= moment ? Math.min(first, calledMs + tookMs - moment) : first),
          Number.POSITIVE_INFINITY,
        ),
      );
      const all = Math.max(...back);
      // Where a hot file got all its appends before, nothing can be said.
      if (Number.isFinite(all)) this.serviceMs.push(all);
    }
  }

  count(promises: readonly string[]): number {
    return this.violations.filter(({ promise }) => promises.includes(promise)).length;
  }
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
const both = (values: readonly number[]): string =>
  values.length === 0
    ? "not measured"
    : `${seconds(percentile(values, 0.5))} / ${seconds(percentile(values, 0.99))} (${values.length} times)`;
const counts = (map: ReadonlyMap<string, number>): string =>
  [...map]
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
const summed = (map: ReadonlyMap<string, number>): string =>
  `${[...map.values()].reduce((sum, count) => sum + count, 0)}: ${counts(map)}`;

export function formatReport(figures: Figures, facts: ReadonlyMap<string, string>): string {
  const memory = [...figures.memory].map(([name, bytes]) => `${name} ${Math.round(bytes / 1_048_576)} MiB`).join(", ");
  const rows: (readonly [string, string])[] = [
    ...facts,
    ["rounds", String(figures.rounds)],
    ["faults made", summed(figures.faults)],
    ["operators' work", summed(figures.acts)],
    ["refused to operators", counts(figures.refusedActs) || "nothing"],
    ["operations", `${figures.operations}, ${figures.unknown} of unknown outcome`],
    ["acknowledged", summed(figures.acknowledged)],
    ["refused", counts(figures.refusals) || "none"],
    ...[...figures.firstRefusals].map(([code, text]): [string, string] => [`  ${code}`, text.slice(0, 240)]),
    ["lost", String(figures.count(["P1"]))],
    ["duplicated", String(figures.count(["P4"]))],
    ["wrong bytes", String(figures.count(["P2", "P5"]))],
    ["wrong order", `${figures.count(["P3"])} (${figures.undecided.length} directories undecided)`],
    ["other broken promises", String(figures.count(["P6", "P7", "memory", "harness"]))],
    ["longest operation", `${seconds(figures.longestStallMs)} (${figures.longestStall})`],
    ["appends again after a fault, p50 / p99", both(figures.serviceMs)],
    ["whole again after a round, p50 / p99", both(figures.wholeMs)],
    ["most memory", memory],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join("\n");
}
