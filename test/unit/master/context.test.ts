import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../../src/base/assert.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { ClusterClock } from "../../../src/master/cluster-clock.ts";
import { Commands } from "../../../src/master/commands.ts";
import {
  inSlices,
  type MasterContext,
  newSoftState,
  repeat,
  requireMutations,
  stopMutations,
} from "../../../src/master/context.ts";
import { scanChunks } from "../../../src/master/repairer.ts";
import { applyChunkPublished, applyDraftChunkAdded, applyTailOpened } from "../../../src/master/core/chunk-apply.ts";
import { noteReplicaFact } from "../../../src/master/core/chunk-replicas.ts";
import { wantScan } from "../../../src/master/core/chunk-scan.ts";
import { endSafeMode } from "../../../src/master/core/safe-mode.ts";
import { applyVolumeAdded, applyVolumeMarked, volumeAt } from "../../../src/master/core/volumes.ts";
import { beginRound, endRound, stepUnsealed } from "../../../src/master/scan-round.ts";
import { chunkHandle, chunkVersion, draftId, inodeId, volumeId } from "../../../src/wire/ids.ts";
import { newMasterState } from "../../../src/master/core/state.ts";
import { Engine } from "../../../src/master/engine.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import { sleep } from "../../../src/net/deadline.ts";
import type { World } from "../../../src/io.ts";
import { simLimits } from "../../sim/sim-limits.ts";
import { Simulation } from "../../sim/world/simulation.ts";

function newContext(world: World, fatal: GfsError[], stopping = new AbortController().signal): MasterContext {
  const log = { append: () => 1, lastPosition: 0, durablePosition: 0, entryBytesMax: 1_000 };
  const state = newMasterState(simLimits);
  const clock = new ClusterClock(world.clock);
  const engine = new Engine({ state, log, clock, events: world.events, onFatal: (error) => fatal.push(error) });
  const control = new ControlClient(world, { role: "master", clusterId: () => undefined });
  const commands = new Commands(control, engine, () => undefined);
  return { world, limits: simLimits, engine, state, commands, soft: newSoftState(0), stopping };
}

function inSim<T>(code: (world: World) => Promise<T>): T {
  const simulation = new Simulation(1);
  return simulation.do(simulation.machine("m"), code);
}

test("the round over the chunk table is one: where no other is wanted, nothing is visited", () => {
  inSim(async (world) => {
    const ctx = newContext(world, []);
    await scanChunks(ctx);
    const { finished } = ctx.soft.scan;
    const tally = ctx.soft.replicaTally;
    expect(finished).toBeDefined();
    await scanChunks(ctx);
    expect(ctx.soft.scan.finished).toBe(finished);
    // The tally of a million chunks takes 50 ms in one go.
    expect(ctx.soft.replicaTally).toBe(tally);
  });
});

test("what was short and is not any more does not wait for repair, though nothing is planned", () => {
  inSim(async (world) => {
    const ctx = newContext(world, []);
    const { chunks, volumes } = ctx.state;
    for (const index of [0, 1])
      applyVolumeAdded(volumes, { index, volume: volumeId(String(index).repeat(32)), label: "s" });
    for (const number of [1, 2]) {
      const chunk = { handle: chunkHandle(number), version: chunkVersion(1), members: [0, 1] };
      applyDraftChunkAdded(chunks, { ...chunk, draft: draftId(1), goal: 2 });
      applyChunkPublished(chunks, { ...chunk, length: 10, crc: 1 }, { inode: inodeId(2) });
    }
    volumeAt(volumes, 1).liveness = "dead";
    endSafeMode(ctx.soft.safeMode);
    await scanChunks(ctx);
    const queued = (): number[] => [...ctx.soft.repair.queues.levelOf.keys()].map(Number);
    expect(queued()).toEqual([1, 2]);
    noteReplicaFact(chunks, chunkHandle(1), { volume: 1, health: "corrupt" });
    volumeAt(volumes, 1).liveness = "suspect";
    wantScan(ctx.soft.scan);
    await scanChunks(ctx);
    expect(queued()).toEqual([1]);
  });
});

test("chunks that are not sealed are looked at a part at a time, and so are those that are opened meanwhile", () => {
  inSim(async (world) => {
    const ctx = newContext(world, []);
    const { chunks, volumes } = ctx.state;
    applyVolumeAdded(volumes, { index: 0, volume: volumeId("0".repeat(32)), label: "s" });
    applyVolumeMarked(volumes, 0, "draining");
    const open = (number: number): void => {
      const chunk = { handle: chunkHandle(number), version: chunkVersion(1), members: [0], goal: 1 };
      applyTailOpened(chunks, { ...chunk, inode: inodeId(number) });
    };
    for (let number = 1; number <= 600; number++) open(number);
    const round = beginRound(ctx);
    expect(stepUnsealed(ctx, round)).toBe(true);
    open(601);
    expect(stepUnsealed(ctx, round)).toBe(false);
    endRound(ctx, round);
    expect(ctx.soft.drains.last?.left.get(0)?.unsealed).toBe(601);
  });
});

describe("a loop of the master", () => {
  test.each([
    ["a broken invariant stops the master", new AssertionError("impossible"), 1],
    ["an operating error is tried again", new GfsError("Timeout", "no answer"), 0],
    ["an odd error harms nobody else", new TypeError("odd"), 0],
  ])("%s", (_, thrown, fatalCount) => {
    inSim(async (world) => {
      const fatal: GfsError[] = [];
      const stop = new AbortController();
      let rounds = 0;
      repeat(newContext(world, fatal, stop.signal), 10, "test", () => {
        rounds++;
        throw thrown;
      });
      await sleep(world.clock, 100);
      expect(fatal).toHaveLength(fatalCount);
      expect(rounds).toBeGreaterThan(3);
      stop.abort(new GfsError("Interrupted", "stopped"));
      const before = rounds;
      await sleep(world.clock, 100);
      expect(rounds).toBe(before);
    });
  });

  test("long work lets others have their turn", () => {
    inSim(async (world) => {
      const ctx = newContext(world, []);
      let turns = 0;
      let slices = 0;
      // In virtual time a slice takes none: the limit of 0 ms makes each one a turn of its own.
      const quick = { ...ctx, limits: { ...ctx.limits, sliceMs: 0 } };
      const other = world.clock.after(0, () => turns++);
      await inSlices(quick, () => (++slices < 10 ? "more" : "done"));
      expect(slices).toBe(10);
      expect(turns).toBe(1);
      other.cancel();
    });
  });

  test("a master that is behind refuses mutations, and names each reason", () => {
    inSim(async (world) => {
      const ctx = newContext(world, []);
      requireMutations(ctx);
      stopMutations(ctx, { kind: "rebuilt", rank: 1, why: "a is rebuilt" });
      stopMutations(ctx, { kind: "copy", rank: 2, why: "b is ahead" });
      expect(() => requireMutations(ctx)).toThrow("b is ahead; a is rebuilt");
      expect(ctx.soft.garbage.stopped).toBe("b is ahead; a is rebuilt");
      await sleep(world.clock, 1);
    });
  });
});
