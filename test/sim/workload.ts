/** Clients at work: each machine runs the library, several operations at a time, and begins again after each crash. Everything goes into the history. */
import { asGfsError, type GfsError, hasCode } from "../../src/base/errors.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import type { World } from "../../src/io.ts";
import { ControlClient } from "../../src/net/control-client.ts";
import { appendTail } from "../../src/wire/control/files.ts";
import { connectTo, pause } from "./client-machine.ts";
import type { Cluster } from "./cluster.ts";
import { parsePieces, recordBytesMin, recordOf } from "./content.ts";
import {
  type AppendCall,
  type History,
  isUnknown,
  type PutCall,
  type ReadCall,
  type StatCall,
  type Tick,
} from "./history.ts";
import { type TreeLane, TreeOperations } from "./tree-operations.ts";
import { groupDirectory, hotDirectory, type WorkloadSettings } from "./workload-settings.ts";
import type { Machine } from "./world/machine.ts";

interface Lane {
  readonly name: string;
  readonly client: GfsClient;
  readonly world: World;
}

export class Workload {
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #settings: WorkloadSettings;
  readonly machines: readonly Machine[];
  readonly #perGroup = new Map<string, number>();
  readonly tree: TreeOperations;
  #hotAppends = 0;
  #running = 0;
  #over = false;

  constructor(cluster: Cluster, history: History, settings: WorkloadSettings) {
    this.#cluster = cluster;
    this.#history = history;
    this.#settings = settings;
    this.tree = new TreeOperations(history, settings.directories);
    this.machines = Array.from({ length: settings.clients }, (_, i) => cluster.simulation.machine(`client${i + 1}`));
  }

  /** Whether files may want another number of replicas than the cluster's. */
  get choosesReplicas(): boolean {
    return this.#settings.choice > 0;
  }

  /** Operations in flight, over all clients that live. */
  get running(): number {
    return this.#running;
  }

  start(): void {
    for (const machine of this.machines) this.#begin(machine);
  }

  /** No new operations; those in flight end by themselves. */
  stop(): void {
    this.#over = true;
  }

