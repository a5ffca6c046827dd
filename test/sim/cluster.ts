/** A whole cluster in one simulation: the production code of every role, each on a machine of its own, started again after each end. */
import { type Chunkserver, startChunkserver } from "../../src/chunkserver/chunkserver.ts";
import { GfsError } from "../../src/base/errors.ts";
import type { World } from "../../src/io.ts";
import type { Limits } from "../../src/limits.ts";
import { runCheckpoint } from "../../src/master/checkpoint.ts";
import { type Master, startMaster } from "../../src/master/master.ts";
import type { History } from "./history.ts";
import type { Machine } from "./world/machine.ts";
import type { Simulation } from "./world/simulation.ts";

export interface ClusterOptions {
  readonly chunkservers: number;
  readonly limits: Limits;
  /** Directories of the operation log. */
  readonly masterDirectories: number;
  /** Of each chunkserver's drive; far more than enough if undefined. */
  readonly serverBytes?: number | undefined;
}

const controlPort = 4370;
const dataPort = 4371;
const version = "simulated";

export class Cluster {
  readonly simulation: Simulation;
  readonly limits: Limits;
  readonly master: Machine;
  /** In service; one whose drive was lost is not among them any more. */
  readonly servers: Machine[] = [];
  #dialed: Machine;
  readonly #history: History;
  /** Directories of the operation log. */
  readonly masterDirectories: readonly string[];
  readonly #places = new Map<Machine, number>();
  readonly #serverBytes: number | undefined;
  #serverCount = 0;
  readonly #masters = new Map<World, Master>();
  readonly #chunkservers = new Map<World, Chunkserver>();
  readonly #retired = new Set<Machine>();
  readonly #successors = new Map<Machine, Machine>();
  /** Machines whose role may end by itself, since their drives were harmed; what to do then. */
  readonly #mayEnd = new Map<Machine, (machine: Machine) => void>();
  /** Machines whose drive was full at some time: a chunkserver that is new there may not even begin, nor a master that has to restore a mirror. */
  readonly #wereFull = new Set<Machine>();

  constructor(simulation: Simulation, history: History, options: ClusterOptions) {
    this.simulation = simulation;
    this.limits = options.limits;
    this.#history = history;
    this.#serverBytes = options.serverBytes;
    this.masterDirectories = Array.from({ length: options.masterDirectories }, (_, i) => `/master${i + 1}`);
    simulation.program("checkpoint-master", async (world, args) => {
      await runCheckpoint(world, args.slice(1), this.limits);
      return { exitCode: 0 };
    });
    simulation.onEvent(({ name, machine }) => {
      if (name === "volume.retired") this.#retired.add(simulation.machine(machine));
    });
    this.master = simulation.machine("master");
    this.#dialed = this.master;
    for (let i = 0; i < options.chunkservers; i++) this.#addServer();
  }

  get masterAddress(): string {
    return this.#dialed.address(controlPort);
  }

  /** Whoever begins from now on takes this machine for the master's. */
  dial(machine: Machine): void {
    this.#dialed = machine;
  }

  /** A master beside the cluster's own, on a machine that has a directory for it. */
  beginAnother(machine: Machine): void {
    const world = machine.world;
    machine.run(async () => {
      const master = await this.#startMaster(world, machine);
      await master.failed;
    });
  }

  /** All machines of servers, the master first. */
  get machines(): readonly Machine[] {
    return [this.master, ...this.servers];
  }

  /** All roles begin. */
  start(): void {
    for (const machine of this.machines) this.begin(machine);
  }

  /** Starts the role of a machine whose process is new. */
  begin(machine: Machine): void {
    const world = machine.world;
    const task = machine.run(() =>
      machine === this.master ? this.#serveMaster(world) : this.#serveChunks(world, machine),
    );
    // A role that ends by itself is started again by whoever supervises it, a little later.
    const supervise = (): void => {
      if (machine.world !== world) return;
      if (task.state === "failed") return this.#ended(machine, task.error);
      this.simulation.after(1_000, supervise);
    };
    this.simulation.after(1_000, supervise);
  }

  /** From now on: its drive does harm that it can't go on with. */
  mayEnd(machine: Machine, then: (machine: Machine) => void): void {
    this.#mayEnd.set(machine, then);
  }

  /** From now on: there may be no room for what a role needs to begin, which is begun again until there is. */
  mayLackSpace(machine: Machine): void {
    this.#wereFull.add(machine);
  }

