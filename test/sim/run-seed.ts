/** One seed: a cluster, clients, bad luck, a healed phase, and the judgement. The same seed gives the same run, to the last event. */
import type { Limits } from "../../src/limits.ts";
import { checkAppendOnly } from "./checkers/append-only.ts";
import { checkLinearizable } from "./checkers/linearizability.ts";
import { checkRanges } from "./checkers/ranges.ts";
import { RotWatch } from "./checkers/rot-watch.ts";
import { TailWatch } from "./checkers/tail-watch.ts";
import { checkWholeFiles } from "./checkers/whole-files.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import { FaultSchedule, type ScheduleSettings, drawSchedule } from "./fault-schedule.ts";
import { healAndVerify } from "./healed-phase.ts";
import { History, isDone, type Violation } from "./history.ts";
import { drawLimits } from "./sim-limits.ts";
import { Marks } from "./marks.ts";
import { mixOf } from "./mix.ts";
import { Operator, type OperatorSettings } from "./operator.ts";
import { commandOf, type Reduction } from "./reduction.ts";
import { Workload } from "./workload.ts";
import { groupDirectory, hotDirectory, type WorkloadSettings } from "./workload-settings.ts";
import { Endless } from "./world/endless.ts";
import { drawFaults, type FaultSettings, noFaults } from "./world/fault-settings.ts";
import { Prng } from "./world/prng.ts";
import type { SimEvent } from "./world/sim-events.ts";
import { Simulation } from "./world/simulation.ts";

export interface SeedSettings {
  readonly cluster: ClusterOptions;
  readonly faults: FaultSettings;
  readonly schedule: ScheduleSettings;
  readonly workload: WorkloadSettings;
  /** Undefined: nobody. */
  readonly operator: OperatorSettings | undefined;
  /** Whether the run goes on until nothing may be left over. */
  readonly judgesLeftovers: boolean;
}

export interface SeedResult {
  readonly seed: number;
  readonly settings: SeedSettings;
  /** Of the settings, in a line. */
  readonly mix: string;
  readonly violations: readonly Violation[];
  /** Directories whose order of operations was not found in the steps allowed. */
  readonly undecided: readonly string[];
  readonly traceHash: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly unknown: number;
  /** Faults made, by name. */
  readonly counts: ReadonlyMap<string, number>;
  /** Of the rare branches of marks.ts those that were reached, and how often. */
  readonly marks: ReadonlyMap<string, number>;
  /** For a report, only where something was violated. */
  readonly lastEvents: string;
}

export function drawSettings(seed: number): SeedSettings {
  const prng = new Prng(`settings ${seed}`);
  const limits: Limits = drawLimits(prng);
  return {
    cluster: {
      chunkservers: prng.integer(3, 5),
      limits,
      masterDirectories: prng.chance(0.3) ? 2 : 1,
    },
    faults: drawFaults(prng),
    schedule: drawSchedule(prng),
    workload: drawWorkload(prng),
    operator: undefined,
    judgesLeftovers: false,
  };
}

export function drawWorkload(prng: Prng): WorkloadSettings {
  return {
    clients: prng.integer(1, 4),
    lanes: prng.integer(1, 3),
    durationMs: prng.integer(20_000, 50_000),
    operations: [150, 400, 800][prng.integer(0, 2)]!,
    hotFiles: prng.integer(1, 3),
    groups: prng.integer(1, 4),
    filesPerGroup: prng.integer(1, 3),
    operationsPerGroup: 100,
    hotAppends: prng.integer(50, 300),
    hotWeight: prng.between([0.3, 0.8]),
    ranges: 0,
    tree: 0,
    choice: 0,
    directories: 2,
    largeAppends: prng.chance(0.5) ? 0 : prng.fraction() * 0.2,
    bigRecords: 0.3,
    pipelined: prng.fraction() * 0.3,
    keyed: prng.fraction(),
    abandoned: prng.chance(0.5) ? 0 : prng.fraction() * 0.1,
    appenders: prng.fraction() * 0.15,
    distrust: prng.chance(0.7) ? 0 : prng.fraction() * 0.1,
  };
}

