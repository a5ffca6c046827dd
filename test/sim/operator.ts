/**
 * An operator at work while clients and bad luck are: drains servers and cancels it, takes those away for ever that are said to be safe to stop, adds empty ones, has
 * disks balanced and read, changes limits of repair. Whatever is done, nothing that was acknowledged may be lost by it: the checkers of the workload judge.
 */
import { asGfsError, hasCode } from "../../src/base/errors.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import type { World } from "../../src/io.ts";
import { connectTo, pause } from "./client-machine.ts";
import type { Cluster } from "./cluster.ts";
import type { History } from "./history.ts";
import type { Machine } from "./world/machine.ts";

/** A plain object, printed with a failure. */
export interface OperatorSettings {
  /** Mean time between two acts in virtual ms. */
  readonly actMs: number;
  /** Servers are added up to so many. */
  readonly serversMax: number;
  /** After all faults are over one more is drained, and must become safe to stop in bounded time. */
  readonly drainsLast: boolean;
}

type Act = (client: GfsClient, world: World) => Promise<void>;

const lookMs = 400;

export class Operator {
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #settings: OperatorSettings;
  readonly #machine: Machine;
  readonly #drained = new Set<Machine>();
  /** Taken away; what the cluster still knows of them is to be forgotten. */
  readonly #gone = new Set<string>();
  #over = false;
  #running = false;

  constructor(cluster: Cluster, history: History, settings: OperatorSettings) {
    this.#cluster = cluster;
    this.#history = history;
    this.#settings = settings;
    this.#machine = cluster.simulation.machine("operator");
  }

  /** Drained after all faults are over, where there are enough others. */
  get lastToGo(): Machine | undefined {
    const { servers, limits } = this.#cluster;
    return this.#settings.drainsLast && servers.length > limits.replicas ? servers[0] : undefined;
  }

  /** Whether an act is still under way. */
  get running(): boolean {
    return this.#running;
  }

  start(): void {
    this.#running = true;
    const task = this.#machine.run((): Promise<void> => this.#work(this.#machine.world));
    const watch = (): void => {
      if (task.state === "running") return this.#cluster.simulation.after(500, watch);
      this.#running = false;
      if (task.error !== undefined)
        this.#history.violations.push({ promise: "harness", what: `the operator failed: ${task.error.stack ?? ""}` });
    };
    watch();
  }

  /** Nothing new; what is under way ends by itself. */
  stop(): void {
    this.#over = true;
  }