  #ended(machine: Machine, error: Error | undefined): void {
    const begun = this.#masters.has(machine.world) || this.#chunkservers.has(machine.world);
    const isFull = error instanceof GfsError && (error.code === "NoSpace" || error.details["kind"] === "full");
    const lacksSpace = isFull && !begun && this.#wereFull.has(machine);
    const then = this.#mayEnd.get(machine) ?? (lacksSpace ? (it: Machine) => this.#beginLater(it) : undefined);
    const expected = error instanceof GfsError && ["Corrupt", "DiskFailed", "NoSpace"].includes(error.code);
    if (then !== undefined && expected) {
      this.simulation.scheduler.count(`machine.ended-${error.code}`);
      machine.note("role.ended", { reason: error.message });
      if (machine.alive) machine.crash({ powerLoss: false });
      return then(machine);
    }
    const what = `${machine.name} ended by itself: ${error?.stack ?? error?.message ?? ""}`;
    this.#history.violations.push({ promise: "P7", what });
  }

  /** The process of a machine dies now, and the role begins again after `downMs`. */
  crash(machine: Machine, how: { readonly powerLoss: boolean; readonly keep?: number }, downMs: number): void {
    machine.crash(how);
    const world = machine.world;
    this.simulation.after(downMs, () => {
      if (machine.world === world && this.machines.includes(machine)) this.restart(machine);
    });
  }

  #beginLater(machine: Machine): void {
    const world = machine.world;
    this.simulation.after(1_000, () => {
      if (machine.world === world && this.machines.includes(machine)) this.restart(machine);
    });
  }

  restart(machine: Machine): void {
    machine.restart();
    this.begin(machine);
  }

  /** Everything that is down comes up. */
  reviveAll(): void {
    for (const machine of this.machines) if (!machine.alive || !machine.up) this.restart(machine);
  }

  /** A server and its drive are gone for ever; the empty one that takes its place. */
  replace(machine: Machine): Machine {
    machine.crash({ powerLoss: true });
    this.servers.splice(this.servers.indexOf(machine), 1);
    this.simulation.scheduler.count("machine.lost");
    const added = this.add();
    this.#successors.set(machine, added);
    return added;
  }

  /** Who took the place of a server that is gone for ever, and of whoever took it, if they are gone. */
  successorOf(machine: Machine): Machine {
    const successor = this.#successors.get(machine);
    return successor === undefined ? machine : this.successorOf(successor);
  }

  /** An empty server that joins. */
  add(): Machine {
    const added = this.#addServer();
    this.begin(added);
    return added;
  }

  /** It has taken its volume out of service, or could not open it. */
  isRetired(machine: Machine): boolean {
    return this.#retired.has(machine);
  }

  #addServer(): Machine {
    const drive = this.#serverBytes === undefined ? {} : { capacityBytes: this.#serverBytes };
    const machine = this.simulation.machine(`server${++this.#serverCount}`, drive);
    this.#places.set(machine, this.#serverCount);
    this.servers.push(machine);
    return machine;
  }

  /** The chunkserver that runs on a machine now. */
  chunkserver(machine: Machine): Chunkserver | undefined {
    return this.#chunkservers.get(machine.world);
  }

  get runningMaster(): Master | undefined {
    return this.#masters.get(this.master.world);
  }

  async #serveMaster(world: World): Promise<void> {
    const master = await this.#startMaster(world, this.master);
    this.#masters.clear();
    this.#masters.set(world, master);
    await master.failed;
  }

  #startMaster(world: World, machine: Machine): Promise<Master> {
    return startMaster(world, {
      dataDirs: [...this.masterDirectories],
      listen: machine.address(controlPort),
      limits: this.limits,
      insecure: true,
      version,
    });
  }

  async #serveChunks(world: World, machine: Machine): Promise<void> {
    const place = this.#places.get(machine) ?? 0;
    const server = await startChunkserver(world, {
      master: this.masterAddress,
      dataDir: "/volume",
      listen: machine.address(controlPort),
      dataListen: machine.address(dataPort),
      label: machine.name,
      location: { x: place, y: 0 },
      rack: `rack${place % 3}`,
      limits: this.limits,
      insecure: true,
      version,
    });
    this.#chunkservers.set(world, server);
    await server.failed;
  }
}
