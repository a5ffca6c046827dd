import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Balance,
  type BalanceSettings,
  beginBalanceRound,
  bytesToMove,
  createBalance,
  endBalanceRound,
  isHindered,
  moveEnded,
  planMoves,
  shareOf,
  stepBalanceRound,
} from "../../../../src/master/core/balance.ts";
import { dropReplica, noteReplicaFact, replicasOf } from "../../../../src/master/core/chunk-replicas.ts";
import { createChunkScan, stepScan } from "../../../../src/master/core/chunk-scan.ts";
import { slotOf } from "../../../../src/master/core/chunk-table.ts";
import {
  beginMove,
  createRepair,
  repairEnded,
  runningRepairs,
  stopUnneeded,
} from "../../../../src/master/core/repair.ts";
import { applyVolumeMarked, volumeAt } from "../../../../src/master/core/volumes.ts";
import { addSealed, addVolume, type ChunkWorld, chunkWorld, handleOf } from "./chunk-world.ts";

const settings: BalanceSettings = { on: true, threshold: 0.1, rate: 0 };

function addReported(world: ChunkWorld, number: number, on: readonly number[], goal = on.length): void {
  addSealed(world, number, on, goal);
  for (const volume of on) noteReplicaFact(world.chunks, handleOf(number), { volume, health: "healthy" });
}

/** As heartbeats would tell: 1 000 bytes, of which chunks (10 bytes each) take some. */
function tellSpace(world: ChunkWorld, sizes: readonly number[] = []): void {
  for (const volume of world.volumes.byIndex) {
    if (volume === undefined) continue;
    let usedBytes = 0;
    for (let slot = 0; slot < world.chunks.slotEnd; slot++)
      if (replicasOf(world.chunks, handleOf(world.chunks.handles.get(slot))).some((one) => one.volume === volume.index))
        usedBytes += world.chunks.lengths.get(slot);
    const totalBytes = sizes[volume.index] ?? 1_000;
    volume.space = { ...volume.space, totalBytes, usedBytes, freeBytes: totalBytes - usedBytes };
  }
}

function round(world: ChunkWorld, balance: Balance, by = settings): void {
  for (const _ of [1, 2]) {
    const begun = beginBalanceRound(balance, by);
    stepBalanceRound(world, begun, { from: 0, end: world.chunks.slotEnd });
    endBalanceRound(balance, world, begun);
  }
}

function plan(world: ChunkWorld, balance: Balance, by = settings) {
  return planMoves(balance, world, { nowMs: world.nowMs, settings: by, hasRoom: () => true, isBusy: () => false });
}

/** Σ used² / total: what each move lowers. */
function unevenness(world: ChunkWorld): number {
  return world.volumes.byIndex.reduce((sum, volume) => {
    const { usedBytes = 0, totalBytes = 1 } = volume?.space ?? {};
    return sum + usedBytes ** 2 / totalBytes;
  }, 0);
}

const shares = (balance: Balance): number[] => balance.disks.map((disk) => Math.round(shareOf(disk) * 100) / 100);