  async #work(world: World): Promise<void> {
    while (!this.#over)
      await this.#try(async () => {
        await using client = await connectTo(this.#cluster, world, "operator");
        await this.#workWith(client, world);
      });
  }

  async #workWith(client: GfsClient, world: World): Promise<void> {
    for (let untilActMs = this.#restMs(world); !this.#over; untilActMs -= lookMs) {
      await pause(world, lookMs);
      await this.#try(() => this.#look(client, world));
      if (untilActMs > 0) continue;
      untilActMs = this.#restMs(world);
      await this.#try(() => this.#pickAct(world)(client, world));
    }
  }

  #restMs(world: World): number {
    return world.random.fraction() * 2 * this.#settings.actMs;
  }

  /** A cluster in trouble may refuse, or not answer: the operator goes on with something else. */
  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const error = asGfsError(thrown);
      this.#count(`refused-${error.code}`);
      if (hasCode(error, "Bug", "ProtocolError"))
        this.#history.violations.push({
          promise: "P7",
          what: `the operator met a bug: ${error.stack ?? error.message}`,
        });
    }
  }

  #count(what: string): void {
    this.#cluster.simulation.scheduler.count(`operator.${what}`);
  }

  #pickAct(world: World): Act {
    const draw = world.random.fraction();
    if (draw < 0.35) return (client) => this.#drain(client, world);
    if (draw < 0.45) return (client) => this.#undrain(client, world);
    if (draw < 0.55) return () => this.#add();
    if (draw < 0.7) return (client) => this.#scrub(client, world);
    if (draw < 0.85) return (client) => this.#balance(client, world);
    if (draw < 0.95) return (client) => this.#limitRepair(client, world);
    return async (client) => {
      this.#count("go-on");
      await client.operator.repairResume();
      await client.operator.safeModeLeave();
    };
  }

  #anyServer(world: World): Machine | undefined {
    const { servers } = this.#cluster;
    return servers[Math.floor(world.random.fraction() * servers.length)];
  }

  async #drain(client: GfsClient, world: World): Promise<void> {
    const server = this.#anyServer(world);
    if (server === undefined) return;
    this.#drained.add(server);
    await client.operator.drain(server.name);
    this.#count("drain");
  }

  async #undrain(client: GfsClient, world: World): Promise<void> {
    const drained = [...this.#drained];
    const server = drained[Math.floor(world.random.fraction() * drained.length)];
    if (server === undefined) return;
    // Whatever becomes of the call: nobody may take it for one that is drained.
    this.#drained.delete(server);
    await client.operator.undrain(server.name);
    this.#count("undrain");
  }

  async #add(): Promise<void> {
    if (this.#cluster.servers.length >= this.#settings.serversMax) return;
    this.#cluster.add();
    this.#count("add-server");
  }

  async #scrub(client: GfsClient, world: World): Promise<void> {
    const server = world.random.fraction() < 0.5 ? this.#anyServer(world) : undefined;
    const target = server === undefined ? ({ kind: "path", path: "/" } as const) : undefined;
    await client.operator.scrub(target ?? { kind: "server", server: server?.name ?? "" });
    this.#count("scrub");
  }

  async #balance(client: GfsClient, world: World): Promise<void> {
    const value = world.random.fraction() < 0.8 ? 1 : 0;
    const threshold = 1 + Math.floor(world.random.fraction() * 5);
    await client.operator.changeSettings([
      { name: "balance", value },
      { name: "balance-threshold", value: threshold },
    ]);
    this.#count("balance");
  }

  async #limitRepair(client: GfsClient, world: World): Promise<void> {
    const pick = (...values: readonly (number | undefined)[]): number | undefined =>
      values[Math.floor(world.random.fraction() * values.length)];
    await client.operator.changeSettings([
      { name: "repair-streams", value: pick(undefined, 0, 1, 8) },
      { name: "repair-streams-per-server", value: pick(undefined, 1, 4) },
      { name: "repair-server-rate", value: pick(undefined, 0, 1_000_000) },
    ]);
    this.#count("limit-repair");
  }

  /** What is safe to stop goes, for ever; now, or after a while in which it must stay safe. */
  async #look(client: GfsClient, world: World): Promise<void> {
    for (const name of this.#gone) {
      if (world.random.fraction() < 0.8) continue;
      await client.operator.decommission(name);
      this.#gone.delete(name);
      this.#count("decommission");
    }
    if (this.#drained.size === 0) return;
    const reports = await client.operator.drains();
    for (const server of this.#drained) {
      const report = reports.find(({ label }) => label === server.name);
      if (report?.state !== "safe") continue;
      this.#count("safe");
      if (world.random.fraction() < 0.3) return this.#undrainOne(client, server);
      if (world.random.fraction() < 0.5) await pause(world, world.random.fraction() * 2_000);
      this.#drained.delete(server);
      // Another fault may have taken it meanwhile.
      if (this.#over || !this.#cluster.servers.includes(server)) continue;
      this.#count("taken-away");
      server.note("operator.takes-away");
      this.#cluster.replace(server);
      this.#gone.add(server.name);
    }
  }

  async #undrainOne(client: GfsClient, server: Machine): Promise<void> {
    this.#drained.delete(server);
    await client.operator.undrain(server.name);
  }
}

/** After the faults: what an operator had begun or forbidden stands in nobody's way. */
export async function endOperations(cluster: Cluster, world: World): Promise<void> {
  await using client = await connectTo(cluster, world, "verifier");
  for (const { volume } of await client.operator.drains()) await client.operator.undrain(volume);
  const changed = (await client.operator.settings()).filter(
    ({ name, value }) => value !== undefined && !name.startsWith("balance"),
  );
  if (changed.length > 0) await client.operator.changeSettings(changed.map(({ name }) => ({ name, value: undefined })));
}

/** Until it is said to be safe to stop; undefined then, else why it was not in time. */
export async function drainToTheEnd(
  cluster: Cluster,
  server: Machine,
  { world, withinMs }: { readonly world: World; readonly withinMs: number },
): Promise<string | undefined> {
  await using client = await connectTo(cluster, world, "verifier");
  const { volume } = await client.operator.drain(server.name);
  const beganMs = world.clock.monotonicMs();
  for (;;) {
    const [report] = await client.operator.drains(volume);
    if (report?.state === "safe") return undefined;
    if (world.clock.monotonicMs() - beganMs > withinMs)
      return `${server.name} is not safe to stop ${withinMs} ms after it was drained: ${JSON.stringify(report)}`;
    await pause(world, 200);
  }
}
