import { describe, expect, test } from "bun:test";
import type { Liveness } from "../../../../src/master/core/liveness.ts";
import { acceptFailure, createMassFailure, tickMassFailure } from "../../../../src/master/core/mass-failure.ts";
import { applyVolumeMarked, volumeAt } from "../../../../src/master/core/volumes.ts";
import type { VolumeMark } from "../../../../src/wire/log-records.ts";
import { chunkWorld, limits } from "./chunk-world.ts";

function cluster(count: number, holdMs = 0) {
  const world = chunkWorld(count);
  const mass = createMassFailure();
  const at = { ...limits, massFailureShare: 1 / 3, massFailureWindowMs: 60_000, massFailureHoldMs: holdMs };
  let nowMs = 0;
  return {
    world,
    mass,
    become: (liveness: Liveness, ...volumes: number[]): void => {
      for (const volume of volumes) volumeAt(world.volumes, volume).liveness = liveness;
    },
    mark: (volume: number, mark: VolumeMark): void => applyVolumeMarked(world.volumes, volume, mark),
    tick: (afterMs = 1_000) => {
      nowMs += afterMs;
      return tickMassFailure(mass, world.volumes, { nowMs, limits: at });
    },
  };
}

describe("many servers lost at once", () => {
  test("hold repair back, until few enough of them are missing", () => {
    const { become, tick, mass } = cluster(9);
    become("dead", 0, 1, 2);
    expect(tick()).toBe("unchanged");
    become("dead", 3);
    expect(tick()).toBe("held");
    expect(mass.reason).toBe("4 of 9 servers were lost at once");
    // However long they are away.
    expect(tick(10_000_000)).toBe("unchanged");
    expect(mass.reason).not.toBe("");
    become("live", 0);
    expect(tick()).toBe("released");
    expect(mass.reason).toBe("");
  });

  test("stay held for where one more goes long after them", () => {
    const { become, tick, mass } = cluster(10);
    become("dead", 0, 1, 2, 3);
    expect(tick()).toBe("held");
    tick(200_000);
    become("dead", 4);
    expect(tick()).toBe("unchanged");
    expect(mass.reason).toBe("5 of 10 servers were lost at once");
    become("live", 0, 1, 2, 4);
    expect(tick()).toBe("released");
  });

  test("are those that are silent, too, once one of them is dead: the first to be called so begins no storm", () => {
    const { become, tick } = cluster(9);
    become("suspect", 0, 1, 2, 3);
    expect(tick()).toBe("unchanged");
    become("dead", 0);
    expect(tick()).toBe("held");
    become("live", 1, 2, 3);
    expect(tick()).toBe("released");
  });

  test("are not those that went one after the other", () => {
    const { become, tick } = cluster(9);
    for (const volume of [0, 1, 2, 3, 4]) {
      become("dead", volume);
      expect(tick(61_000)).toBe("unchanged");
    }
  });

  test("are at least two, however small the cluster", () => {
    const { become, tick } = cluster(2);
    become("dead", 0);
    expect(tick()).toBe("unchanged");
    become("retired", 1);
    expect(tick()).toBe("held");
  });

  test("are accepted by an operator; others that are lost later hold it again", () => {
    const { become, tick, mass } = cluster(9);
    become("dead", 0, 1, 2, 3);
    expect(tick()).toBe("held");
    expect(acceptFailure(mass)).toBe("released");
    expect(tick()).toBe("unchanged");
    become("dead", 4, 5);
    expect(tick()).toBe("held");
    become("live", 0, 1, 2, 3, 4, 5);
    expect(tick()).toBe("released");
    become("dead", 0, 1, 2, 3);
    expect(tick()).toBe("held");
  });

  test("hold it for as long as is configured", () => {
    const { become, tick } = cluster(9, 30_000);
    become("dead", 0, 1, 2, 3);
    expect(tick()).toBe("held");
    expect(tick(29_000)).toBe("unchanged");
    expect(tick(1_000)).toBe("released");
    expect(tick(1_000)).toBe("unchanged");
  });

  test("are not those that an operator takes away: being drained when they stop, or forgotten after it", () => {
    const { become, mark, tick, mass } = cluster(4);
    mark(0, "draining");
    become("dead", 0);
    expect(tick()).toBe("unchanged");
    become("dead", 1);
    expect(tick()).toBe("unchanged");
    mark(0, "forgotten");
    expect(tick()).toBe("unchanged");
    become("dead", 2);
    expect(tick()).toBe("held");
    expect(mass.reason).toBe("2 of 3 servers were lost at once");
    mark(1, "forgotten");
    expect(tick()).toBe("released");
    expect([...mass.goneMs.keys()]).toEqual([2]);
  });

  test("are again those that were to be taken away, once they are to stay", () => {
    const { become, mark, tick } = cluster(4);
    mark(0, "draining");
    become("dead", 0, 1);
    expect(tick()).toBe("unchanged");
    mark(0, "none");
    expect(tick()).toBe("held");
  });

  test("are those that are not back after a start of the master too: it would begin a storm for what was held before", () => {
    const { world, become, tick } = cluster(9);
    for (const volume of [0, 1, 2, 3]) volumeAt(world.volumes, volume).registration = undefined;
    become("suspect", 0, 1, 2, 3);
    expect(tick()).toBe("unchanged");
    become("dead", 0, 1, 2, 3);
    expect(tick()).toBe("held");
    become("live", 0);
    expect(tick()).toBe("released");
  });
});
