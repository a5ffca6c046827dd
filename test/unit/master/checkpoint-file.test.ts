import { expect, test } from "bun:test";
import fc from "fast-check";
import { hasCode } from "../../../src/base/errors.ts";
import { defaultLimits } from "../../../src/limits.ts";
import { loadCheckpoint } from "../../../src/master/checkpoint.ts";
import { readCheckpoint, writeCheckpoint } from "../../../src/master/checkpoint-file.ts";
import { clusterId } from "../../../src/wire/ids.ts";
import { Simulation } from "../../sim/world/simulation.ts";

const facts = {
  position: 1_234,
  clusterId: clusterId("00112233445566778899aabbccddeeff"),
  time: { clusterMs: 5, epochClusterMs: 2, epochWallMs: undefined },
};
const pieces = [new Uint8Array(300).fill(1), new Uint8Array(5).fill(2), new Uint8Array(1_000).fill(3)];
const fileBytes = 128 + 3 * 8 + 1_305 + 16;

test("a checkpoint gives its pieces back, and with any bit flipped or any end cut off an error", () => {
  const simulation = new Simulation(3);
  const machine = simulation.machine("m");
  simulation.do(machine, async ({ disk }) => {
    await writeCheckpoint(disk, "/c", facts, pieces);
    const read: Uint8Array[] = [];
    expect(await readCheckpoint(disk, "/c", (piece) => read.push(piece))).toEqual(facts);
    expect(read).toEqual(pieces);
    expect((await disk.info("/c"))?.bytes).toBe(fileBytes);
  });
  const readFails = (): void => {
    const error = simulation.do(machine, ({ disk }) =>
      readCheckpoint(disk, "/c", () => undefined).catch((thrown: unknown) => thrown),
    );
    expect(hasCode(error, "Corrupt", "FormatUnsupported")).toBe(true);
  };
  fc.assert(
    fc.property(fc.integer({ min: 0, max: fileBytes - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
      machine.drive().corrupt("/c", at, 1 << bit);
      readFails();
      machine.drive().corrupt("/c", at, 1 << bit);
    }),
    { numRuns: 100 },
  );
  for (const bytes of [0, 100, 128, 500, fileBytes - 1]) {
    simulation.do(machine, async ({ disk }) => {
      await writeCheckpoint(disk, "/c", facts, pieces);
      const file = await disk.open("/c", "write");
      await file.truncate(bytes);
      await file.close();
    });
    readFails();
  }
});

test("a checkpoint of many reads gives its pieces back, small and large ones by turns", () => {
  const simulation = new Simulation(4);
  const machine = simulation.machine("m");
  const large = [700_000, 1, 1_100_000, 3_000_000, 9_000_000, 5, 1_048_576, 1_114_104].map((bytes, i) =>
    new Uint8Array(bytes).fill(i + 1),
  );
  simulation.do(machine, async ({ disk }) => {
    await writeCheckpoint(disk, "/c", facts, large);
    let next = 0;
    await readCheckpoint(disk, "/c", (piece) => expect(Buffer.compare(piece, large[next++]!)).toBe(0));
    expect(next).toBe(large.length);
  });
});

test("a piece that is no CBOR is Corrupt, also where its checksum is right: an older checkpoint is taken then", () => {
  const simulation = new Simulation(3);
  const error = simulation.do(simulation.machine("m"), async ({ disk }) => {
    await writeCheckpoint(disk, "/c", facts, [Uint8Array.of(0x1c)]);
    return loadCheckpoint(disk, "/c", { ...facts, limits: defaultLimits }).catch((thrown: unknown) => thrown);
  });
  expect(hasCode(error, "Corrupt")).toBe(true);
});
