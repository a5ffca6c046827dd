/**
 * From whatever states a chunk's replicas are in, as long as one good one can be read and enough servers can hold it, repair and garbage together come to as many as are wanted, in bounded time
 * (DESIGN §4.5). Each could wait for the other: no copy before a delete, no delete before a copy. All states of up to four servers, a round of repair and of deletions a minute.
 */
import { describe, expect, test } from "bun:test";
import type { Limits } from "../../../../src/limits.ts";
import { noteReplicaFact, type ReplicaHealth, replicasOf } from "../../../../src/master/core/chunk-replicas.ts";
import { countedHoldersAt, holderCountAt } from "../../../../src/master/core/chunk-scan.ts";
import { slotOf, type VolumeIndex } from "../../../../src/master/core/chunk-table.ts";
import { createGarbage, deleteDone, planDeletes, queueGarbage } from "../../../../src/master/core/garbage.ts";
import { createRepair } from "../../../../src/master/core/repair.ts";
import { queueShort } from "../../../../src/master/core/repair-queues.ts";
import { applyVolumeMarked, volumeAt } from "../../../../src/master/core/volumes.ts";
import { addSealed, chunkWorld, handleOf, limits as usual } from "./chunk-world.ts";
import { endClone, planRound } from "./repair-bench.ts";

interface ServerState {
  readonly server: "live" | "dead" | "draining" | "full";
  readonly replica: ReplicaHealth | "none";
}

const replicasOn = {
  live: ["none", "healthy", "named", "unfinished", "stale", "corrupt"],
  dead: ["healthy"],
  draining: ["healthy", "stale"],
  full: ["none", "healthy", "stale"],
} as const;

const states: readonly ServerState[] = (["live", "dead", "draining", "full"] as const).flatMap((server) =>
  replicasOn[server].map((replica) => ({ server, replica })),
);

/** In no order: which server is which decides nothing but the order of equals. */
function* combinations(servers: number, from = 0): Generator<ServerState[]> {
  if (servers === 0) yield [];
  else
    for (let i = from; i < states.length; i++)
      for (const rest of combinations(servers - 1, i)) yield [states[i]!, ...rest];
}

const holds = ({ replica }: ServerState): boolean =>
  replica === "healthy" || replica === "named" || replica === "unfinished";

/** One that can be read is left, and as many servers as copies are wanted can hold one. */
function canBeWhole(servers: readonly ServerState[], goal: number): boolean {
  const able = servers.filter((each) => each.server === "live" || (each.server === "full" && holds(each)));
  return able.length >= goal && servers.some((each) => each.server !== "dead" && holds(each));
}

const handle = handleOf(1);
const roundsMax = 30;
const roundMs = 61_000;

type Failing = (target: VolumeIndex, before: number) => boolean;

/** What was done, round by round; its last line says whether the chunk became whole. */
function heal(servers: readonly ServerState[], goal: number, limits: Limits, fails: Failing): string[] {
  const world = chunkWorld(servers.length);
  addSealed(world, 1, [0], goal);
  noteReplicaFact(world.chunks, handle, { volume: 0, health: "gone" });
  for (const [index, { server, replica }] of servers.entries()) {
    const volume = volumeAt(world.volumes, index);
    if (replica !== "none") noteReplicaFact(world.chunks, handle, { volume: index, health: replica });
    if (server === "dead") volume.liveness = "dead";
    if (server === "draining") applyVolumeMarked(world.volumes, index, "draining");
    if (server === "full") volume.space = { totalBytes: 1_000, freeBytes: 0, usedBytes: 1_000 };
  }
  const repair = createRepair();
  const garbage = createGarbage();
  const failures = new Map<VolumeIndex, number>();
  const log: string[] = [];
  for (let round = 0; round < roundsMax; round++) {
    const slot = slotOf(world.chunks, handle);
    const time = { nowMs: world.nowMs, limits };
    for (const { volume, health } of replicasOf(world.chunks, handle)) {
      if (volumeAt(world.volumes, volume).liveness === "dead") continue;
      if (health === "stale" || health === "corrupt") queueGarbage(garbage, { handle, volume, cause: health }, time);
      // A report came, and a finish was answered.
      else if (health !== "healthy" && round > 2) noteReplicaFact(world.chunks, handle, { volume, health: "healthy" });
    }
    if (countedHoldersAt(world, slot) >= goal) return [...log, "whole"];
    const holders = holderCountAt(world, slot);
    queueShort(repair.queues, { handle, holders, trashed: false, moving: holders >= goal }, world.nowMs);
    for (const command of planRound(repair, world, { ...time, garbage })) {
      const { target } = command;
      const before = failures.get(target) ?? 0;
      const failed = fails(target, before);
      log.push(`${round}: copied to ${target}${failed ? ", in vain" : ""}`);
      endClone(repair, world, { command, ...time, ...(failed ? { failure: "no" } : {}) });
      if (!failed) continue;
      failures.set(target, before + 1);
      // What it was to replace may be gone by then: the next report says so.
      if (servers[target]?.server !== "full") noteReplicaFact(world.chunks, handle, { volume: target, health: "gone" });
    }
    for (const volume of servers.keys()) {
      const items = planDeletes(garbage, world, { ...time, volume, max: 10, repair });
      deleteDone(garbage, world, { volume, items });
      if (items.length > 0) log.push(`${round}: deleted on ${volume}`);
    }
    world.nowMs += roundMs;
  }
  return [...log, "not whole"];
}

const failings: readonly (readonly [string, Failing])[] = [
  ["all copies succeed", () => false],
  ["the first copy to each server fails", (_target, before) => before === 0],
];

describe("a chunk with one good replica becomes whole", () => {
  test.each(
    [2, 3].flatMap((goal) =>
      [1, 2, 3]
        .filter((least) => least <= goal)
        .flatMap((least) => failings.map(([name, fails]) => [goal, least, name, fails] as const)),
    ),
  )("%i wanted, %i to acknowledge, %s", (goal, minReplicas, _name, fails) => {
    const stuck: string[] = [];
    let tried = 0;
    for (const servers of [2, 3, 4].flatMap((count) => [...combinations(count)])) {
      if (!canBeWhole(servers, goal)) continue;
      tried++;
      const full = (index: VolumeIndex): boolean => servers[index]?.server === "full";
      const log = heal(
        servers,
        goal,
        { ...usual, minReplicas },
        (target, before) => full(target) || fails(target, before),
      );
      if (log.at(-1) !== "whole")
        stuck.push(
          `${servers.map(({ server, replica }) => `${server} ${replica}`).join(", ")}: ${log.slice(0, 12).join("; ")}`,
        );
    }
    expect(tried).toBeGreaterThan(100);
    expect(stuck).toEqual([]);
  });
});
