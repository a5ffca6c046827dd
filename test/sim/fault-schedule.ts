/** What happens to a cluster from outside while clients work: each kind of trouble at times of its own, and undone after a while. */
import type { Cluster } from "./cluster.ts";
import { type DriveSettings, DriveTrouble } from "./drive-trouble.ts";
import type { Machine } from "./world/machine.ts";
import type { Prng } from "./world/prng.ts";

/** Mean time between two of a kind in virtual ms; undefined: never. A plain object, printed with a failure. */
export interface ScheduleSettings {
  readonly killServerMs: number | undefined;
  readonly killMasterMs: number | undefined;
  readonly killClientMs: number | undefined;
  /** All chunkservers lose power together. */
  readonly blackoutMs: number | undefined;
  /** When one server is lost for ever, with its drive; once. What is acknowledged was synced on two at least. */
  readonly loseServerAtMs: number | undefined;
  readonly partitionMs: number | undefined;
  readonly pauseMs: number | undefined;
  readonly slowDiskMs: number | undefined;
  readonly clockJumpMs: number | undefined;
  readonly drives: DriveSettings | undefined;
  /** Of the crashes: with power loss, so that what was not synced may be gone. */
  readonly powerLoss: number;
  readonly downMsMax: number;
}

export const quietSchedule: ScheduleSettings = {
  killServerMs: undefined,
  killMasterMs: undefined,
  killClientMs: undefined,
  blackoutMs: undefined,
  loseServerAtMs: undefined,
  partitionMs: undefined,
  pauseMs: undefined,
  slowDiskMs: undefined,
  clockJumpMs: undefined,
  drives: undefined,
  powerLoss: 0.5,
  downMsMax: 5_000,
};

export function drawSchedule(prng: Prng): ScheduleSettings {
  const often = (chance: number, fastest: number): number | undefined =>
    prng.chance(chance) ? Math.round(fastest + prng.fraction() * 4 * fastest) : undefined;
  return {
    killServerMs: often(0.7, 2_500),
    killMasterMs: often(0.5, 6_000),
    killClientMs: often(0.4, 6_000),
    blackoutMs: often(0.25, 12_000),
    loseServerAtMs: often(0.25, 5_000),
    partitionMs: often(0.6, 4_000),
    pauseMs: often(0.5, 4_000),
    slowDiskMs: often(0.3, 8_000),
    clockJumpMs: often(0.2, 10_000),
    drives: undefined,
    powerLoss: prng.fraction(),
    downMsMax: prng.chance(0.5) ? 1_500 : 10_000,
  };
}

export class FaultSchedule {
  readonly #cluster: Cluster;
  readonly #settings: ScheduleSettings;
  readonly #prng: Prng;
  readonly #restartClient: (machine: Machine, downMs: number, powerLoss: boolean) => void;
  readonly #clients: readonly Machine[];
  readonly #drives: DriveTrouble;
  readonly #partitions = new Set<readonly [readonly string[], readonly string[]]>();
  #over = false;

