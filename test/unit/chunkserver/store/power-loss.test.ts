import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../../src/base/checksum.ts";
import { openStore } from "../../../../src/chunkserver/store/open-store.ts";
import type { Store } from "../../../../src/chunkserver/store/store.ts";
import { chunkHandle, chunkVersion, clusterId, sequence, sessionId } from "../../../../src/wire/ids.ts";
import { noFaults } from "../../../sim/world/fault-settings.ts";
import { Simulation } from "../../../sim/world/simulation.ts";
import {
  content,
  openOptions,
  optionsOf,
  origin,
  putChunk,
  readAll,
  recordOf,
  runOf,
  smallLimits,
  writeOptions,
} from "./sim-volume.ts";

const h = chunkHandle;
const v = chunkVersion;
/** Sectors that a page of 512 bytes keeps or loses make many pages slow: the chunks are small, and so is the log. */
const limits = { ...smallLimits, smallChunkBytesMax: 3_000, logSegmentBytes: 24 * 1024, volumeLogBytesMax: 256 * 1024 };
const records = content(5_000, 3);
/** Of what the fetched tail brings: record 4 is all that this member did not vote for. */
const fetched = { sequence: sequence(4), fileOffset: origin.fileOffset + 2_000, bytes: 3_000, crc: 44 };
const appendTable = [{ session: sessionId(5), answers: [fetched] }];

/** What was reported durable, by the name of the fact. Lives outside of the process that dies. */
class Reported {
  readonly puts = new Map<number, Uint8Array>();
  prepared = 0;
  promised = 0;
  finished = false;
  tailed = false;
  removed = false;
  adopted = false;
  epoch = 0;
}

async function work(store: Store, done: Reported): Promise<void> {
  await store.adopt(clusterId("c".repeat(32)));
  done.adopted = true;
  const put = async (handle: number, bytes: number): Promise<void> => {
    await putChunk(store, writeOptions(handle), content(bytes, handle), 4_000);
    done.puts.set(handle, content(bytes, handle));
  };
  const whole = async (handle: number, bytes: number): Promise<void> => {
    const data = content(bytes, handle);
    await store.writeWhole(writeOptions(handle), runOf(data, 0, bytes), crc32(data));
    done.puts.set(handle, data);
  };
  await put(1, 900);
  await store.openReplica(openOptions(2));
  const append = async (n: number, offset: number, bytes: number): Promise<void> => {
    await store.durable(store.append(recordOf(2, n, { offset, data: records.slice(offset, offset + bytes) })));
    done.prepared = offset + bytes;
  };
  await append(1, 0, 700);
  await put(3, 9_000);
  await store.seeEpoch({ number: 1, startId: "0".repeat(16) });
  done.epoch = 1;
  await append(2, 700, 900);
  // More than a segment of the log, so that the flush trims it.
  await Promise.all(Array.from({ length: 9 }, (_, i) => put(10 + i, 2_900)));
  await store.flush();
  await append(3, 1_600, 400);
  // The last does not fit an entry of the log.
  await Promise.all([put(4, 2_000), put(5, 5_000), whole(7, 1_000), whole(8, 2_000), whole(9, 7_000)]);
  await store.promise(h(2), v(2));
  done.promised = 2;
  const seal = { handle: h(2), version: v(2), length: 5_000, crc: crc32(records), origin };
  const tail = await store.beginTail({ ...seal, appendTable });
  await tail.write(runOf(records, tail.from, 5_000 - tail.from));
  await tail.close();
  done.tailed = true;
  await store.finish(seal);
  done.finished = true;
  await Promise.all(Array.from({ length: 9 }, (_, i) => put(30 + i, 2_900)));
  await store.flush();
  done.puts.delete(3);
  await store.moveAside(h(3));
  done.removed = true;
  await put(6, 1_000);
  await whole(20, 2_500);
}

