import { describe, expect, test } from "bun:test";
import { readableEnd } from "../../src/chunkserver/read-stream.ts";
import type { Replica } from "../../src/chunkserver/store/store.ts";
import { defaultLimits } from "../../src/limits.ts";
import { isHolder, replicasOf } from "../../src/master/core/chunk-replicas.ts";
import { createGarbage, planDeletes, queueGarbage } from "../../src/master/core/garbage.ts";
import { createRepair } from "../../src/master/core/repair.ts";
import { beginSeal } from "../../src/master/core/seal.ts";
import { chunkVersion, volumeId } from "../../src/wire/ids.ts";
import {
  addSealed,
  chunkWorld,
  entry,
  freshMark,
  handleOf,
  limits,
  reportOf,
  v1,
} from "../unit/master/core/chunk-world.ts";

const v0 = chunkVersion(0);
const v2 = chunkVersion(2);
const replicaVolume = volumeId("00112233445566778899aabbccddeeff");

describe("paper §4.5 stale replica detection", () => {
  test("the master raises a chunk's version whenever its writers change, and logs it before anybody is told", () => {
    const { effects } = beginSeal({ handle: handleOf(1), version: v1, members: [0, 1, 2], gone: new Set() }, 0);
    expect(effects).toEqual([{ kind: "log-seal-begun", handle: handleOf(1), version: v2 }]);
  });

  test("a replica that missed mutations while its server was down is found when the server reports", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1]);
    const stale = entry(1, { dataVersion: v0, promisedVersion: v0, state: "fenced", length: 4 });
    const { findings } = reportOf(world, 2, { number: 1, entries: [stale], factMark: freshMark(world) });
    expect(findings.map(({ kind }) => kind)).toEqual(["stale"]);
    const held = replicasOf(world.chunks, handleOf(1)).filter(({ health }) => isHolder(health));
    expect(held.map(({ volume }) => volume)).toEqual([0, 1]);
  });

  test("the paper takes a version above its own to be up-to-date; here it proves that the log is an old copy, and stops", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1]);
    const ahead = entry(1, { dataVersion: v2, promisedVersion: v2 });
    const { findings } = reportOf(world, 2, { number: 1, entries: [ahead], factMark: freshMark(world) });
    expect(findings.map(({ kind }) => kind)).toEqual(["behind"]);
  });

  test("stale replicas are removed in the regular garbage collection, as soon as enough others are healthy", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1]);
    const stale = entry(1, { dataVersion: v0, promisedVersion: v0, state: "fenced", length: 4 });
    reportOf(world, 2, { number: 1, entries: [stale], factMark: freshMark(world) });
    const garbage = createGarbage();
    const found = { handle: handleOf(1), volume: 2, cause: "stale" as const };
    const plan = () => {
      queueGarbage(garbage, found, { nowMs: world.nowMs, limits });
      return planDeletes(garbage, world, {
        volume: 2,
        nowMs: world.nowMs,
        limits: defaultLimits,
        max: 10,
        repair: createRepair(),
      });
    };
    // Named by the log is not enough: the volumes themselves must have said that they are healthy.
    expect(plan()).toEqual([]);
    for (const volume of [0, 1])
      reportOf(world, volume, { number: 1, entries: [entry(1)], factMark: freshMark(world) });
    // Only a replica below the chunk's version goes, whatever became of it meanwhile.
    expect(plan()).toEqual([{ handle: handleOf(1), below: v1, cause: "stale" }]);
  });

  test("the version goes with every location, and a chunkserver verifies it: a client always reads up-to-date data", () => {
    const replica: Replica = {
      handle: handleOf(1),
      promisedVersion: v1,
      dataVersion: v1,
      state: "sealed",
      length: 10,
      crc: 1,
      accepted: 10,
      chunkBytes: undefined,
      origin: undefined,
      inherited: false,
    };
    const read = {
      volume: replicaVolume,
      handle: handleOf(1),
      version: v1,
      offset: 0,
      length: 10,
      purpose: "read" as const,
    };
    expect(readableEnd(replica, read, 0)).toEqual({ end: 10, open: false });
    expect(() => readableEnd(replica, { ...read, version: v2 }, 0)).toThrow("at version 2: this replica has 1");
    expect(() => readableEnd({ ...replica, dataVersion: v2 }, read, 0)).toThrow("at version 1: this replica has 2");
  });
});
