/** What happens to a cluster of real processes while clients work. Each fault is made, lasts a while and is undone; when the time is over all are undone at once. */
import { rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Prng } from "../sim/world/prng.ts";
import type { ThrashCluster } from "./thrash-cluster.ts";

/** What a fault works with. */
export interface Stage {
  readonly cluster: ThrashCluster;
  readonly prng: Prng;
  /** Resolves after `ms`, or at once when the faults are over. */
  readonly rest: (ms: number) => Promise<void>;
  readonly isOver: () => boolean;
  /** Processes that a fault is busy with: no other one touches them. */
  readonly busy: Set<string>;
  readonly longestMs: number;
  /** Something broke that no fault excuses. */
  readonly broken: (what: string) => void;
}

export interface Fault {
  readonly name: string;
  /** How often, against the others. */
  readonly weight: number;
  /** False where it can't be made here. */
  readonly possible: (cluster: ThrashCluster) => boolean;
  /** False where it could not be made just now. */
  readonly make: (stage: Stage) => Promise<boolean>;
}

const always = (): boolean => true;
const termLimitMs = 30_000;

function downMs({ prng, longestMs }: Stage): number {
  return Math.min(longestMs, prng.chance(0.6) ? 50 + prng.fraction() * 1_500 : prng.fraction() * 9_000);
}

/** Mostly short, up to a minute. */
function pauseMs({ prng, longestMs }: Stage): number {
  const ms = prng.chance(0.7) ? 1_000 + prng.fraction() * 5_000 : 1_000 + prng.fraction() * 59_000;
  return Math.min(longestMs, ms);
}

/** Runs `perform` on one of the names that no other fault is busy with. */
export async function withOne(
  { prng, busy }: Stage,
  names: readonly string[],
  perform: (name: string) => Promise<void>,
): Promise<boolean> {
  const free = names.filter((name) => !busy.has(name));
  const name = free[prng.integer(0, Math.max(0, free.length - 1))];
  if (name === undefined) return false;
  busy.add(name);
  try {
    await perform(name);
  } finally {
    busy.delete(name);
  }
  return true;
}

function kill(stage: Stage, names: readonly string[]): Promise<boolean> {
  return withOne(stage, names, async (name) => {
    const role = processOf(stage.cluster, name);
    await role.kill();
    await stage.rest(downMs(stage));
    role.start();
    // Some are killed again before they are ready.
    if (stage.prng.chance(0.2)) {
      await stage.rest(stage.prng.fraction() * 600);
      await role.kill();
      role.start();
    }
    await stage.rest(500);
  });
}

function pause(stage: Stage, names: readonly string[]): Promise<boolean> {
  const alive = names.filter((name) => processOf(stage.cluster, name).alive);
  return withOne(stage, alive, async (name) => {
    const role = processOf(stage.cluster, name);
    role.pause();
    await stage.rest(pauseMs(stage));
    role.resume();
  });
}

async function restart(stage: Stage): Promise<boolean> {
  const up = stage.cluster.roles.filter(({ ready, alive }) => ready && alive).map(({ name }) => name);
  return withOne(stage, up, async (name) => {
    const role = roleOf(stage.cluster, name);
    const code = await role.terminate(termLimitMs);
    if (code !== 0) stage.broken(`${name} ended with ${code} within ${termLimitMs} ms after SIGTERM, not with 0`);
    await stage.rest(downMs(stage) / 2);
    role.start();
  });
}

async function partition(stage: Stage): Promise<boolean> {
  const { cluster, prng } = stage;
  return withOne(stage, ["network"], async () => {
    const { hosts } = cluster;
    const alone = hosts.slice(0, 1 + cluster.servers.length);
    const some =
      prng.chance(0.6) || cluster.network.kind === "loopback"
        ? [alone[prng.integer(0, alone.length - 1)]!]
        : hosts.filter(() => prng.chance(0.4));
    const others = hosts.filter(
      (host) => !some.includes(host) && (cluster.network.kind === "loopback" || prng.chance(0.8)),
    );
    const way = prng.fraction();
    if (way < 0.7) cluster.network.block(some, others);
    if (way > 0.3) cluster.network.block(others, some);
    await stage.rest(Math.min(stage.longestMs, prng.chance(0.6) ? prng.fraction() * 2_500 : prng.fraction() * 15_000));
    cluster.network.heal();
  });
}

