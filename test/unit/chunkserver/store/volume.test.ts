import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../../src/base/checksum.ts";
import { chunkHandle, chunkVersion, clusterId, sequence, sessionId } from "../../../../src/wire/ids.ts";
import { protocol } from "../../../../src/limits.ts";
import { openStore } from "../../../../src/chunkserver/store/open-store.ts";
import {
  codeOf,
  content,
  openOptions,
  optionsOf,
  origin,
  putChunk,
  readAll,
  recordOf,
  runOf,
  simVolume,
  writeOptions,
} from "./sim-volume.ts";

const h = chunkHandle;
const v = chunkVersion;

describe("puts", () => {
  for (const [what, bytes] of [
    ["an empty chunk", 0],
    ["a small chunk, held by the log", 5_000],
    ["a chunk of exactly what the log takes", 20_000],
    ["a chunk of one byte more", 20_001],
    ["a chunk of one block", 65_536],
    ["a large chunk", 3_000_001],
  ] as const) {
    test(`${what} reads back after a close, a restart and a flush`, () => {
      const volume = simVolume();
      const data = content(bytes);
      volume.with(async (store) => {
        await putChunk(store, writeOptions(9), data);
        expect(store.replica(h(9))).toMatchObject({ state: "sealed", length: bytes, crc: crc32(data), dataVersion: 1 });
        expect(await readAll(store, 9)).toEqual(data);
      });
      volume.with(async (store) => {
        expect(await readAll(store, 9)).toEqual(data);
        await store.flush();
        expect(await readAll(store, 9)).toEqual(data);
        expect(await store.origin(h(9))).toEqual(origin);
      });
      volume.with(async (store) => {
        expect(await readAll(store, 9)).toEqual(data);
        expect(await store.verifyReplica(h(9))).toBe("healthy");
        expect([...store.reports()]).toEqual([
          { handle: h(9), promisedVersion: v(1), dataVersion: v(1), length: bytes, crc: crc32(data), state: "sealed" },
        ]);
        expect(store.highestHandle).toBe(9);
      });
    });
  }

  test("a range that begins and ends within blocks comes with checksums of exactly its bytes", () => {
    simVolume().with(async (store) => {
      const data = content(2_500_000);
      await putChunk(store, writeOptions(1), data);
      for (const [offset, length] of [
        [0, 1],
        [65_535, 2],
        [65_536, 65_536],
        [100_000, 2_000_000],
        [2_499_999, 1],
        [2_500_000, 0],
      ] as const) {
        expect(await readAll(store, 1, { offset, length })).toEqual(data.slice(offset, offset + length));
      }
      const past = store.read(h(1), { offset: 2_400_000, length: 100_001 });
      expect(await codeOf(past.next())).toBe("RangeInvalid");
    });
  });

  test("a stream that is aborted, broken or fenced leaves nothing", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      const data = content(200_000);
      const aborted = await store.beginWrite(writeOptions(1));
      await aborted.write(runOf(data, 0, 100_000));
      await aborted.abort();
      const wrong = await store.beginWrite(writeOptions(1));
      await wrong.write(runOf(data, 0, 200_000));
      expect(await codeOf(wrong.close(200_000, 1))).toBe("Corrupt");
      const gap = await store.beginWrite(writeOptions(2));
      expect(await codeOf(gap.write(runOf(data, 100, 100)))).toBe("ProtocolError");
      await gap.abort();
      const fenced = await store.beginWrite(writeOptions(3));
      await fenced.write(runOf(data, 0, 200_000));
      expect(await store.promise(h(3), v(2))).toMatchObject({ kind: "fenced", prepared: 0, dataVersion: 0 });
      expect(await codeOf(fenced.close(200_000, crc32(data)))).toBe("VersionStale");
      expect([...store.reports()].map(({ handle, state }) => [handle, state])).toEqual([[h(3), "fenced"]]);
      expect(await world.disk.list("/disk/volume/chunks/01")).toEqual([]);
      expect((await store.space()).usedBytes).toBe(0);
    });
  });

  test("a second stream into a chunk is refused while the first goes on and after it", () => {
    simVolume().with(async (store) => {
      const first = await store.beginWrite(writeOptions(1));
      expect(await codeOf(store.beginWrite(writeOptions(1)))).toBe("ChunkClosed");
      await first.write(runOf(content(10), 0, 10));
      await first.close(10, crc32(content(10)));
      expect(await codeOf(store.beginWrite(writeOptions(1)))).toBe("ChunkClosed");
    });
  });
});

