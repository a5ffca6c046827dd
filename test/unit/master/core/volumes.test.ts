import { describe, expect, test } from "bun:test";
import { nextLiveness } from "../../../../src/master/core/liveness.ts";
import type { Liveness, LivenessEvent } from "../../../../src/master/core/liveness.ts";
import { heartbeatVolume, isGone, isUsable, releaseSpace, reserveMore } from "../../../../src/master/core/volumes.ts";
import { tickLiveness, unreservedBytes, volumeAt } from "../../../../src/master/core/volumes.ts";
import { draftId } from "../../../../src/wire/ids.ts";
import { chunkWorld, limits, register } from "./chunk-world.ts";

const suspectMs = limits.suspectHeartbeats * limits.heartbeatMs;
const deadMs = limits.deadHeartbeats * limits.heartbeatMs;
const silent = (sinceMs: number): LivenessEvent => ({ kind: "silent", sinceMs });

describe("liveness", () => {
  const table: [Liveness, LivenessEvent, Liveness][] = [
    ["live", silent(suspectMs - 1), "live"],
    ["live", silent(suspectMs), "suspect"],
    ["live", silent(deadMs), "dead"],
    ["suspect", silent(0), "suspect"],
    ["suspect", silent(deadMs - 1), "suspect"],
    ["suspect", silent(deadMs), "dead"],
    ["dead", silent(0), "dead"],
    ["live", { kind: "heartbeat" }, "live"],
    ["suspect", { kind: "heartbeat" }, "live"],
    ["dead", { kind: "heartbeat" }, "live"],
    ["live", { kind: "retired" }, "retired"],
    ["dead", { kind: "retired" }, "retired"],
    ["retired", { kind: "heartbeat" }, "retired"],
    ["retired", silent(deadMs), "retired"],
  ];
  test.each(table)("%s, then %j: %s", (from, event, to) => {
    expect(nextLiveness(from, event, limits)).toBe(to);
  });
});

describe("volumes", () => {
  const beat = { incarnation: "first", space: { totalBytes: 10, freeBytes: 5, usedBytes: 5 }, streams: 2 };

  test("silence makes one suspect, then dead, each told once; a heartbeat brings it back", () => {
    const world = chunkWorld(1);
    const at = world.nowMs;
    const tick = (ms: number) => tickLiveness(world.volumes, at + ms, limits).map((change) => [change.from, change.to]);
    expect(tick(suspectMs - 1)).toEqual([]);
    expect(tick(suspectMs)).toEqual([["live", "suspect"]]);
    expect(tick(deadMs)).toEqual([["suspect", "dead"]]);
    expect(tick(deadMs * 2)).toEqual([]);
    const volume = volumeAt(world.volumes, 0);
    const heard = heartbeatVolume(volume, beat, { nowMs: at + deadMs * 3, limits });
    expect(heard.change).toMatchObject({ from: "dead", to: "live" });
    expect(tick(deadMs * 3 + 1)).toEqual([]);
  });

  test("a heartbeat of another incarnation is not known", () => {
    const world = chunkWorld(1);
    const heard = heartbeatVolume(volumeAt(world.volumes, 0), { ...beat, incarnation: "other" }, { nowMs: 1, limits });
    expect(heard).toEqual({ known: false, change: undefined });
  });

  test("one that retired stays so until its process starts anew", () => {
    const world = chunkWorld(1);
    const volume = volumeAt(world.volumes, 0);
    heartbeatVolume(volume, { ...beat, retired: "EIO" }, { nowMs: 1, limits });
    heartbeatVolume(volume, beat, { nowMs: 2, limits });
    register(world, 0, "first");
    expect([volume.liveness, volume.retiredReason, isUsable(volume), isGone(volume)]).toEqual([
      "retired",
      "EIO",
      false,
      true,
    ]);
    register(world, 0, "second");
    expect([volume.liveness, volume.retiredReason, isUsable(volume)]).toEqual(["live", undefined, true]);
  });

  test("reservations of a draft add up, and end with it", () => {
    const world = chunkWorld(2);
    const volume = volumeAt(world.volumes, 0);
    reserveMore(world.volumes, draftId(1), [0, 1], 100);
    reserveMore(world.volumes, draftId(1), [0], 100);
    reserveMore(world.volumes, draftId(2), [0], 1_000);
    expect(unreservedBytes(volume)).toBe(0);
    releaseSpace(world.volumes, draftId(2));
    expect(unreservedBytes(volume)).toBe(300);
    releaseSpace(world.volumes, draftId(1));
    releaseSpace(world.volumes, draftId(1));
    expect(unreservedBytes(volume)).toBe(500);
  });
});
