/**
 * Drives that go wrong, within what gfs promises to survive: what destroys bytes strikes one server only, the same one all through the run, since what is acknowledged lies on two;
 * full drives and the master's failed syncs, which destroy nothing, strike any.
 */
import type { Cluster } from "./cluster.ts";
import type { Machine } from "./world/machine.ts";
import type { Prng } from "./world/prng.ts";

/** Mean time between two of a kind in virtual ms; undefined: never. */
export interface DriveSettings {
  /** A bit flips in a chunk's file, or in a closed segment of the volume's log. */
  readonly rotMs: number | undefined;
  /** The next write to a chunk's file lands on other sectors of it. */
  readonly misdirectedMs: number | undefined;
  /** The next read, write or sync of the victim fails; its volume is replaced a while later. */
  readonly failMs: number | undefined;
  /** No space is left, on one machine or on all servers, for a while. */
  readonly fullMs: number | undefined;
  /** The next sync of the master's log fails, in one of its directories. */
  readonly masterSyncMs: number | undefined;
}

export function drawDrives(prng: Prng): DriveSettings {
  const often = (chance: number, fastest: number): number | undefined =>
    prng.chance(chance) ? Math.round(fastest + prng.fraction() * 4 * fastest) : undefined;
  return {
    rotMs: often(0.4, 2_000),
    misdirectedMs: often(0.3, 4_000),
    failMs: often(0.25, 12_000),
    fullMs: often(0.35, 8_000),
    masterSyncMs: often(0.2, 15_000),
  };
}

const volume = "/volume";
const chunkFiles = `${volume}/chunks/`;

export class DriveTrouble {
  readonly #cluster: Cluster;
  readonly #prng: Prng;
  readonly #full = new Set<Machine>();
  #victim: Machine | undefined;
  #over = false;

  constructor(cluster: Cluster, prng: Prng) {
    this.#cluster = cluster;
    this.#prng = prng;
  }

  /** The one server whose drive may lose what it holds, or who took its place: another one may have the only copies, while nothing is copied. */
  get victim(): Machine {
    const { servers } = this.#cluster;
    this.#victim = this.#cluster.successorOf(this.#victim ?? servers[this.#prng.integer(0, servers.length - 1)]!);
    return this.#victim;
  }

  /** It is lost with its drive, for ever, and an empty one takes its place and its part. */
  replaceVictim(): void {
    this.#victim = this.#cluster.replace(this.victim);
  }

  rot(): void {
    const { victim } = this;
    const drive = victim.drive();
    const files = drive.files.filesUnder(volume);
    const logs = files.filter((path) => path.startsWith(`${volume}/log/`));
    // What rots in the last segment may look as if it had never been written: then only the others have it.
    const closed = logs.sort().slice(0, -1);
    const chunks = files.filter((path) => path.startsWith(chunkFiles));
    const from = closed.length > 0 && this.#prng.chance(0.1) ? closed : chunks;
    const path = from[this.#prng.integer(0, from.length - 1)];
    const bytes = path === undefined ? 0 : (drive.files.info(path)?.bytes ?? 0);
    if (path === undefined || bytes === 0) return;
    this.#cluster.mayEnd(victim, (machine) => this.#replaceLater(machine));
    victim.note("drive.rots", { path });
    drive.corrupt(path, this.#prng.integer(0, bytes - 1), 1 << this.#prng.integer(0, 7));
  }

  misdirect(): void {
    this.victim.drive().misdirectNext(chunkFiles);
  }

  fail(): void {
    const { victim } = this;
    const operations = ["read", "write", "sync"] as const;
    const operation = operations[this.#prng.integer(0, 2)]!;
    this.#cluster.mayEnd(victim, (machine) => this.#replaceLater(machine));
    victim.note("drive.fails", { operation });
    victim.drive().fail({ operation, pathPrefix: volume, times: this.#prng.chance(0.5) ? 1 : 20 });
    this.#cluster.simulation.after(this.#prng.integer(500, 8_000), () => this.#replaceLater(victim));
  }

  /** Somebody puts an empty drive in. Once all faults are over only for what has really failed: what works would be lost before it is looked at. */
  #replaceLater(machine: Machine): void {
    this.#cluster.simulation.after(this.#prng.integer(1, 2_000), () => {
      const failed = !this.#over || !machine.alive || this.#cluster.isRetired(machine);
      if (failed && this.#victim === machine) this.replaceVictim();
    });
  }

  fill(): void {
    const { servers, master } = this.#cluster;
    const draw = this.#prng.fraction();
    const some = draw < 0.25 ? servers : draw < 0.4 ? [master] : [servers[this.#prng.integer(0, servers.length - 1)]!];
    for (const machine of some) {
      machine.drive().fill(this.#prng.integer(0, 200_000));
      this.#cluster.mayLackSpace(machine);
      this.#full.add(machine);
      machine.note("drive.full");
    }
    this.#cluster.simulation.after(this.#prng.integer(200, 10_000), () => {
      for (const machine of some) this.#empty(machine);
    });
  }

  failMasterSync(): void {
    const { master, masterDirectories } = this.#cluster;
    const directory = masterDirectories[this.#prng.integer(0, masterDirectories.length - 1)]!;
    this.#cluster.mayEnd(master, () =>
      this.#cluster.simulation.after(this.#prng.integer(1, 2_000), () => {
        if (!master.alive) this.#cluster.restart(master);
      }),
    );
    master.note("drive.fails", { directory });
    master.drive().fail({ operation: "sync", pathPrefix: directory, times: 1 });
  }

  /** All that is full has room again, and what failed works, or is replaced. */
  stop(): void {
    this.#over = true;
    for (const machine of this.#full) this.#empty(machine);
    for (const machine of this.#cluster.machines) machine.drive().forgetPlans();
    const victim = this.#victim;
    if (victim !== undefined && this.#cluster.isRetired(victim)) this.replaceVictim();
  }

  #empty(machine: Machine): void {
    machine.drive().fill(undefined);
    this.#full.delete(machine);
  }
}
