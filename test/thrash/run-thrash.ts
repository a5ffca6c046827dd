/** A run: rounds of faults while clients work, each healed, read again and judged by the checkers of the simulator. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { errorCodes } from "../../src/base/errors.ts";
import { checkAppendOnly } from "../sim/checkers/append-only.ts";
import { checkLinearizable } from "../sim/checkers/linearizability.ts";
import { checkWholeFiles } from "../sim/checkers/whole-files.ts";
import { describe, History, isDone } from "../sim/history.ts";
import { Prng } from "../sim/world/prng.ts";
import { acts } from "./acts.ts";
import { damageKinds, damageOne, faultsBeside } from "./damage.ts";
import { FaultSchedule } from "./fault-schedule.ts";
import { faults } from "./faults.ts";
import { checkKept, findDamage, type KeptFile, readEverything, reviveAll, untilWhole } from "./healing.ts";
import { Figures } from "./report.ts";
import type { Surroundings } from "./surroundings.ts";
import { drawThrashSettings, ThrashCluster, type ThrashSettings } from "./thrash-cluster.ts";
import { standardShape, ThrashWorkload } from "./workload.ts";

/** What `only` may name. */
export const faultNames: readonly string[] = [
  ...faults.map(({ name }) => name),
  ...damageKinds,
  ...acts.map(({ name }) => name),
];

export interface ThrashOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Of each round: how long faults are made. */
  readonly roundSeconds: number;
  readonly folder: string;
  readonly surroundings: Surroundings;
  /** Of `faultNames` only these. */
  readonly only?: readonly string[] | undefined;
  /** Puts an acknowledgement into each history that nobody gave: the run must fail. */
  readonly canary: boolean;
  readonly say: (line: string) => void;
  /** Ends it at once, without a judgement of what was not judged yet. */
  readonly signal: AbortSignal;
}

const memoryBytesMax = 1_073_741_824;
/** No operation takes longer, without the time its client stood still: it makes no progress for 20 s and ends, or makes some. */
const operationMsMax = 120_000;
const faultMeanMs = 2_000;
const keptRounds = 3;
const restartMs = 500;

export class ThrashRun {
  readonly figures = new Figures();
  readonly settings: ThrashSettings;
  readonly #options: ThrashOptions;
  readonly #prng: Prng;
  readonly #cluster: ThrashCluster;
  readonly #began = performance.now();
  #kept: { readonly root: string; readonly files: readonly KeptFile[] }[] = [];

  private constructor(options: ThrashOptions, prng: Prng, settings: ThrashSettings, cluster: ThrashCluster) {
    this.#options = options;
    this.#prng = prng;
    this.settings = settings;
    this.#cluster = cluster;
  }

