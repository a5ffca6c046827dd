import { describe, expect, test } from "bun:test";
import { blockBytes, defaultLimits, protocol } from "../../src/limits.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { openStore } from "../../src/chunkserver/store/open-store.ts";
import { noFaults } from "../sim/world/fault-settings.ts";
import { Simulation } from "../sim/world/simulation.ts";
import { content, optionsOf, putChunk, writeOptions } from "../unit/chunkserver/store/sim-volume.ts";
import { chunkHandle } from "../../src/wire/ids.ts";

describe("paper §2.5 chunk size", () => {
  test("a chunk is large: 64 MB by default, and any size from 64 KiB to 1 GiB", () => {
    expect(defaultLimits.chunkBytes).toBe(64_000_000);
    expect<number[]>([protocol.chunkBytesMin, protocol.chunkBytesMax]).toEqual([64 * 1_024, 2 ** 30]);
    expect<number>(protocol.chunkBytesMin).toBe(blockBytes);
  });

  test("a chunk is a plain file, extended only as needed: a short one takes no more than its bytes", () => {
    const simulation = new Simulation(1, { faults: noFaults });
    const machine = simulation.machine("m");
    simulation.do(machine, async (world) => {
      await using store = await openStore(world, optionsOf());
      const data = content(30_000);
      await putChunk(store, writeOptions(1), data);
      expect(store.replica(chunkHandle(1))).toMatchObject({ state: "sealed", length: 30_000, crc: crc32(data) });
      const path = `${optionsOf().directory}/chunks/01/${"1".padStart(16, "0")}`;
      const bytes = (await world.disk.info(path))?.bytes ?? 0;
      // Its bytes and the trailer: no part of the 64 MB that it could have grown to.
      expect(bytes).toBeGreaterThan(30_000);
      expect(bytes).toBeLessThan(31_000);
    });
  });
});