export interface RunOptions {
  /** Of the drawn settings those to run with; the same ones if not given. */
  readonly change?: (settings: SeedSettings) => SeedSettings;
  /** The same settings under other luck. */
  readonly luck?: number | undefined;
  /** Sees every event of every machine. */
  readonly onEvent?: (event: SimEvent) => void;
  /** For guided runs: what else happens, once everything has begun. */
  readonly script?: (stage: Stage) => void;
}

/** What a guided run may reach for. */
export interface Stage {
  readonly simulation: Simulation;
  readonly cluster: Cluster;
  readonly workload: Workload;
  readonly history: History;
}

export function runSeed(seed: number, options: RunOptions = {}): SeedResult {
  const settings = options.change?.(drawSettings(seed)) ?? drawSettings(seed);
  const { luck } = options;
  const simulation = new Simulation(luck === undefined ? seed : `${seed} luck ${luck}`, {
    faults: settings.faults,
    eventLevel: "debug",
  });
  if (options.onEvent !== undefined) simulation.onEvent(options.onEvent);
  const history = new History(() => simulation.nowMs);
  const watch = new TailWatch(history.violations);
  const marks = new Marks();
  const rot = new RotWatch(simulation, history.violations);
  simulation.onEvent((event) => {
    watch.see(event);
    marks.see(event);
    rot.see(event);
  });
  const cluster = new Cluster(simulation, history, settings.cluster);
  const workload = new Workload(cluster, history, settings.workload);
  const schedule = new FaultSchedule(cluster, settings.schedule, {
    machines: workload.machines,
    crash: (machine, downMs, powerLoss) => workload.crash(machine, downMs, powerLoss),
  });
  const operator = settings.operator && new Operator(cluster, history, settings.operator);
  const groups = Array.from({ length: settings.workload.groups }, (_, index) => groupDirectory(index));
  const violations: Violation[] = [];
  let undecided: readonly string[] = [];
  try {
    cluster.start();
    workload.start();
    options.script?.({ simulation, cluster, workload, history });
    simulation.runFor(3_000);
    schedule.start();
    operator?.start();
    simulation.runFor(settings.workload.durationMs);
    schedule.stop();
    simulation.setFaults(noFaults);
    violations.push(
      ...healAndVerify({
        cluster,
        history,
        workload,
        operator,
        paths: pathsOf(settings.workload),
        judgesLeftovers: settings.judgesLeftovers,
      }),
    );
    violations.push(...checkWholeFiles(history), ...checkAppendOnly(history), ...checkRanges(history));
    const order = checkLinearizable(history, groups);
    violations.push(...order.violations);
    undecided = order.undecided;
  } catch (error) {
    violations.push({
      promise: error instanceof Endless ? "P6" : "harness",
      what: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }
  violations.push(...history.violations);
  return {
    seed,
    settings,
    mix: mixOf(settings),
    violations,
    undecided,
    traceHash: simulation.traceHash,
    events: simulation.scheduler.events,
    simulatedMs: simulation.nowMs,
    operations: history.operations.length,
    acknowledged: history.operations.filter(isDone).length,
    unknown: history.operations.filter(({ ending }) => ending === undefined || ending.kind === "unknown").length,
    counts: simulation.counts,
    marks: marks.counts,
    lastEvents: violations.length === 0 ? "" : simulation.lastEvents(60),
  };
}

function pathsOf({ hotFiles, groups, filesPerGroup }: WorkloadSettings): string[] {
  const under = (directory: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${directory}/f${index}`);
  const inGroups = Array.from({ length: groups }, (_, index) => under(groupDirectory(index), filesPerGroup));
  return [...under(hotDirectory, hotFiles), ...inGroups.flat()];
}

/** For people: what was violated, under which settings, and how to see it again. */
export function reportOf(result: SeedResult, scenario: string, reduction?: Reduction): string {
  return [
    `seed ${result.seed} violates what gfs promises:`,
    ...result.violations.slice(0, 8).map(({ promise, what }) => `  ${promise}: ${what}`),
    ...(result.violations.length > 8 ? [`  … and ${result.violations.length - 8} more`] : []),
    `settings: ${JSON.stringify(result.settings)}`,
    `last events:\n${result.lastEvents}`,
    `again: ${commandOf(scenario, result.seed, reduction)}`,
  ].join("\n");
}