describe("DESIGN §4.3 appends", () => {
  test("records are prepared, survive a restart and a flush, and the role is lost", () => {
    const volume = simVolume();
    const data = content(300_000);
    const sizes = [10, 65_536, 70_000, 1, 100_000];
    volume.with(async (store) => {
      expect(await store.openReplica(openOptions(4))).toBe("created");
      expect(await store.openReplica(openOptions(4))).toBe("exists");
      let offset = 0;
      let position = 0;
      for (const [index, size] of sizes.entries()) {
        position = store.append(recordOf(4, index + 1, { offset, data: data.slice(offset, offset + size) }));
        offset += size;
      }
      await store.durable(position);
      expect(store.replica(h(4))).toMatchObject({
        state: "open",
        length: offset,
        accepted: offset,
        crc: crc32(data.slice(0, offset)),
      });
      expect(await readAll(store, 4)).toEqual(data.slice(0, offset));
      await store.flush();
      expect(await readAll(store, 4)).toEqual(data.slice(0, offset));
      const more = store.append(recordOf(4, 6, { offset, data: data.slice(offset, offset + 5) }));
      await store.durable(more);
      expect(await readAll(store, 4)).toEqual(data.slice(0, offset + 5));
    });
    volume.with(async (store) => {
      const length = 235_552;
      expect(store.replica(h(4))).toMatchObject({
        state: "open",
        inherited: true,
        length,
        crc: crc32(data.slice(0, length)),
      });
      expect(await readAll(store, 4)).toEqual(data.slice(0, length));
      expect(() => store.append(recordOf(4, 7, { offset: length, data: content(1) }))).toThrow("role is lost");
      expect(await codeOf(store.openReplica(openOptions(4)))).toBe("ChunkClosed");
      const answer = await store.promise(h(4), v(2));
      expect(answer).toMatchObject({
        kind: "fenced",
        prepared: length,
        crc: crc32(data.slice(0, length)),
        dataVersion: 1,
      });
      if (answer.kind === "fenced") {
        expect(answer.appendTable).toHaveLength(1);
        expect(answer.appendTable[0]?.answers).toHaveLength(6);
        expect(answer.appendTable[0]?.answers[5]).toMatchObject({
          sequence: 6,
          fileOffset: 1_000 + length - 5,
          bytes: 5,
        });
      }
    });
  });

  test("after a fence nothing lower is accepted, a higher fence refuses a lower one, and the same one is answered alike", () => {
    simVolume().with(async (store) => {
      await store.openReplica(openOptions(4));
      const position = store.append(recordOf(4, 1, { offset: 0, data: content(100) }));
      const fencing = store.promise(h(4), v(3));
      expect(store.promised(h(4))).toBe(v(3));
      expect(() => store.append(recordOf(4, 2, { offset: 100, data: content(100) }))).toThrow("promised");
      const answer = await fencing;
      await store.durable(position);
      expect(answer).toMatchObject({ kind: "fenced", prepared: 100 });
      expect(await store.promise(h(4), v(3))).toEqual(answer);
      expect(await store.promise(h(4), v(2))).toEqual({ kind: "refused", promised: v(3) });
      expect(await codeOf(store.openReplica(openOptions(4)))).toBe("VersionStale");
      expect(await store.promise(h(77), v(2))).toMatchObject({
        kind: "fenced",
        prepared: 0,
        crc: 0,
        dataVersion: 0,
        appendTable: [],
      });
      expect(await codeOf(store.openReplica(openOptions(77)))).toBe("VersionStale");
    });
  });

  test("appends and puts go on while the log is emptied again and again, and nothing of them is lost at a power loss", () => {
    const volume = simVolume();
    const data = content(600_000);
    volume.simulation.do(volume.machine, async (world) => {
      const store = await openStore(world, optionsOf());
      await store.openReplica(openOptions(4));
      const progress = { done: false };
      const emptying = (async () => {
        while (!progress.done) await store.flush();
      })();
      for (let n = 0; n < 60; n++) {
        const offset = n * 10_000;
        const position = store.append(recordOf(4, n + 1, { offset, data: data.slice(offset, offset + 10_000) }));
        await Promise.all([store.durable(position), putChunk(store, writeOptions(100 + n), data.slice(0, 9_000 + n))]);
        expect(await readAll(store, 4, { offset: Math.max(0, offset - 70_000), length: 10_000 })).toHaveLength(10_000);
      }
      progress.done = true;
      await emptying;
    });
    volume.machine.crash({ powerLoss: true, keep: 0 });
    volume.machine.restart();
    volume.with(async (store) => {
      expect(await readAll(store, 4)).toEqual(data);
      for (let n = 0; n < 60; n++) expect(await readAll(store, 100 + n)).toEqual(data.slice(0, 9_000 + n));
      expect(store.appendTable(h(4))[0]?.answers).toHaveLength(60);
    });
  });

  test("a record that rotted in memory across a block border is refused", () => {
    simVolume().with(async (store) => {
      await store.openReplica(openOptions(4));
      const data = content(70_000);
      const record = recordOf(4, 1, { offset: 0, data });
      data[66_000]! ^= 1;
      expect(() => store.append(record)).toThrow("no longer has its checksum");
    });
  });

  for (const [what, length] of [
    ["whole", 150_000],
    ["cut within a block", 100_000],
    ["cut at a border", 65_536],
    ["cut to nothing", 0],
  ] as const) {
    for (const flushed of [false, true]) {
      test(`finish seals a chunk ${what}, ${flushed ? "from its data file" : "from the log"}, and may be repeated`, () => {
        const volume = simVolume();
        const data = content(150_000);
        volume.with(async (store) => {
          await store.openReplica(openOptions(4));
          await store.durable(store.append(recordOf(4, 1, { offset: 0, data })));
          if (flushed) await store.flush();
          await store.promise(h(4), v(2));
          const seal = { handle: h(4), version: v(2), length, crc: crc32(data.slice(0, length)), origin };
          expect(await codeOf(store.finish({ ...seal, length: 150_001 }))).toBe("ChunkClosed");
          await store.finish(seal);
          await store.finish(seal);
          expect(store.replica(h(4))).toMatchObject({ state: "sealed", dataVersion: 2, length, crc: seal.crc });
          expect(await readAll(store, 4)).toEqual(data.slice(0, length));
          expect((await store.space()).usedBytes).toBe(length);
        });
        volume.with(async (store) => {
          expect(await readAll(store, 4)).toEqual(data.slice(0, length));
          await store.flush();
          expect(await store.verifyReplica(h(4))).toBe("healthy");
          expect(await store.promise(h(4), v(3))).toMatchObject({ kind: "sealed", dataVersion: 2, length });
        });
      });
    }
  }

  test("a shorter member fetches the missing tail, whatever is repeated, and is finished", () => {
    const volume = simVolume();
    const data = content(400_000);
    const tail = { handle: h(4), version: v(2), length: 400_000, crc: crc32(data), origin, appendTable: [] };
    volume.with(async (store) => {
      await store.openReplica(openOptions(4));
      await store.durable(store.append(recordOf(4, 1, { offset: 0, data: data.slice(0, 100_001) })));
      expect(await codeOf(store.beginTail(tail))).toBe("ChunkClosed");
      await store.promise(h(4), v(2));
      const given = await store.beginTail(tail);
      await given.write(runOf(data, 100_001, 50_000));
      const writer = await store.beginTail(tail);
      expect(await codeOf(given.write(runOf(data, 150_001, 10)))).toBe("ChunkClosed");
      expect(writer.from).toBe(100_001);
      await writer.write(runOf(data, 100_001, 200_000));
      await writer.write(runOf(data, 300_001, 99_999));
      await writer.close();
      expect((await store.beginTail(tail)).from).toBe(400_000);
      expect(await store.promise(h(4), v(2))).toMatchObject({ kind: "fenced", prepared: 400_000, crc: crc32(data) });
    });
    volume.with(async (store) => {
      expect(await readAll(store, 4)).toEqual(data);
      await store.finish(tail);
      await store.flush();
      expect(await readAll(store, 4)).toEqual(data);
    });
  });

  for (const [what, mine, checkpointed] of [
    ["that voted for some of its records", 2, false],
    ["that voted for some, after a checkpoint", 2, true],
    ["whose last record is too long ago to meet those brought", 1, false],
    ["that never had the chunk", undefined, false],
  ] as const) {
    test(`a fetched tail brings the answers with the bytes to a member ${what}: a fence tells the whole table, after a restart too`, () => {
      const volume = simVolume();
      const bytes = 1_000;
      const data = content(70 * bytes);
      const piece = (n: number): Uint8Array => data.slice((n - 1) * bytes, n * bytes);
      const answer = (n: number) => ({
        sequence: sequence(n),
        fileOffset: origin.fileOffset + (n - 1) * bytes,
        bytes,
        crc: crc32(piece(n)),
      });
      const held = mine === 1 ? 70 : 4;
      const length = held * bytes;
      const numbers = Array.from({ length: held }, (_, i) => i + 1).slice(-protocol.appendWindow);
      const appendTable = [{ session: sessionId(5), answers: numbers.map(answer) }];
      const tail = { handle: h(4), version: v(2), length, crc: crc32(data.slice(0, length)), origin, appendTable };
      const whole = { kind: "fenced" as const, prepared: length, crc: tail.crc, appendTable };
      volume.with(async (store) => {
        if (mine !== undefined) await store.openReplica(openOptions(4));
        for (let n = 1; n <= (mine ?? 0); n++)
          await store.durable(store.append(recordOf(4, n, { offset: (n - 1) * bytes, data: piece(n) })));
        expect(await store.promise(h(4), v(2))).toMatchObject({ kind: "fenced", prepared: (mine ?? 0) * bytes });
        const writer = await store.beginTail(tail);
        await writer.write(runOf(data, writer.from, length - writer.from));
        await writer.close();
        expect(await store.promise(h(4), v(2))).toMatchObject(whole);
        if (checkpointed) await store.flush();
      });
      volume.with(async (store) => {
        expect(await store.promise(h(4), v(3))).toMatchObject(whole);
      });
    });
  }
});