async function check(store: Store, done: Reported): Promise<void> {
  if (done.adopted) expect(store.clusterId).toBe(clusterId("c".repeat(32)));
  expect(store.epoch?.number ?? 0).toBeGreaterThanOrEqual(done.epoch);
  for (const [handle, data] of done.puts) {
    expect(store.replica(h(handle))?.state).toBe("sealed");
    expect(await readAll(store, handle)).toEqual(data);
  }
  if (done.removed) expect(store.replica(h(3))).toBeUndefined();
  const open = store.replica(h(2));
  // The answers come and go with the bytes.
  const last = store
    .appendTable(h(2))
    .find(({ session }) => session === 5)
    ?.answers.at(-1);
  if (open !== undefined && open.state !== "sealed") expect(last?.sequence === 4).toBe(open.length === 5_000);
  const atLeast = done.tailed ? 5_000 : done.prepared;
  if (atLeast > 0) {
    expect(open?.length ?? 0).toBeGreaterThanOrEqual(atLeast);
    const length = open?.length ?? 0;
    expect(open?.crc).toBe(crc32(records.slice(0, length)));
    expect(await readAll(store, 2)).toEqual(records.slice(0, length));
  }
  if (done.promised > 0) expect(open?.promisedVersion).toBe(v(2));
  if (done.finished) expect(open).toMatchObject({ state: "sealed", dataVersion: 2 });
  if (open?.state === "sealed") expect(open).toMatchObject({ length: 5_000, dataVersion: 2 });
  // Nothing is damaged by a power loss; what was not closed is not there.
  expect(store.bad()).toEqual([]);
  for (const report of store.reports()) expect(report.state).not.toBe("corrupt");
  await store.flush();
  for (const [handle, data] of done.puts) expect(await readAll(store, handle)).toEqual(data);
  for (const handle of [1, 2, 3, 4, 5, 6, 7, 8, 9, 20]) {
    const replica = store.replica(h(handle));
    if (replica !== undefined) expect(await store.verifyReplica(h(handle))).toBe("healthy");
  }
}

/** The power goes before event `crashAt`; what was reported before must be there after the next start. False: the work ended before. */
function crashAndCheck(seed: number, crashAt: number, powerLoss: boolean): boolean {
  const faults = { ...noFaults, disk: { ...noFaults.disk, writeShowsEarly: 0.2, writeBack: 0.2 } };
  const simulation = new Simulation(seed, { faults });
  const machine = simulation.machine("disk");
  const done = new Reported();
  const task = machine.run(async (world) => {
    const store = await openStore(world, optionsOf({ limits }));
    await work(store, done);
  });
  simulation.runUntil(() => task.settled || simulation.scheduler.events >= crashAt);
  if (task.settled) {
    if (task.error !== undefined) throw task.error;
    return false;
  }
  machine.crash({ powerLoss });
  for (let again = 0; again < 2; again++) {
    machine.restart();
    simulation.do(machine, async (world) => {
      const store = await openStore(world, optionsOf({ limits }));
      await check(store, done);
      if (again === 1) await store.close();
    });
    // The second time the power goes right after a start: recovery must be durable, too.
    if (again === 0) machine.crash({ powerLoss: true });
  }
  return true;
}

describe("P1: what was reported durable is there", () => {
  // Each a tenth of the moments, with a seed of its own: together they are every other one.
  for (const first of [1, 3, 5, 7, 9]) {
    test(`after a power loss at event ${first}, ${first + 10}, ${first + 20} … of the disk`, () => {
      let crashAt = first;
      while (crashAndCheck(crashAt, crashAt, true)) crashAt += 10;
      expect(crashAt).toBeGreaterThan(150);
    });
  }

  test("after SIGKILL at every fifth event, and a power loss at the next start", () => {
    let crashAt = 2;
    while (crashAndCheck(1_000 + crashAt, crashAt, false)) crashAt += 5;
    expect(crashAt).toBeGreaterThan(150);
  });
});
