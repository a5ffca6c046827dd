import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../../src/base/errors.ts";
import { crc32 } from "../../../../src/base/checksum.ts";
import { chunkHandle, chunkVersion } from "../../../../src/wire/ids.ts";
import { sleep } from "../../../../src/net/deadline.ts";
import { openStore } from "../../../../src/chunkserver/store/open-store.ts";
import {
  codeOf,
  content,
  directory,
  openOptions,
  optionsOf,
  origin,
  putChunk,
  readAll,
  recordOf,
  runOf,
  type SimVolume,
  simVolume,
  smallLimits,
  writeOptions,
} from "./sim-volume.ts";

const h = chunkHandle;
const v = chunkVersion;
const dataFile = `${directory}/chunks/01/0000000000000001`;

/** The error that a start of the volume ends with. */
function failureOfStart(volume: SimVolume): GfsError {
  const task = volume.machine.run((world) => openStore(world, optionsOf()));
  volume.simulation.runUntil(() => task.settled);
  const error = task.error;
  if (error instanceof GfsError) return error;
  throw error ?? new Error("the volume started");
}

/** One chunk of 200 000 bytes in its data file. */
function withChunk(): { volume: SimVolume; data: Uint8Array } {
  const volume = simVolume();
  const data = content(200_000);
  volume.with((store) => putChunk(store, writeOptions(1), data));
  return { volume, data };
}

describe("P5: what is damaged is found, reported, and never served", () => {
  for (const [what, offset] of [
    ["in a block", 70_000],
    ["in the last block", 199_999],
    ["in a block checksum of the trailer", 200_018],
    ["in the trailer's description", 200_050],
  ] as const) {
    test(`a bit flipped ${what}`, () => {
      const { volume } = withChunk();
      volume.machine.drive().corrupt(dataFile, offset, 4);
      volume.with(async (store) => {
        expect(await codeOf(readAll(store, 1))).toBe("Corrupt");
        expect(store.replica(h(1))?.state).toBe("corrupt");
        expect(store.bad()).toEqual([{ handle: h(1), version: v(1), reason: "corrupt" }]);
        expect(await codeOf(readAll(store, 1))).toBe("Corrupt");
        expect(store.retired).toBeUndefined();
      });
      volume.with(async (store) => {
        expect(await codeOf(readAll(store, 1))).toBe("Corrupt");
        store.forgetBad(store.bad());
        expect(store.bad()).toEqual([]);
        // A clone takes its place.
        await putChunk(store, writeOptions(1, { purpose: "clone" }), content(200_000));
        expect(await readAll(store, 1)).toEqual(content(200_000));
      });
    });
  }

  test("a copy that rots before its predecessor's report was answered is reported too", () => {
    const { volume } = withChunk();
    volume.with(async (store) => {
      const rot = async (): Promise<void> => {
        volume.machine.drive().corrupt(dataFile, 70_000);
        expect(await codeOf(readAll(store, 1))).toBe("Corrupt");
      };
      await rot();
      const reported = store.bad();
      await putChunk(store, writeOptions(1, { purpose: "clone" }), content(200_000));
      await rot();
      store.forgetBad(reported);
      expect(store.bad()).toHaveLength(1);
    });
  });

  test("healthy blocks before a damaged one are served", () => {
    const { volume, data } = withChunk();
    volume.machine.drive().corrupt(dataFile, 70_000);
    volume.with(async (store) => {
      expect(await readAll(store, 1, { offset: 10, length: 65_526 })).toEqual(data.slice(10, 65_536));
      expect(await codeOf(readAll(store, 1, { offset: 10, length: 65_527 }))).toBe("Corrupt");
    });
  });

  test("a data file that is gone is missing from the start on, one that was cut at the next read", () => {
    const { volume } = withChunk();
    volume.with(async (store) => {
      await putChunk(store, writeOptions(2), content(50_000));
    });
    volume.simulation.do(volume.machine, async (world) => {
      await world.disk.remove(dataFile);
      const file = await world.disk.open(`${directory}/chunks/02/0000000000000002`, "write");
      await file.truncate(49_999);
      await file.close();
    });
    volume.with(async (store) => {
      expect(store.bad()).toEqual([{ handle: h(1), version: v(1), reason: "missing" }]);
      expect(await store.verifyReplica(h(2))).toBe("corrupt");
      expect(await codeOf(readAll(store, 2))).toBe("Corrupt");
    });
  });

  test("a bit flipped in the log under an open replica is never served, sealed or blessed by a data file", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      await store.openReplica(openOptions(1));
      const data = content(150_000);
      await store.durable(store.append(recordOf(1, 1, { offset: 0, data })));
      const [segment] = await world.disk.list(`${directory}/log`);
      volume.machine.drive().corrupt(`${directory}/log/${segment}`, 100_000);
      await store.promise(h(1), v(2));
      expect(
        await codeOf(store.finish({ handle: h(1), version: v(2), length: 150_000, crc: crc32(data), origin })),
      ).toBe("Corrupt");
      expect(store.bad()).toHaveLength(1);
      await store.flush();
      expect(await codeOf(readAll(store, 1))).toBe("Corrupt");
    });
  });

  for (const [what, file] of [
    ["checkpoint", "checkpoint"],
    ["identity", "identity"],
  ] as const) {
    test(`a bit flipped in the ${what} stops the start, with the file's name and how to go on`, () => {
      const { volume } = withChunk();
      volume.with((store) => store.flush());
      volume.machine.drive().corrupt(`${directory}/${file}`, 30);
      const error = failureOfStart(volume);
      expect(error.code).toBe("Corrupt");
      expect(error.message).toContain(`${directory}/${file}`);
      expect(error.message).toMatch(/empty (one|directory)/);
    });
  }

  test("a bit flipped in the log before its last batch stops the start, with file, offset and how to go on", () => {
    const volume = simVolume();
    volume.with(async (store) => {
      for (const handle of [1, 2, 3]) await putChunk(store, writeOptions(handle), content(3_000));
    });
    const [segment] = volume.simulation.do(volume.machine, (world) => world.disk.list(`${directory}/log`));
    volume.machine.drive().corrupt(`${directory}/log/${segment}`, 2_000);
    const error = failureOfStart(volume);
    expect(error.code).toBe("Corrupt");
    expect(error.message).toContain(`${directory}/log/${segment}`);
    expect(error.message).toMatch(/byte \d+/);
    expect(error.message).toContain("empty one");
  });
});