async function delay(stage: Stage): Promise<boolean> {
  const { cluster, prng } = stage;
  return withOne(
    stage,
    roleNames(cluster).map((name) => `link ${name}`),
    async (link) => {
      const name = link.slice("link ".length);
      cluster.network.proxy.delay(name, prng.integer(5, prng.chance(0.7) ? 200 : 2_500));
      await stage.rest(prng.integer(500, 8_000));
      cluster.network.proxy.delay(name, 0);
    },
  );
}

async function cut(stage: Stage): Promise<boolean> {
  const { cluster, prng } = stage;
  const names = roleNames(cluster);
  return cluster.network.proxy.cut(names[prng.integer(0, names.length - 1)]!) > 0;
}

async function fillDisk(stage: Stage): Promise<boolean> {
  return withOne(
    stage,
    stage.cluster.fillable.map((name) => `disk ${name}`),
    async (disk) => {
      const path = join(stage.cluster.diskOf(disk.slice("disk ".length)), "others");
      const file = await open(path, "w");
      try {
        for (const piece of [new Uint8Array(1_048_576), new Uint8Array(4_096)])
          for (let more = true; more;) more = await file.write(piece).then(() => true, isFull);
        await stage.rest(1_000 + stage.prng.fraction() * 9_000);
      } finally {
        await file.close();
        rmSync(path);
      }
    },
  );
}

function isFull(error: unknown): boolean {
  if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
  throw error;
}

async function shiftClock(stage: Stage): Promise<boolean> {
  const { cluster, prng } = stage;
  return withOne(
    stage,
    roleNames(cluster).map((name) => `clock ${name}`),
    async (clock) => {
      const most = [5, 600, 90_000][prng.integer(0, 2)]!;
      cluster.shiftClock(clock.slice("clock ".length), prng.integer(-most, most));
      await stage.rest(prng.integer(2_000, 15_000));
      // Half of them stay as they are.
      if (prng.chance(0.5)) cluster.shiftClock(clock.slice("clock ".length), 0);
    },
  );
}

/** Every server at once, as when a rack loses power (what they had written stays: power loss itself is the simulation's). */
async function blackout(stage: Stage): Promise<boolean> {
  const names = roleNames(stage.cluster).filter((name) => !stage.busy.has(name));
  for (const name of names) stage.busy.add(name);
  try {
    await Promise.all(names.map((name) => roleOf(stage.cluster, name).kill()));
    await stage.rest(downMs(stage) / 2);
    for (const name of names) roleOf(stage.cluster, name).start();
  } finally {
    for (const name of names) stage.busy.delete(name);
  }
  return names.length > 1;
}

export const faults: readonly Fault[] = [
  { name: "kill chunkserver", weight: 8, possible: always, make: (stage) => kill(stage, serverNames(stage.cluster)) },
  { name: "kill master", weight: 3, possible: always, make: (stage) => kill(stage, ["master"]) },
  { name: "kill client", weight: 3, possible: always, make: (stage) => kill(stage, clientNames(stage.cluster)) },
  { name: "pause chunkserver", weight: 5, possible: always, make: (stage) => pause(stage, serverNames(stage.cluster)) },
  { name: "pause master", weight: 2, possible: always, make: (stage) => pause(stage, ["master"]) },
  { name: "pause client", weight: 2, possible: always, make: (stage) => pause(stage, clientNames(stage.cluster)) },
  { name: "clean restart", weight: 3, possible: always, make: restart },
  { name: "kill all servers", weight: 1, possible: always, make: blackout },
  { name: "partition", weight: 7, possible: always, make: partition },
  { name: "delay", weight: 4, possible: always, make: delay },
  { name: "cut connections", weight: 6, possible: always, make: cut },
  { name: "full disk", weight: 3, possible: ({ fillable }) => fillable.length > 0, make: fillDisk },
  { name: "clock shift", weight: 3, possible: ({ clocksMove }) => clocksMove, make: shiftClock },
];

function roleNames(cluster: ThrashCluster): string[] {
  return cluster.roles.map(({ name }) => name);
}

function serverNames(cluster: ThrashCluster): string[] {
  return cluster.servers.map(({ name }) => name);
}

function clientNames(cluster: ThrashCluster): string[] {
  return cluster.clients.map(({ name }) => name);
}

function roleOf(cluster: ThrashCluster, name: string) {
  return cluster.roles.find((role) => role.name === name)!;
}

function processOf(cluster: ThrashCluster, name: string) {
  return [...cluster.roles, ...cluster.clients].find((process) => process.name === name)!;
}