describe("balance", () => {
  test("moves from a disk above the mean by more than the threshold, or to one below it by more", () => {
    const world = chunkWorld(3);
    for (let number = 1; number <= 60; number++) addReported(world, number, [0]);
    tellSpace(world);
    const balance = createBalance();
    round(world, balance);
    expect(shares(balance)).toEqual([0.6, 0, 0]);
    expect(bytesToMove(balance, 0.1)).toBeCloseTo(300);
    const [first] = plan(world, balance);
    expect([first?.source, [1, 2].includes(first?.target ?? 0)]).toEqual([0, true]);

    // Ten disks at a half, and an empty one: none is far above the mean.
    const cluster = chunkWorld(11);
    for (let number = 1; number <= 500; number++) addReported(cluster, number, [number % 10]);
    tellSpace(cluster);
    const other = createBalance();
    round(cluster, other);
    expect(plan(cluster, other)[0]).toMatchObject({ target: 10 });

    // Within the threshold nothing moves.
    const even = chunkWorld(3);
    for (let number = 1; number <= 12; number++) addReported(even, number, [number % 3 === 0 ? 1 : 0]);
    tellSpace(even);
    const calm = createBalance();
    round(even, calm);
    expect([plan(even, calm), bytesToMove(calm, 0.1)]).toEqual([[], 0]);
  });

  test("counts volumes on one disk as one, and puts no two replicas of a chunk on it", () => {
    const world = chunkWorld(4);
    for (let number = 1; number <= 40; number++) addReported(world, number, [0, 2]);
    tellSpace(world);
    for (const [volume, fileSystem] of [
      [0, "a"],
      [1, "a"],
      [2, "b"],
      [3, "b"],
    ] as const) {
      const held = volumeAt(world.volumes, volume);
      held.space = { ...held.space, disk: { fileSystem, totalBytes: 1_000, freeBytes: 600 } };
    }
    const balance = createBalance();
    round(world, balance);
    expect(shares(balance)).toEqual([0.4, 0.4]);
    expect(plan(world, balance)).toEqual([]);
    addVolume(world, 4);
    tellSpace(world);
    round(world, balance);
    expect(plan(world, balance)[0]).toMatchObject({ target: 4 });
  });

  test("gives no rack more than its share of a chunk", () => {
    const world = chunkWorld(0);
    for (const [index, rack] of ["a", "b", "b", "a"].entries()) addVolume(world, index, { rack });
    for (let number = 1; number <= 60; number++) addReported(world, number, [0, 1], 2);
    tellSpace(world);
    const balance = createBalance();
    round(world, balance);
    const moves = plan(world, balance);
    expect(moves.length).toBeGreaterThan(1);
    for (const { source, target } of moves) expect([source, target]).toEqual(source === 0 ? [0, 3] : [1, 2]);
  });

  test("says that nothing can move when it looked in vain round after round", () => {
    const world = chunkWorld(2);
    for (let number = 1; number <= 30; number++) addReported(world, number, [0, 1]);
    for (let number = 31; number <= 60; number++) addReported(world, number, [0], 2);
    tellSpace(world);
    const balance = createBalance();
    for (let looks = 0; looks < 6; looks++) {
      round(world, balance);
      expect(plan(world, balance)).toEqual([]);
    }
    expect([isHindered(balance), bytesToMove(balance, 0.1) > 0]).toEqual([true, true]);
    addVolume(world, 2);
    tellSpace(world);
    round(world, balance);
    expect(plan(world, balance)).not.toEqual([]);
    expect(isHindered(balance)).toBe(false);
  });

  test("leaves alone what is short, corrupt somewhere, on a draining or dead server, or being copied", () => {
    const world = chunkWorld(5);
    addReported(world, 1, [0], 2);
    addReported(world, 2, [0, 1]);
    noteReplicaFact(world.chunks, handleOf(2), { volume: 2, health: "corrupt" });
    addReported(world, 3, [0, 3]);
    addReported(world, 4, [0]);
    for (let number = 5; number <= 60; number++) addSealed(world, number, [0], 1);
    tellSpace(world);
    volumeAt(world.volumes, 3).liveness = "dead";
    const balance = createBalance();
    round(world, balance);
    const busy = planMoves(balance, world, {
      nowMs: 0,
      settings,
      hasRoom: () => true,
      isBusy: (handle) => handle === handleOf(4),
    });
    expect(busy).toEqual([]);
    round(world, balance);
    expect(plan(world, balance).map(({ handle }) => Number(handle))).toEqual([4]);
    applyVolumeMarked(world.volumes, 0, "draining");
    round(world, balance);
    expect(plan(world, balance)).toEqual([]);
  });

  test("copies no more than its rate over time, and a chunk at least", () => {
    const world = chunkWorld(2);
    for (let number = 1; number <= 60; number++) addReported(world, number, [0]);
    tellSpace(world);
    const slow = { ...settings, rate: 5 };
    const balance = createBalance();
    let bytes = 0;
    for (let second = 0; second < 40; second++) {
      world.nowMs += 1_000;
      round(world, balance, slow);
      for (const { handle, bytes: moved } of plan(world, balance, slow)) {
        bytes += moved;
        moveEnded(balance, handle, "cloned");
      }
    }
    expect(bytes).toBeGreaterThanOrEqual(190);
    expect(bytes).toBeLessThanOrEqual(40 * 5 + 20);
  });

  test("has the replica on the source go, whatever else is fuller; and counts it as gone at once", () => {
    const world = chunkWorld(4);
    for (let number = 1; number <= 60; number++) addReported(world, number, [0, 1]);
    tellSpace(world);
    const balance = createBalance();
    round(world, balance);
    const [move, ...others] = plan(world, balance);
    if (move === undefined) throw new Error("nothing is moved");
    for (const other of others) moveEnded(balance, other.handle, "failed");
    noteReplicaFact(world.chunks, move.handle, { volume: move.target, health: "healthy" });
    moveEnded(balance, move.handle, "cloned");
    // What heartbeats tell makes the target the fullest of them.
    volumeAt(world.volumes, move.target).space = { totalBytes: 1_000, usedBytes: 0, freeBytes: 0 };
    const scan = createChunkScan();
    const { surplus } = stepScan(world, scan, { slotsMax: 1_000, nowMs: 0, movedOff: balance.leaving });
    expect(surplus).toEqual([{ handle: move.handle, volume: move.source }]);
    tellSpace(world);
    round(world, balance);
    const disk = balance.disks.find(({ volumes }) => volumes.includes(move.source));
    expect(disk?.usedBytes).toBe(590);
    dropReplica(world.chunks, slotOf(world.chunks, move.handle), move.source);
    round(world, balance);
    expect(balance.leaving.size).toBe(0);
    expect(balance.disks.find(({ volumes }) => volumes.includes(move.source))?.usedBytes).toBe(590);
  });

  test("is no repair: a clone of it is not stopped, counts for no repair, and a failed one is forgotten", () => {
    const world = chunkWorld(2);
    addReported(world, 1, [0]);
    const repair = createRepair();
    const pace = { streams: 8, streamsPerServer: 2, rate: 0, serverRate: 0 };
    const time = { nowMs: 0, pace };
    const move = { handle: handleOf(1), source: 0, target: 1, rate: 0 };
    const command = beginMove(repair, world, move, time);
    if (command === undefined) throw new Error("nothing was begun");
    expect(command).toMatchObject({ target: 1, sources: [0] });
    expect(beginMove(repair, world, move, time)).toBeUndefined();
    expect([stopUnneeded(repair, world), runningRepairs(repair)]).toEqual([[], 0]);
    expect(repairEnded(repair, world, { command, failure: "no", ...time })).toBe("failed");
    expect([repair.failures.size, repair.running.size]).toEqual([0, 0]);
    const again = beginMove(repair, world, move, time);
    expect(again && repairEnded(repair, world, { command: again, failure: undefined, ...time })).toBe("healed");
    expect(repair.done).toBe(0);
  });

  test("ends, whatever the sizes: every move makes disks more even, so no chunk goes back and forth", () => {
    const cases = fc.record({
      sizes: fc.array(fc.integer({ min: 400, max: 3_000 }), { minLength: 2, maxLength: 7 }),
      chunks: fc.array(fc.nat(), { minLength: 1, maxLength: 150 }),
      threshold: fc.constantFrom(0.02, 0.05, 0.1, 0.3),
    });
    fc.assert(
      fc.property(cases, ({ sizes, chunks, threshold }) => {
        const world = chunkWorld(sizes.length);
        for (const [i, pick] of chunks.entries()) {
          const first = pick % sizes.length;
          const second = (first + 1 + (pick % Math.max(1, sizes.length - 1))) % sizes.length;
          addReported(world, i + 1, pick % 3 === 0 && second !== first ? [first, second] : [first]);
        }
        tellSpace(world, sizes);
        const by = { on: true, threshold, rate: 0 };
        const balance = createBalance();
        let before = unevenness(world);
        for (let quiet = 0; quiet < 3;) {
          round(world, balance, by);
          const planned = plan(world, balance, by);
          quiet = planned.length === 0 ? quiet + 1 : 0;
          for (const { handle, source, target } of planned) {
            noteReplicaFact(world.chunks, handle, { volume: target, health: "healthy" });
            dropReplica(world.chunks, slotOf(world.chunks, handle), source);
            moveEnded(balance, handle, "cloned");
          }
          tellSpace(world, sizes);
          const after = unevenness(world);
          // By so much at least for each move: it can't go on for ever.
          if (after > before - planned.length * (100 / 3_000) + 1e-9) return false;
          before = after;
        }
        return true;
      }),
      { numRuns: 150 },
    );
  });
});