describe("whose directory it is", () => {
  test("a directory that holds something else, a locked one and a newer format are refused", () => {
    const other = simVolume();
    other.simulation.do(other.machine, async (world) => {
      await world.disk.makeDirectory(`${directory}/photos`);
    });
    expect(failureOfStart(other)).toMatchObject({ code: "Denied" });

    const locked = simVolume();
    locked.with((_store) => {
      const task = locked.machine.run((world) => openStore(world, optionsOf()));
      return new Promise<void>((resolve) => {
        locked.simulation.after(50, () => {
          expect(task.error).toMatchObject({ code: "Locked" });
          resolve();
        });
      });
    });

    const newer = simVolume();
    newer.with(() => Promise.resolve());
    newer.simulation.do(newer.machine, async (world) => {
      const line = `${JSON.stringify({ kind: "gfs volume", format: 2, future: true })}\n`;
      const bytes = new TextEncoder().encode(
        `${line}${crc32(new TextEncoder().encode(line)).toString(16).padStart(8, "0")}\n`,
      );
      const file = await world.disk.open(`${directory}/identity`, "write");
      await file.truncate(0);
      await file.write([bytes], 0);
      await file.close();
    });
    expect(failureOfStart(newer)).toMatchObject({ code: "FormatUnsupported" });
  });

  test("a wiped directory is a new volume", () => {
    const volume = simVolume();
    const before = volume.with((store) => Promise.resolve(store.volume));
    volume.simulation.do(volume.machine, (world) => world.disk.removeTree(directory));
    expect(volume.with((store) => Promise.resolve(store.volume))).not.toBe(before);
  });
});

