import { describe, expect, test } from "bun:test";
import { defaultLimits } from "../../src/limits.ts";
import { decideCreateFile } from "../../src/master/core/decide-files.ts";
import { decideRemove } from "../../src/master/core/decide-namespace.ts";
import { decideTrashExpiry, decideTrashPurge, decideTrashRestore } from "../../src/master/core/decide-trash.ts";
import { createGarbage, planDeletes, queueGarbage, stopDeletions } from "../../src/master/core/garbage.ts";
import { createRepair } from "../../src/master/core/repair.ts";
import { lookup } from "../../src/master/core/namespace.ts";
import { nextToReap } from "../../src/master/core/reaping.ts";
import { chunkCount } from "../../src/master/core/chunk-table.ts";
import {
  applyDraftChunkAdded,
  applyDraftChunkDropped,
  applyLostHandlesAccepted,
  takeReleased,
  unreferenceChunk,
} from "../../src/master/core/chunk-apply.ts";
import { sleep } from "../../src/net/deadline.ts";
import { openStore } from "../../src/chunkserver/store/open-store.ts";
import { chunkHandle, draftId } from "../../src/wire/ids.ts";
import { Simulation } from "../sim/world/simulation.ts";
import {
  codeOf,
  content,
  optionsOf,
  putChunk,
  smallLimits,
  writeOptions,
} from "../unit/chunkserver/store/sim-volume.ts";
import { addSealed, chunkWorld, entry, freshMark, handleOf, reportOf, v1 } from "../unit/master/core/chunk-world.ts";
import { CoreDriver, mutationId, refusal } from "../unit/master/core/core-driver.ts";

const { deleteGraceMs, trashMs } = defaultLimits;

function withRemoved(): CoreDriver {
  const driver = new CoreDriver();
  driver.do(decideCreateFile(driver.state, { id: mutationId(), path: "/d/f", mode: "new" }, driver.now));
  const request = { id: mutationId(), path: "/d/f", recursive: false, skipTrash: false };
  driver.do(decideRemove(driver.state, request, driver.now));
  return driver;
}

describe("paper §4.4 garbage collection", () => {
  test("a removed file is hidden at once, and can be had back until it expires", () => {
    const driver = withRemoved();
    refusal("NotFound", () => lookup(driver.state.inodes, "/d/f", "read"));
    driver.do(decideTrashRestore(driver.state, { id: mutationId(), entry: "/d/f" }, driver.now));
    expect(lookup(driver.state.inodes, "/d/f", "read")).toBeGreaterThan(0);
  });

  test("it is forgotten after three days, and not before", () => {
    expect(trashMs).toBe(3 * 86_400_000);
    const driver = withRemoved();
    driver.clusterMs += trashMs - 1;
    expect(decideTrashExpiry(driver.state, driver.now, 10)).toEqual([]);
    driver.clusterMs += 1;
    driver.log(decideTrashExpiry(driver.state, driver.now, 10));
    refusal("NotFound", () => decideTrashRestore(driver.state, { id: mutationId(), entry: "/d/f" }, driver.now));
    expect(nextToReap(driver.state.inodes, 10)).toHaveLength(1);
  });

  test("deleting it again expedites: the trash is purged by hand, too", () => {
    const driver = withRemoved();
    const slice = { max: 10, removedUpToMs: driver.clusterMs };
    const { records } = decideTrashPurge({ state: driver.state, request: { entry: "/d/f" } }, slice);
    expect(records.map(({ kind }) => kind)).toEqual(["inode-detached"]);
  });

  test("chunks that no file refers to are identified, and their metadata is erased", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1, 2]);
    unreferenceChunk(world.chunks, handleOf(1));
    expect(chunkCount(world.chunks)).toBe(0);
    expect(takeReleased(world.chunks, 10)).toEqual([{ handle: handleOf(1), volumes: [0, 1, 2] }]);
  });

  test("chunk creation that succeeded on some chunkservers and not on others leaves garbage that is found: by the draft's end, or a report", () => {
    const world = chunkWorld(3);
    const chunk = { draft: draftId(1), handle: handleOf(1), version: v1, members: [0, 1], goal: 2 };
    applyDraftChunkAdded(world.chunks, chunk);
    applyDraftChunkDropped(world.chunks, draftId(1), handleOf(1));
    expect(takeReleased(world.chunks, 10)).toEqual([{ handle: handleOf(1), volumes: [0, 1] }]);
    const { findings } = reportOf(world, 2, { number: 1, entries: [entry(1)], factMark: freshMark(world) });
    expect(findings.map(({ kind }) => kind)).toEqual(["released"]);
  });

  test("the paper lets a chunkserver delete by itself what the master does not know; here it only obeys, after a grace for readers", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    unreferenceChunk(world.chunks, handleOf(1));
    const garbage = createGarbage();
    const found = { handle: handleOf(1), volume: 0, cause: "released" as const };
    queueGarbage(garbage, found, { nowMs: world.nowMs, limits: defaultLimits });
    const at = (nowMs: number) =>
      planDeletes(garbage, world, { volume: 0, nowMs, limits: defaultLimits, max: 10, repair: createRepair() });
    expect(at(world.nowMs + deleteGraceMs - 1)).toEqual([]);
    expect(at(world.nowMs + deleteGraceMs).map(({ handle }) => handle)).toEqual([handleOf(1)]);
  });

  test("a master that may be behind deletes nothing: neither what its log never gave out, nor anything while it is stopped", () => {
    const world = chunkWorld(1);
    const garbage = createGarbage();
    const queue = (number: number) =>
      queueGarbage(
        garbage,
        { handle: handleOf(number), volume: 0, cause: "unknown" },
        { nowMs: 0, limits: defaultLimits },
      );
    queue(1_000_001);
    queue(9);
    const at = (nowMs: number) =>
      planDeletes(garbage, world, { volume: 0, nowMs, limits: defaultLimits, max: 10, repair: createRepair() });
    expect(at(2 * deleteGraceMs)).toEqual([]);
    applyLostHandlesAccepted(world.chunks, 9);
    queue(7);
    stopDeletions(garbage, "a volume knows more");
    expect(at(4 * deleteGraceMs)).toEqual([]);
  });

  test("a chunkserver moves a replica aside first, and a tombstone keeps a delayed message from reviving it", () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("m");
    simulation.do(machine, async (world) => {
      await using store = await openStore(world, optionsOf());
      await putChunk(store, writeOptions(1), content(50_000));
      await store.moveAside(chunkHandle(1));
      expect(store.replica(chunkHandle(1))).toBeUndefined();
      const aside = `${optionsOf().directory}/aside`;
      expect(await world.disk.list(aside)).toHaveLength(1);
      expect(await codeOf(store.beginWrite(writeOptions(1)))).toBe("VersionStale");
      await sleep(world.clock, smallLimits.deleteGraceMs + 1_000);
      expect(await world.disk.list(aside)).toEqual([]);
    });
  });
});