  constructor(
    cluster: Cluster,
    settings: ScheduleSettings,
    clients: {
      readonly machines: readonly Machine[];
      readonly crash: (machine: Machine, downMs: number, powerLoss: boolean) => void;
    },
  ) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#prng = cluster.simulation.prng.fork("schedule");
    this.#clients = clients.machines;
    this.#drives = new DriveTrouble(cluster, cluster.simulation.prng.fork("drives"));
    this.#restartClient = clients.crash;
  }

  start(): void {
    const { killServerMs, killMasterMs, killClientMs, blackoutMs, loseServerAtMs } = this.#settings;
    const { partitionMs, pauseMs, slowDiskMs, clockJumpMs } = this.#settings;
    this.#repeat(killServerMs, () => this.#crash(this.#pick(this.#cluster.servers)));
    this.#repeat(killMasterMs, () => this.#crash(this.#cluster.master));
    this.#repeat(killClientMs, () => this.#restartClient(this.#pick(this.#clients), this.#downMs(), this.#powerLoss()));
    this.#repeat(blackoutMs, () => {
      for (const server of this.#cluster.servers)
        if (server.alive) this.#cluster.crash(server, { powerLoss: true }, this.#downMs());
    });
    if (loseServerAtMs !== undefined)
      this.#cluster.simulation.after(loseServerAtMs, () => {
        if (!this.#over) this.#drives.replaceVictim();
      });
    this.#repeat(partitionMs, () => this.#partition());
    this.#repeat(pauseMs, () => {
      const machine = this.#pick([...this.#cluster.machines, ...this.#clients]);
      machine.pause(this.#prng.integer(1, this.#prng.chance(0.5) ? 300 : 8_000));
    });
    this.#repeat(slowDiskMs, () => {
      const drive = this.#pick(this.#cluster.machines).drive();
      drive.slow(this.#prng.integer(2, 100));
      this.#cluster.simulation.after(this.#prng.integer(100, 5_000), () => drive.slow(1));
    });
    this.#repeat(clockJumpMs, () => {
      const jump = this.#prng.integer(-30_000, 30_000);
      this.#pick([...this.#cluster.machines, ...this.#clients]).clock.jump(jump);
    });
    const { drives } = this.#settings;
    this.#repeat(drives?.rotMs, () => this.#drives.rot());
    this.#repeat(drives?.misdirectedMs, () => this.#drives.misdirect());
    this.#repeat(drives?.failMs, () => this.#drives.fail());
    this.#repeat(drives?.fullMs, () => this.#drives.fill());
    this.#repeat(drives?.masterSyncMs, () => this.#drives.failMasterSync());
  }

  /** Nothing new from now on; links are open again and drives quick. What is down is not brought up here. */
  stop(): void {
    this.#over = true;
    this.#partitions.clear();
    this.#cluster.simulation.network.heal();
    for (const machine of this.#cluster.machines) machine.drive().slow(1);
    this.#drives.stop();
  }

  #repeat(meanMs: number | undefined, fault: () => void): void {
    if (meanMs === undefined) return;
    const next = (): void => {
      if (this.#over) return;
      fault();
      this.#cluster.simulation.after(this.#waitMs(meanMs), next);
    };
    this.#cluster.simulation.after(this.#waitMs(meanMs), next);
  }

  #waitMs(meanMs: number): number {
    return Math.min(meanMs * 4, -Math.log(1 - this.#prng.fraction()) * meanMs);
  }

  #crash(machine: Machine): void {
    if (machine.alive) this.#cluster.crash(machine, { powerLoss: this.#powerLoss() }, this.#downMs());
  }

  #powerLoss(): boolean {
    return this.#prng.chance(this.#settings.powerLoss);
  }

  #downMs(): number {
    return this.#prng.integer(1, this.#prng.chance(0.5) ? 500 : this.#settings.downMsMax);
  }

  #partition(): void {
    const { network } = this.#cluster.simulation;
    const all = [...this.#cluster.machines, ...this.#clients].map(({ name }) => name);
    const some = this.#prng.chance(0.6) ? [this.#pick(all)] : all.filter(() => this.#prng.chance(0.4));
    const others = this.#prng.chance(0.5)
      ? all.filter((name) => !some.includes(name))
      : all.filter((name) => !some.includes(name) && this.#prng.chance(0.5));
    const cuts: (readonly [readonly string[], readonly string[]])[] = this.#prng.chance(0.5)
      ? [
          [some, others],
          [others, some],
        ]
      : [this.#prng.chance(0.5) ? [some, others] : [others, some]];
    for (const cut of cuts) {
      this.#partitions.add(cut);
      network.block(...cut);
    }
    this.#cluster.simulation.scheduler.count("network.partition");
    this.#cluster.simulation.after(this.#prng.integer(20, this.#prng.chance(0.5) ? 600 : 8_000), () => {
      for (const cut of cuts) this.#partitions.delete(cut);
      if (this.#over) return;
      network.heal();
      for (const cut of this.#partitions) network.block(...cut);
    });
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#prng.integer(0, from.length - 1)]!;
  }
}