describe("DESIGN §4.5 an error of the disk retires the volume", () => {
  test("a failed sync of the log: no vote, no fence answer, nothing beyond the last good sync", () => {
    const volume = simVolume();
    volume.with(async (store) => {
      await store.openReplica(openOptions(1));
      await store.durable(store.append(recordOf(1, 1, { offset: 0, data: content(100) })));
      const reasons: string[] = [];
      store.onRetire((reason) => reasons.push(reason));
      volume.machine.drive().fail({ operation: "sync", pathPrefix: `${directory}/log`, times: 1 });
      const position = store.append(recordOf(1, 2, { offset: 100, data: content(100) }));
      const fence = codeOf(store.promise(h(1), v(2)));
      expect(await codeOf(store.durable(position))).toBe("VolumeRetired");
      expect(await fence).toBe("VolumeRetired");
      expect(await codeOf(store.promise(h(1), v(3)))).toBe("VolumeRetired");
      expect(await codeOf(putChunk(store, writeOptions(2), content(10)))).toBe("VolumeRetired");
      expect(store.replica(h(1))?.length).toBe(100);
      expect([...store.reports()]).toMatchObject([{ length: 100, promisedVersion: 1 }]);
      expect(reasons).toHaveLength(1);
      expect([store.retired ?? ""]).toEqual(reasons);
      expect(await readAll(store, 1)).toEqual(content(100));
    });
  });

  test("a failed sync of a data file", () => {
    const volume = simVolume();
    volume.with(async (store) => {
      volume.machine.drive().fail({ operation: "sync", pathPrefix: `${directory}/chunks/01/`, times: 1 });
      expect(await codeOf(putChunk(store, writeOptions(1), content(200_000)))).toBe("VolumeRetired");
      expect(store.retired).toContain("0000000000000001");
      expect(store.replica(h(1))).toBeUndefined();
    });
  });
});

