import type { EventFields, World } from "../../../src/io.ts";
import type { SimContext } from "./sim-context.ts";
import type { Service, Station } from "./network.ts";
import type { Prng } from "./prng.ts";
import { MachineClock, makeSimClock, makeSimCrypto, makeSimRandom } from "./sim-clock.ts";
import { SimControl } from "./sim-control.ts";
import { DiskWorker, driveOf, SimDisk } from "./sim-disk.ts";
import { SimDrive } from "./sim-drive.ts";
import { EventRing, makeSimEvents, type SimEvent } from "./sim-events.ts";
import { SimProcess } from "./sim-process.ts";
import { SimSpawn } from "./sim-spawn.ts";
import { SimStream } from "./sim-stream.ts";
import { Task } from "./task.ts";

export interface MachineOptions {
  /** Of the drive at "/". */
  readonly capacityBytes?: number;
}

/** A computer: drives and a clock that outlive crashes, a place on the network, and one main process with its children. */
export class Machine implements Station {
  readonly id: number;
  readonly name: string;
  readonly services = new Map<number, Service>();
  nextPort = 40_000;
  readonly clock: MachineClock;
  readonly #context: SimContext;
  readonly #prng: Prng;
  readonly #drives: SimDrive[] = [];
  readonly #ring: EventRing;
  readonly #children = new Set<SimProcess>();
  #up = true;
  #starts = 0;
  #process: SimProcess;
  #world: World;

  constructor(context: SimContext, id: number, name: string, options: MachineOptions) {
    this.#context = context;
    this.id = id;
    this.name = name;
    this.#prng = context.prng.fork(`machine/${name}`);
    const { skewPpm, wallErrorMs } = context.faults.clock;
    this.clock = new MachineClock(
      1 + this.#prng.between([-skewPpm, skewPpm]) / 1_000_000,
      this.#prng.between([-wallErrorMs, wallErrorMs]),
    );
    this.#ring = new EventRing(name);
    this.mount("/", options.capacityBytes);
    [this.#process, this.#world] = this.#begin();
  }

  /** With power. */
  get up(): boolean {
    return this.#up;
  }

  /** Of the main process, dead or alive; a restart makes a new one. */
  get world(): World {
    return this.#world;
  }

  get alive(): boolean {
    return this.#process.alive;
  }

  /** The last events of all processes, oldest first. */
  get events(): readonly SimEvent[] {
    return this.#ring.events;
  }

  /** What happens to it from outside, among its own events. */
  note(name: string, fields: EventFields = {}): void {
    const event: SimEvent = { atMs: this.#context.scheduler.nowMs, machine: this.name, level: "info", name, fields };
    this.#ring.add(event);
    this.#context.onEvent(event);
  }

  address(port: number): string {
    return `${this.name}:${port}`;
  }

  /** One more drive, at this path. */
  mount(path: string, capacityBytes?: number): SimDrive {
    const { scheduler, faults } = this.#context;
    const drive = new SimDrive(path, {
      name: `${this.name}:${path}`,
      scheduler,
      prng: this.#prng.fork(`drive${path}`),
      faults: faults.disk,
      ...(capacityBytes === undefined ? {} : { capacityBytes }),
    });
    this.#drives.push(drive);
    return drive;
  }

  /** The drive that holds a path: faults, capacity, corruption. */
  drive(path = "/"): SimDrive {
    return driveOf(this.#drives, path);
  }

  /** Those of the simulation changed: for all drives. */
  onFaults(): void {
    for (const drive of this.#drives) drive.faults = this.#context.faults.disk;
  }

  /** Runs code in the main process, beginning at the next event. It never ends if the process ends before. */
  run<T>(code: (world: World) => Promise<T>): Task<T> {
    const world = this.#world;
    return new Task(this.#context.scheduler, this.#process, () => code(world));
  }

  /**
   * The process dies at once; with power loss so do its children, and all that was not synced is lost by chance: each part is
   * kept with the probability `keep`, which is drawn if not given.
   */
  crash({ powerLoss, keep }: { readonly powerLoss: boolean; readonly keep?: number }): void {
    const { scheduler, faults } = this.#context;
    scheduler.count(powerLoss ? "machine.power-loss" : "machine.killed");
    scheduler.trace.mix(this.id);
    this.note(powerLoss ? "machine.power-loss" : "machine.killed");
    const end = powerLoss ? "power-loss" : "killed";
    this.#process.end(end);
    for (const child of this.#children) {
      if (!powerLoss && scheduler.strikes(this.#prng, faults.process.orphan, "process.orphan")) continue;
      this.#children.delete(child);
      child.end(end);
    }
    if (!powerLoss) return;
    this.#up = false;
    this.services.clear();
    for (const drive of this.#drives) drive.losePower(keep);
  }

  /** Power and a new main process with a new world, over the same drives. */
  restart(): World {
    if (this.alive) this.crash({ powerLoss: false });
    [this.#process, this.#world] = this.#begin();
    this.#up = true;
    this.note("machine.started");
    this.#context.network.changed();
    return this.#world;
  }

  /** All processes stop for so long; the system goes on and takes what arrives. */
  pause(ms: number): void {
    this.#context.scheduler.count("machine.pause");
    this.note("machine.paused", { ms });
    this.#process.pause(ms);
    for (const child of this.#children) child.pause(ms);
  }

  #begin(): [SimProcess, World] {
    const process = this.#newProcess(`${this.name}#${++this.#starts}`);
    return [process, this.#makeWorld(process)];
  }

  #newProcess(name: string): SimProcess {
    return new SimProcess(this.#context.nextProcessId(), name, this.#context.scheduler);
  }

  #makeWorld(process: SimProcess): World {
    const { scheduler, network } = this.#context;
    const prng = this.#prng.fork(process.name);
    const clock = makeSimClock(scheduler, process, this.clock, prng);
    return {
      clock,
      random: makeSimRandom(prng),
      crypto: makeSimCrypto(),
      disk: new SimDisk(this.#drives, new DiskWorker(scheduler, process, () => clock.wallMs())),
      stream: new SimStream(network, this, process),
      control: new SimControl(network, this, process),
      spawn: new SimSpawn({
        context: this.#context,
        parent: process,
        prng: prng.fork("spawn"),
        begin: (name) => {
          const child = this.#newProcess(`${process.name}/${name}`);
          this.#children.add(child);
          child.hold({ onProcessEnd: () => this.#children.delete(child) });
          return { process: child, world: this.#makeWorld(child) };
        },
      }),
      events: makeSimEvents({
        ring: this.#ring,
        process,
        scheduler,
        level: this.#context.eventLevel,
        hook: (event) => this.#context.onEvent(event),
      }),
    };
  }
}
