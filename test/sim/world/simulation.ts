import type { EventLevel, World } from "../../../src/io.ts";
import { type FaultSettings, noFaults } from "./fault-settings.ts";
import { Machine, type MachineOptions } from "./machine.ts";
import { Network } from "./network.ts";
import { Prng } from "./prng.ts";
import { nature, Scheduler } from "./scheduler.ts";
import type { Program, SimContext } from "./sim-context.ts";
import { formatEvent, type SimEvent } from "./sim-events.ts";
import type { Task } from "./task.ts";

export interface SimulationOptions {
  readonly faults?: FaultSettings;
  /** Events below it are not built. */
  readonly eventLevel?: EventLevel;
}

/** How long `complete` lets things happen if not told otherwise: an hour of virtual time. */
const limitMsDefault = 3_600_000;

/** Machines, the network between them and virtual time, all by one seed. Synchronous: between two calls nothing happens. */
export class Simulation {
  readonly seed: number | string;
  /** For the harness's own choices. */
  readonly prng: Prng;
  readonly scheduler = new Scheduler();
  readonly network: Network;
  readonly #context: SimContext;
  readonly #machines = new Map<string, Machine>();
  readonly #programs = new Map<string, Program>();
  readonly #listeners = new Set<(event: SimEvent) => void>();
  #processes = 0;

  constructor(seed: number | string, options: SimulationOptions = {}) {
    this.seed = seed;
    const root = new Prng(`simulation ${seed}`);
    this.prng = root.fork("harness");
    const faults = options.faults ?? noFaults;
    this.network = new Network(this.scheduler, root.fork("network"), { ...faults.stream, control: faults.control });
    this.#context = {
      scheduler: this.scheduler,
      network: this.network,
      prng: root,
      faults,
      eventLevel: options.eventLevel ?? "debug",
      programs: this.#programs,
      nextProcessId: () => ++this.#processes,
      onEvent: (event) => {
        for (const listener of this.#listeners) listener(event);
      },
    };
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** Of all that has happened: equal for equal seeds. */
  get traceHash(): string {
    return this.scheduler.trace.hash;
  }

  /** Faults made and rare branches taken, by name. */
  get counts(): ReadonlyMap<string, number> {
    return this.scheduler.counts;
  }

  get machines(): readonly Machine[] {
    return [...this.#machines.values()];
  }

  /** The machine of this name, new at the first call; options count then only. */
  machine(name: string, options: MachineOptions = {}): Machine {
    let machine = this.#machines.get(name);
    if (machine === undefined) {
      machine = new Machine(this.#context, this.#machines.size + 1, name, options);
      this.#machines.set(name, machine);
      this.network.add(machine);
    }
    return machine;
  }

  /** From now on; `noFaults` for a phase in which all must heal. Clocks stay as they are, and so does what is broken. */
  setFaults(faults: FaultSettings): void {
    this.#context.faults = faults;
    this.network.faults = { ...faults.stream, control: faults.control };
    for (const machine of this.#machines.values()) machine.onFaults();
  }

  /** What `Spawn.self([name, …])` runs. */
  program(name: string, program: Program): void {
    this.#programs.set(name, program);
  }

  /** Called at every event of every machine, from within; the result ends that. */
  onEvent(listener: (event: SimEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** A fault or a check of the harness, `ms` from now. */
  after(ms: number, fn: () => void): void {
    this.scheduler.after(ms, nature, fn);
  }

  runFor(ms: number): void {
    this.scheduler.run(this.scheduler.nowUs + ms * 1000, () => false);
  }

  /** False when the limit came first, or when nothing was left to happen. */
  runUntil(done: () => boolean, limitMs = limitMsDefault): boolean {
    return this.scheduler.run(this.scheduler.nowUs + limitMs * 1000, done);
  }

  /** Until nothing is left to happen; false at the limit. Servers with timers never come to rest. */
  runToRest(limitMs = limitMsDefault): boolean {
    this.scheduler.run(this.scheduler.nowUs + limitMs * 1000, () => this.scheduler.pending === 0);
    return this.scheduler.pending === 0;
  }

  /** Lets things happen until the task has settled: its value. @throws what it threw, and Error where it died or took too long. */
  complete<T>(task: Task<T>, limitMs = limitMsDefault): T {
    if (!this.runUntil(() => task.settled, limitMs) && task.state === "running") {
      throw new Error(`A task still runs after ${limitMs} virtual ms (seed ${this.seed})\n${this.lastEvents(20)}`);
    }
    return task.value;
  }

  /** Runs code in a machine's main process to its end. */
  do<T>(machine: Machine, code: (world: World) => Promise<T>, limitMs = limitMsDefault): T {
    return this.complete(machine.run(code), limitMs);
  }

  /** For a failure report: the last events of all machines, a line each. */
  lastEvents(count: number): string {
    const all = this.machines.flatMap((machine) => machine.events);
    return all
      .sort((a, b) => a.atMs - b.atMs)
      .slice(-count)
      .map(formatEvent)
      .join("\n");
  }
}
