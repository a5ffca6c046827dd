/** A whole cluster without bad luck but what a test makes: production code of every role, simulated machines. */
import { concatBytes } from "../../src/base/bytes.ts";
import { GfsClient } from "../../src/client/gfs-client.ts";
import type { World } from "../../src/io.ts";
import type { Location } from "../../src/wire/control/common.ts";
import { Cluster } from "../sim/cluster.ts";
import { History } from "../sim/history.ts";
import { simLimits } from "../sim/sim-limits.ts";
import { noFaults } from "../sim/world/fault-settings.ts";
import type { Machine } from "../sim/world/machine.ts";
import { Simulation } from "../sim/world/simulation.ts";
import type { Task } from "../sim/world/task.ts";

/** Virtual time in which anything must have happened. */
const patienceMs = 120_000;

type ClientCode<T> = (client: GfsClient, world: World) => Promise<T>;

export class SmallCluster {
  readonly simulation: Simulation;
  readonly cluster: Cluster;
  readonly #history: History;

  constructor({ chunkservers = 4, masterDirectories = 1, limits = simLimits, seed = 1 } = {}) {
    this.simulation = new Simulation(seed, { faults: noFaults });
    this.#history = new History(() => this.simulation.nowMs);
    this.cluster = new Cluster(this.simulation, this.#history, { chunkservers, limits, masterDirectories });
    this.cluster.start();
    this.as("starter", async (client, world) => {
      while ((await client.status()).servers.length < chunkservers) await pause(world, 100);
    });
  }

  /** Runs code with a client on a machine of this name, beside everything else. */
  begin<T>(name: string, code: ClientCode<T>, options: { location?: Location } = {}): Task<T> {
    return this.simulation.machine(name).run(async (world) => {
      const master = this.cluster.masterAddress;
      await using client = await GfsClient.connect(world, { master, limits: this.cluster.limits, ...options });
      return await code(client, world);
    });
  }

  /** The same, to its end. */
  as<T>(name: string, code: ClientCode<T>, options: { location?: Location } = {}): T {
    return this.simulation.complete(this.begin(name, code, options), patienceMs);
  }

  /** Lets time pass until it is so. */
  until(what: string, holds: (client: GfsClient) => Promise<boolean>): void {
    this.as(`waiter for ${what}`, async (client, world) => {
      while (!(await holds(client))) await pause(world, 250);
    });
  }

  /** The server whose replicas have this label. */
  server(label: string): Machine {
    const found = this.cluster.servers.find(({ name }) => name === label);
    if (found === undefined) throw new Error(`no server ${label}`);
    return found;
  }

  /** What went wrong by itself. */
  get violations(): readonly string[] {
    return this.#history.violations.map(({ what }) => what);
  }
}

export async function readAll(client: GfsClient, path: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of client.read(path)) pieces.push(piece);
  return concatBytes(pieces);
}

function pause(world: World, ms: number): Promise<void> {
  return new Promise((resolve) => {
    world.clock.after(ms, resolve);
  });
}