describe("no space", () => {
  test("a stream that meets a full disk ends with NoSpace, gives the space back, and fences, seals and removals go on", () => {
    const volume = simVolume(1, 3_000_000);
    volume.with(async (store) => {
      await store.openReplica(openOptions(1));
      const data = content(50_000);
      await store.durable(store.append(recordOf(1, 1, { offset: 0, data })));
      const big = content(4_000_000);
      expect(await codeOf(putChunk(store, writeOptions(3), big))).toBe("NoSpace");
      expect(await codeOf(store.beginWrite(writeOptions(4, { bytes: 4_000_000 })))).toBe("NoSpace");
      expect(store.retired).toBeUndefined();
      expect((await store.space()).usedBytes).toBe(50_000);
      volume.machine.drive().files.capacityBytes = 0;
      expect(await store.promise(h(1), v(2))).toMatchObject({ kind: "fenced", prepared: 50_000 });
      await store.finish({ handle: h(1), version: v(2), length: 50_000, crc: crc32(data), origin });
      await store.moveAside(h(1));
      volume.machine.drive().files.capacityBytes = 3_000_000;
      expect(store.replica(h(1))).toBeUndefined();
    });
  });

  test("a chunk that came in one frame, and whose data file finds no room, leaves nothing behind", () => {
    const volume = simVolume();
    volume.with(async (store) => {
      const data = content(50_000);
      const write = (handle: number) =>
        store.writeWhole(writeOptions(handle), runOf(data, 0, data.length), crc32(data));
      await write(1);
      volume.machine.drive().fail({ operation: "open", pathPrefix: `${directory}/chunks`, times: 1, kind: "full" });
      expect(await codeOf(write(2))).toBe("NoSpace");
      expect(store.retired).toBeUndefined();
      await write(2);
      expect(store.replica(h(2))).toMatchObject({ length: 50_000 });
    });
  });

  test("the space limit holds for puts and appends", () => {
    simVolume().with(
      async (store) => {
        await putChunk(store, writeOptions(1), content(60_000));
        expect(await store.space()).toMatchObject({ totalBytes: 100_000, freeBytes: 40_000, usedBytes: 60_000 });
        expect(await codeOf(store.beginWrite(writeOptions(2, { bytes: 40_001 })))).toBe("NoSpace");
        const held = await store.beginWrite(writeOptions(2, { bytes: 30_000 }));
        expect((await store.space()).freeBytes).toBe(10_000);
        expect(await codeOf(putChunk(store, writeOptions(3), content(10_001)))).toBe("NoSpace");
        await held.abort();
        await store.openReplica(openOptions(4));
        expect(() => store.append(recordOf(4, 1, { offset: 0, data: content(40_001) }))).toThrow("are free");
        await store.durable(store.append(recordOf(4, 1, { offset: 0, data: content(40_000) })));
        expect((await store.space()).freeBytes).toBe(0);
      },
      { spaceLimitBytes: 100_000 },
    );
  });

  test("what only the log has counts against the disk: it will be filed there", () => {
    const volume = simVolume(1, 6_000_000);
    volume.with(async (store, world) => {
      await store.openReplica(openOptions(1));
      const told = async (): Promise<number> => {
        // Older than the figure is kept for.
        await sleep(world.clock, 250);
        return (await store.space()).freeBytes;
      };
      const before = await told();
      for (let i = 0; i < 20; i++)
        await store.durable(store.append(recordOf(1, i + 1, { offset: i * 15_000, data: content(15_000, i) })));
      const logged = await told();
      expect(logged).toBeLessThanOrEqual(before - 300_000);
      await store.flush();
      expect(Math.abs((await told()) - logged)).toBeLessThan(20_000);
    });
  });

  test("of its own space a volume keeps a part for clones and the ends of chunks that are sealed", () => {
    simVolume().with(
      async (store) => {
        await store.openReplica(openOptions(1));
        await store.durable(store.append(recordOf(1, 1, { offset: 0, data: content(10_000) })));
        await putChunk(store, writeOptions(2), content(70_000));
        expect(await store.space()).toMatchObject({ freeBytes: 20_000, newBytes: 10_000 });
        expect(await codeOf(store.beginWrite(writeOptions(3, { bytes: 10_001 })))).toBe("NoSpace");
        expect(await codeOf(putChunk(store, writeOptions(3), content(10_001)))).toBe("NoSpace");
        const small = content(10_001);
        expect(await codeOf(store.writeWhole(writeOptions(6), runOf(small, 0, 10_001), crc32(small)))).toBe("NoSpace");
        expect(() => store.append(recordOf(1, 2, { offset: 10_000, data: small }))).toThrow(
          "10001 bytes are wanted, 10000 of 100000 are free on this volume, and 10000 kept for repair",
        );
        await putChunk(store, writeOptions(7), content(10_000));
        expect(await store.space()).toMatchObject({ freeBytes: 10_000, newBytes: 0 });
        expect(await codeOf(store.openReplica(openOptions(4)))).toBe("NoSpace");
        await putChunk(store, { ...writeOptions(5), purpose: "clone" }, content(6_000));
        // The end of a chunk that another member has, and this one not.
        await store.promise(h(1), v(2));
        const whole = content(14_000);
        const options = { handle: h(1), version: v(2), length: 14_000, crc: crc32(whole), origin, appendTable: [] };
        const tail = await store.beginTail(options);
        await tail.write(runOf(whole, 10_000, 4_000));
        await tail.close();
        await store.finish(options);
        expect(await store.space()).toMatchObject({ freeBytes: 0, newBytes: 0 });
      },
      { spaceLimitBytes: 100_000, limits: { ...smallLimits, fullShare: 0.9 } },
    );
  });

  test("a log that fills is emptied behind the writers, who wait for room", () => {
    const volume = simVolume();
    const data = content(15_000);
    volume.with(
      async (store, world) => {
        for (let handle = 1; handle <= 300; handle++) {
          await putChunk(store, writeOptions(handle), data);
          if (handle % 50 === 0) {
            const log = await world.disk.list(`${directory}/log`);
            expect(log.length).toBeLessThan(10);
          }
        }
      },
      { limits: { ...smallLimits, smallChunkBytesMax: 16_000 } },
    );
    volume.with(async (store) => {
      expect(store.replicaCount).toBe(300);
      for (const handle of [1, 150, 300]) expect(await readAll(store, handle)).toEqual(data);
    });
  });
});