  crash(machine: Machine, downMs: number, powerLoss: boolean): void {
    if (!machine.alive) return;
    machine.crash({ powerLoss });
    for (const task of this.#inFlight.get(machine) ?? []) {
      task.ended = true;
      this.#running--;
    }
    this.#inFlight.delete(machine);
    const world = machine.world;
    this.#cluster.simulation.after(downMs, () => {
      if (machine.world !== world) return;
      machine.restart();
      this.#begin(machine);
    });
  }

  readonly #inFlight = new Map<Machine, Set<{ ended: boolean }>>();

  #begin(machine: Machine): void {
    if (this.#over) return;
    const world = machine.world;
    const task = machine.run(() => this.#runClient(machine, world));
    const watch = (): void => {
      if (machine.world !== world || task.state === "dead" || task.state === "done") return;
      if (task.state === "failed") {
        this.#history.violations.push({
          promise: "harness",
          what: `${machine.name} failed: ${task.error?.stack ?? ""}`,
        });
        return;
      }
      this.#cluster.simulation.after(500, watch);
    };
    watch();
  }

  async #runClient(machine: Machine, world: World): Promise<void> {
    for (let attempt = 0; !this.#over; attempt++) {
      try {
        const client = await connectTo(this.#cluster, world, machine.name);
        const lanes = Array.from({ length: this.#settings.lanes }, (_, i) =>
          this.#runLane({ name: `${machine.name}/${i}/${world.random.fraction()}`, client, world }, machine),
        );
        await Promise.all(lanes);
        await client[Symbol.asyncDispose]();
        return;
      } catch (error) {
        // The master may be away for now.
        if (!hasCode(error, "Timeout", "Unavailable", "Busy")) throw error;
        await pause(world, 50 + world.random.fraction() * 200);
      }
    }
  }

  async #runLane(lane: Lane, machine: Machine): Promise<void> {
    const { operations, durationMs, clients, lanes } = this.#settings;
    const meanMs = (durationMs * clients * lanes) / operations;
    while (!this.#over) {
      // In bursts, with rests between them.
      const rest = lane.world.random.fraction() < 0.1 ? 8 : 0.2;
      await pause(lane.world, lane.world.random.fraction() * 2 * rest * meanMs);
      if (this.#over) return;
      const task = { ended: false };
      const tasks = this.#inFlight.get(machine) ?? new Set();
      this.#inFlight.set(machine, tasks);
      tasks.add(task);
      this.#running++;
      try {
        await this.#operate(lane);
      } finally {
        if (!task.ended) {
          task.ended = true;
          tasks.delete(task);
          this.#running--;
        }
      }
    }
  }

  async #operate(lane: Lane): Promise<void> {
    const random = (): number => lane.world.random.fraction();
    if (random() < this.#settings.hotWeight || this.#settings.groups === 0) {
      const path = `${hotDirectory}/f${pick(random, this.#settings.hotFiles)}`;
      const draw = random();
      if (random() < this.#settings.distrust) return this.#distrust(lane, path);
      if (by(random, this.#settings.ranges))
        return this.tree.readRange(this.#inTree(lane), path, this.#hotAppends * 4_000);
      const more = this.#hotAppends < this.#settings.hotAppends;
      if (more && draw < this.#settings.pipelined) await this.#appendRun(lane, path);
      else if (more && draw < 0.75) await this.#append(lane, path, true);
      else if (draw < 0.95) await this.read(lane.client, lane.name, path);
      else await this.#stat(lane, path);
      return;
    }
    const directory = groupDirectory(pick(random, this.#settings.groups));
    const count = this.#perGroup.get(directory) ?? 0;
    if (count >= this.#settings.operationsPerGroup) return;
    this.#perGroup.set(directory, count + 1);
    const inTree = this.#inTree(lane);
    const where = by(random, this.#settings.tree) ? this.tree.directoryOf(inTree, directory) : directory;
    const path = `${where}/f${pick(random, this.#settings.filesPerGroup)}`;
    if (by(random, this.#settings.tree)) return this.tree.operate(inTree, directory, path);
    if (by(random, this.#settings.choice)) return this.tree.choose(inTree, directory, path);
    if (random() < this.#settings.appenders) return this.#appendRun(lane, path);
    const draw = random();
    if (draw < 0.2) await this.#put(lane, path);
    else if (draw < 0.5) await this.#append(lane, path, random() < 0.7);
    else if (draw < 0.75) await this.read(lane.client, lane.name, path);
    else if (draw < 0.8) await this.#stat(lane, path);
    else if (draw < 0.88) await this.tree.remove(inTree, path, false);
    else if (draw < 0.95) {
      const to = `${directory}/f${pick(random, this.#settings.filesPerGroup)}`;
      if (to !== path) await this.tree.move(inTree, path, to);
    } else await this.tree.list(lane, directory);
  }

  #inTree(lane: Lane): TreeLane {
    const random = (): number => lane.world.random.fraction();
    return { name: lane.name, client: lane.client, random, signal: () => this.#signal(lane) };
  }

  /** A signal that gives the operation up, for some. */
  #signal(lane: Lane): AbortSignal | undefined {
    if (lane.world.random.fraction() >= this.#settings.abandoned) return undefined;
    const controller = new AbortController();
    lane.world.clock.after(lane.world.random.fraction() ** 2 * 2_000, () => controller.abort());
    return controller.signal;
  }

  async #put(lane: Lane, path: string): Promise<void> {
    const random = lane.world.random.fraction();
    const draw = lane.world.random.fraction();
    const bytes = draw < 0.05 ? 0 : recordBytesMin + Math.floor(random * (draw < 0.6 ? 3_000 : 180_000));
    const overwrite = lane.world.random.fraction() < 0.8;
    const call = this.#history.add<PutCall>({ ...this.#history.call(lane.name, path), kind: "put", bytes, overwrite });
    try {
      const content = bytes === 0 ? new Uint8Array() : recordOf(call.id, bytes);
      await lane.client.put({ kind: "bytes", bytes: content }, path, { overwrite, signal: this.#signal(lane) });
      this.#history.done(call);
    } catch (error) {
      this.#history.failed(call, asGfsError(error));
    }
  }

  #newAppend(lane: Lane, path: string, create: boolean, found?: Tick): AppendCall {
    const { random } = lane.world;
    const most =
      random.fraction() < this.#settings.largeAppends
        ? 150_000
        : random.fraction() < this.#settings.bigRecords
          ? 16_000
          : 1_000;
    const bytes = recordBytesMin + Math.floor(random.fraction() * most);
    if (path.startsWith(hotDirectory)) this.#hotAppends++;
    const call = this.#history.call(lane.name, path);
    return this.#history.add<AppendCall>({
      ...call,
      kind: "append",
      bytes,
      create,
      found: found ?? call.called,
      lane: lane.name,
      offsets: [],
    });
  }

  async #append(lane: Lane, path: string, create: boolean): Promise<void> {
    const keyed = lane.world.random.fraction() < this.#settings.keyed;
    const call = this.#newAppend(lane, path, create);
    const data = recordOf(call.id, call.bytes);
    const id = keyed ? `key-${call.id}` : undefined;
    let doubt: GfsError | undefined;
    for (let attempt = 0; ; attempt++) {
      try {
        const { offset } = await lane.client.appendToFile(path, data, { id, create, signal: this.#signal(lane) });
        call.offsets.push(offset);
        // An id repeated after its answer gets the same answer.
        if (keyed && attempt === 0 && path.startsWith(hotDirectory) && lane.world.random.fraction() < 0.2) continue;
        this.#history.done(call);
        return;
      } catch (thrown) {
        const error = asGfsError(thrown);
        const again = keyed && attempt < 4 && path.startsWith(hotDirectory);
        if (call.offsets.length > 0) return this.#history.done(call);
        // What a later attempt is refused with says nothing about an earlier one.
        if (isUnknown(error)) doubt = error;
        if (again && doubt === error) continue;
        this.#history.failed(call, doubt ?? error);
        return;
      }
    }
  }

  /** Many records to one file that is looked up once, in a burst or with rests; in a group only to one that is there. */
  async #appendRun(lane: Lane, path: string): Promise<void> {
    const random = (): number => lane.world.random.fraction();
    const hot = path.startsWith(hotDirectory);
    const count = 1 + pick(random, hot ? 20 : 6);
    const restMs = random() < (hot ? 0.7 : 0.2) ? 0 : random() * 600;
    const calls: Promise<void>[] = [];
    const found = this.#history.tick();
    try {
      const appender = await lane.client.appender(path, { create: hot });
      for (let i = 0; i < count; i++) {
        await appender.ready();
        if (restMs > 0) await pause(lane.world, random() * restMs);
        const call = this.#newAppend(lane, path, hot, found);
        const sent = this.#settle(call, appender.append(recordOf(call.id, call.bytes)));
        calls.push(sent);
      }
      await Promise.all(calls);
      await appender.close();
    } catch (error) {
      await Promise.all(calls);
      this.#mayFail(error);
    }
  }

  async #settle(call: AppendCall, answer: Promise<{ readonly offset: number }>): Promise<void> {
    try {
      call.offsets.push((await answer).offset);
      this.#history.done(call);
    } catch (error) {
      this.#history.failed(call, asGfsError(error));
    }
  }

  /** Has the tail sealed early: for the master it is what a client says that saw it fail. */
  async #distrust(lane: Lane, path: string): Promise<void> {
    const control = new ControlClient(lane.world, { role: "client", clusterId: () => undefined });
    try {
      const { entry, extents } = await lane.client.stat(path);
      const tail = extents.at(-1);
      if (tail?.state !== "open") return;
      const failed = { handle: tail.handle, version: tail.version, reason: "simulated" };
      const request = { inode: entry.inode, recordBytes: 1, failed };
      await control.call(this.#cluster.masterAddress, appendTail, request, { timeoutMs: 1_000 });
    } catch (error) {
      this.#mayFail(error);
    } finally {
      control.close();
    }
  }

  /** Errors outside any one operation of the history. */
  #mayFail(thrown: unknown): void {
    const error = asGfsError(thrown);
    if (error.code === "Bug")
      this.#history.violations.push({ promise: "P7", what: `a bug: ${error.message} ${error.stack ?? ""}` });
  }

  /** The whole file. */
  async read(client: GfsClient, name: string, path: string): Promise<ReadCall> {
    const call = this.#history.add<ReadCall>({ ...this.#history.call(name, path), kind: "read", content: undefined });
    try {
      const pieces: Uint8Array[] = [];
      for await (const piece of client.read(path)) pieces.push(piece);
      call.content = parsePieces(pieces);
      this.#history.done(call);
    } catch (thrown) {
      const error = asGfsError(thrown);
      if (error.code === "NotFound") this.#history.done(call);
      else this.#history.failed(call, error);
    }
    return call;
  }

  async #stat(lane: Lane, path: string): Promise<void> {
    const call = this.#history.add<StatCall>({
      ...this.#history.call(lane.name, path),
      kind: "stat",
      bytes: undefined,
    });
    try {
      call.bytes = (await lane.client.stat(path)).entry.bytes;
      this.#history.done(call);
    } catch (thrown) {
      const error = asGfsError(thrown);
      if (error.code === "NotFound") this.#history.done(call);
      else this.#history.failed(call, error);
    }
  }
}

function pick(random: () => number, count: number): number {
  return Math.floor(random() * count);
}

/** True with this probability; draws nothing where it is 0. */
function by(random: () => number, probability: number): boolean {
  return probability > 0 && random() < probability;
}