  /** The whole run. @throws Error where the cluster can't even be started */
  static async perform(options: ThrashOptions): Promise<ThrashRun> {
    const prng = new Prng(`thrash ${options.seed}`);
    const settings = drawThrashSettings(prng);
    const { folder, surroundings } = options;
    // Nothing is started, and so nothing ends, before the run is there.
    const onEnd = (name: string, code: number, log: string): void => run.ended(name, code, log);
    await using cluster = await ThrashCluster.make({ folder, surroundings, settings, onEnd });
    const run = new ThrashRun(options, prng, settings, cluster);
    const timer = setInterval(() => run.#measure(), 1_000);
    try {
      await Promise.race([run.#all(), aborted(options.signal)]);
    } finally {
      clearInterval(timer);
      for (const process of [...cluster.roles, ...cluster.clients]) await process.kill();
      // A tmpfs ends with this process.
      if (run.figures.violations.length > 0)
        for (const name of cluster.fillable)
          cpSync(cluster.diskOf(name), join(folder, "volumes", `${name}-as-left`), { recursive: true });
    }
    return run;
  }

  /** A role ended by itself. */
  ended(name: string, code: number, log: string): void {
    const full = code === errorCodes.NoSpace.exit && this.#cluster.fillable.includes(name);
    if (full) this.#options.say(`${name} refuses a full disk`);
    else this.#broken("P7", `${name} ended by itself with ${code}: ${log.slice(-3_000)}`);
    // Whoever supervises it starts it again.
    setTimeout(() => {
      if (!this.#options.signal.aborted)
        [...this.#cluster.roles, ...this.#cluster.clients].find((role) => role.name === name)?.start();
    }, restartMs);
  }

  #broken(promise: string, what: string): void {
    this.figures.violations.push({ promise, what });
    this.#options.say(`BROKEN ${promise}: ${what}`);
  }

  #measure(): void {
    for (const process of [...this.#cluster.roles, ...this.#cluster.clients]) {
      process.measure();
      const before = this.figures.memory.get(process.name) ?? 0;
      if (process.memoryBytes > memoryBytesMax && before <= memoryBytesMax)
        this.#broken("memory", `${process.name} holds ${process.memoryBytes} bytes`);
      if (process.memoryBytes > before) this.figures.memory.set(process.name, process.memoryBytes);
    }
  }

  async #all(): Promise<void> {
    const { minutes, signal, roundSeconds } = this.#options;
    reviveAll(this.#cluster);
    const first = await untilWhole(this.#cluster);
    if (typeof first === "string") return this.#broken("P7", `the cluster did not start: ${first}`);
    const untilMs = this.#began + minutes * 60_000;
    // A round takes about half as long again until it is judged.
    while (!signal.aborted && (this.figures.rounds === 0 || performance.now() + roundSeconds * 1_500 < untilMs)) {
      await this.#round(++this.figures.rounds);
      if (this.figures.violations.length > 0) return;
    }
  }

  async #round(number: number): Promise<void> {
    const prng = this.#prng.fork(`round ${number}`);
    const history = new History(() => performance.now() - this.#began);
    const { clients } = this.#cluster;
    const root = `/r${number}`;
    const workload = new ThrashWorkload({ history, clients, prng: prng.fork("work"), shape: standardShape, root });
    const moments: number[] = [];
    workload.start();
    await Bun.sleep(500);
    const damaged = await this.#damage(prng.fork("damage"), moments);
    const busy = new Set<string>();
    const { only, roundSeconds } = this.#options;
    const schedule = this.#schedule(prng.fork("faults"), moments, only, busy);
    const operators = this.#operators(prng.fork("operators"), workload, busy);
    for (const each of [schedule, operators]) each.start(roundSeconds * 1_000, faultMeanMs);
    await Bun.sleep(roundSeconds * 1_000);
    await schedule.stop();
    reviveAll(this.#cluster, busy);
    // What was begun ends only now, at the latest.
    await operators.stop();
    const whole = await this.#whole();
    if (whole !== undefined) this.figures.wholeMs.push(whole);
    await this.#endOperations(workload);
    if (damaged) {
      await findDamage(this.#cluster, [
        ...workload.paths,
        ...this.#kept.flatMap(({ files }) => files).map(({ path }) => path),
      ]);
      await this.#whole();
    }
    await this.#judge(workload, moments);
    await this.#forget(number);
    this.#options.say(
      `round ${number}: ${history.operations.length} operations, ${moments.length} faults, whole after ${((whole ?? 0) / 1_000).toFixed(1)} s, ${this.figures.violations.length} promises broken`,
    );
  }

  #schedule(prng: Prng, moments: number[], only: readonly string[] | undefined, busy?: Set<string>): FaultSchedule {
    return new FaultSchedule({
      cluster: this.#cluster,
      prng,
      counts: this.figures.faults,
      moments,
      broken: (what) => this.#broken("P7", what),
      table: faults,
      ...(busy === undefined ? {} : { busy }),
      ...(only === undefined ? {} : { only }),
    });
  }

  /** What they do keeps nobody from appending: it is no moment to measure from. */
  #operators(prng: Prng, { root, paths }: ThrashWorkload, busy: Set<string>): FaultSchedule {
    const { figures } = this;
    const { only, say } = this.#options;
    const operator = { root, paths, figures, say };
    return new FaultSchedule({
      cluster: this.#cluster,
      prng,
      counts: figures.acts,
      moments: [],
      broken: (what) => this.#broken("P7", what),
      table: acts.map(({ name, weight, make }) => ({
        name,
        weight,
        possible: () => true,
        make: (stage) => make(stage, operator),
      })),
      busy,
      ...(only === undefined ? {} : { only }),
    });
  }

  /** True where bytes were flipped that nobody may have read yet. */
  async #damage(prng: Prng, moments: number[]): Promise<boolean> {
    const { only } = this.#options;
    const kinds = damageKinds.filter((kind) => only?.includes(kind) !== false);
    const kind = kinds[prng.integer(0, kinds.length)];
    if (kind === undefined) return false;
    // Something must be there to be damaged.
    await Bun.sleep(2_000);
    const beside = faultsBeside(kind).filter((name) => only?.includes(name) !== false);
    const schedule = this.#schedule(prng.fork("beside"), moments, beside);
    schedule.start(60_000, 4_000);
    try {
      moments.push(performance.now());
      const damage = await damageOne(this.#cluster, prng, kind);
      if (damage === undefined) return false;
      this.figures.faults.set(kind, (this.figures.faults.get(kind) ?? 0) + 1);
      this.#options.say(`${damage.kind}, ${damage.server}: ${damage.what}`);
    } catch (error) {
      this.#broken("P7", error instanceof Error ? error.message : String(error));
    } finally {
      if (kind !== "flipped bytes in chunk files") await Bun.sleep(3_000);
      await schedule.stop();
    }
    if (kind === "flipped bytes in chunk files") return true;
    reviveAll(this.#cluster);
    await this.#whole();
    return false;
  }

  async #whole(): Promise<number | undefined> {
    const whole = await untilWhole(this.#cluster);
    if (typeof whole === "number") return whole;
    this.#broken("P7", whole);
    return undefined;
  }

  async #endOperations(workload: ThrashWorkload): Promise<void> {
    const limitMs = operationMsMax;
    const late = Bun.sleep(limitMs).then(() => "late" as const);
    if ((await Promise.race([workload.stop(), late])) !== "late") return;
    const open = workload.history.operations.filter(({ ending }) => ending === undefined).slice(-20);
    this.#broken(
      "P6",
      `${workload.running} operations still run ${limitMs} ms after all faults were over, among them:\n  ${open.map(describe).join("\n  ")}`,
    );
  }

  async #judge(workload: ThrashWorkload, moments: readonly number[]): Promise<void> {
    const { history, timings } = workload;
    const { figures } = this;
    if (this.#options.canary) inventAppend(history, workload.hotPaths[0]!);
    const read = await readEverything(this.#cluster, workload);
    const kept = await checkKept(
      this.#cluster,
      this.#kept.flatMap(({ files }) => files),
    );
    this.#kept.push({ root: workload.root, files: read.files });
    const order = checkLinearizable(history, workload.groups);
    const found = [...history.violations, ...read.violations, ...kept];
    found.push(...checkWholeFiles(history), ...checkAppendOnly(history), ...order.violations);
    for (const { promise, what } of found) this.#broken(promise, what);
    for (const timing of timings) {
      figures.addTiming(timing);
      const ownMs = timing.tookMs - timing.pausedMs;
      if (ownMs > operationMsMax) this.#broken("P6", `took ${Math.round(ownMs)} ms: ${describe(timing.operation)}`);
    }
    for (const { name, log } of this.#cluster.roles)
      for (const line of bugLines(log)) this.#broken("P7", `${name} logged a bug: ${line}`);
    figures.addService(moments, timings, workload.hotPaths);
    figures.undecided.push(...order.undecided);
    for (const operation of history.operations) {
      figures.operations++;
      const { ending, kind } = operation;
      const add = (map: Map<string, number>, name: string): unknown => map.set(name, (map.get(name) ?? 0) + 1);
      if (isDone(operation)) add(figures.acknowledged, kind);
      else if (ending?.kind === "refused") {
        add(figures.refusals, ending.code);
        if (!figures.firstRefusals.has(ending.code)) figures.firstRefusals.set(ending.code, describe(operation));
      } else figures.unknown++;
    }
  }

  /** Rounds long past are removed, so that disks do not fill. */
  async #forget(number: number): Promise<void> {
    while (this.#kept.length > keptRounds) {
      const { root } = this.#kept.shift()!;
      await using client = await this.#cluster.connect();
      await client.remove(root, { recursive: true, skipTrash: number % 2 === 0 });
    }
  }
}

function inventAppend(history: History, path: string): void {
  const call = history.call("canary", path);
  const append = { ...call, kind: "append", bytes: 100, create: true, found: call.called, lane: "canary" } as const;
  history.done(history.add({ ...append, offsets: [0] }));
}

function bugLines(log: string): string[] {
  return log.split("\n").filter((line) => /\.bug\b|a bug:|AssertionError|panic|unhandled/i.test(line));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