describe("what goes", () => {
  test("a replica moved aside leaves a tombstone that a delayed open or put does not revive, and a clone may", () => {
    const volume = simVolume();
    const data = content(30_000);
    volume.with(async (store) => {
      await putChunk(store, writeOptions(1), data);
      await store.moveAside(h(1), v(1));
      expect(store.replica(h(1))?.state).toBe("sealed");
      await store.moveAside(h(1));
      await store.moveAside(h(1));
      expect(store.replica(h(1))).toBeUndefined();
      expect(await codeOf(store.beginWrite(writeOptions(1)))).toBe("VersionStale");
      expect((await store.space()).usedBytes).toBe(30_000);
    });
    volume.with(async (store, world) => {
      expect(await codeOf(store.openReplica(openOptions(1)))).toBe("VersionStale");
      expect(await world.disk.list("/disk/volume/aside")).toHaveLength(1);
      await new Promise<void>((resolve) => {
        world.clock.after(11_000, resolve);
      });
      expect(await world.disk.list("/disk/volume/aside")).toEqual([]);
      expect((await store.space()).usedBytes).toBe(0);
      await putChunk(store, writeOptions(1, { purpose: "clone", version: v(2) }), data);
      expect(await readAll(store, 1)).toEqual(data);
    });
    volume.with(async (store) => {
      expect(await readAll(store, 1)).toEqual(data);
    });
  });
});

describe("whose it is", () => {
  test("a volume keeps its id, adopts one cluster, and refuses another and older epochs", () => {
    const volume = simVolume();
    const [a, b] = [clusterId("a".repeat(32)), clusterId("b".repeat(32))];
    const id = volume.with(async (store) => {
      expect(store.clusterId).toBeUndefined();
      await store.adopt(a);
      await store.adopt(a);
      expect(await codeOf(store.adopt(b))).toBe("WrongCluster");
      await store.seeEpoch({ number: 3, startId: "0".repeat(16) });
      return store.volume;
    });
    volume.with(async (store) => {
      expect(store.volume).toBe(id);
      expect(store.clusterId).toBe(a);
      await store.flush();
    });
    volume.with(async (store) => {
      expect(store.epoch).toEqual({ number: 3, startId: "0".repeat(16) });
      await store.seeEpoch({ number: 3, startId: "0".repeat(16) });
      expect(await codeOf(store.seeEpoch({ number: 2, startId: "0".repeat(16) }))).toBe("EpochStale");
      expect(await codeOf(store.seeEpoch({ number: 3, startId: "1".repeat(16) }))).toBe("EpochStale");
      await store.seeEpoch({ number: 4, startId: "1".repeat(16) });
    });
  });
});
