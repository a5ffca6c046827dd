import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import { GfsError } from "../../src/base/errors.ts";
import { defaultLimits } from "../../src/limits.ts";
import { openLog } from "../../src/log/open-log.ts";
import { checkpointName, writeCheckpoint } from "../../src/master/checkpoint-file.ts";
import { newestCheckpoint } from "../../src/master/checkpoint.ts";
import { applyBatch } from "../../src/master/core/apply.ts";
import { beginServing } from "../../src/master/core/chunk-apply.ts";
import { noteReplicaFact, replicasOf } from "../../src/master/core/chunk-replicas.ts";
import { chunkTableBytes } from "../../src/master/core/chunk-table.ts";
import { dumpState, loadState } from "../../src/master/core/dump.ts";
import { newMasterState } from "../../src/master/core/state.ts";
import { openDataDirectories } from "../../src/master/data-directory.ts";
import { encodeEntry, replayEntry } from "../../src/master/log-batches.ts";
import { Outbox } from "../../src/master/outbox.ts";
import { chunkHandle } from "../../src/wire/ids.ts";
import { storyBatches, storyCluster } from "../golden/cluster-story.ts";
import { inFixedWorld } from "../golden/fixed-world.ts";
import { addSealed, chunkWorld, entry, freshMark, handleOf, reportOf } from "../unit/master/core/chunk-world.ts";

const dumped = (state: Parameters<typeof dumpState>[0]): Uint8Array => concatBytes([...dumpState(state)]);

function stateAfter(count: number) {
  const state = newMasterState();
  for (const batch of storyBatches.slice(0, count)) applyBatch(state, batch);
  return state;
}

describe("paper §2.6.1 in-memory data structures", () => {
  test("a chunk takes about a hundred bytes of the master's memory, with its three replicas", () => {
    const world = chunkWorld(3);
    const before = chunkTableBytes(world.chunks);
    const count = 100_000;
    for (let i = 1; i <= count; i++) addSealed(world, i, [0, 1, 2]);
    // The paper says less than 64 for a chunk; ours has the length, CRC, members and three replicas in it.
    expect((chunkTableBytes(world.chunks) - before) / count).toBeLessThan(110);
  });
});

describe("paper §2.6.2 chunk locations", () => {
  test("the master keeps no persistent record of which chunkservers have a replica", () => {
    const state = stateAfter(storyBatches.length);
    const before = dumped(state);
    const handle = chunkHandle(1);
    expect(replicasOf(state.chunks, handle).map(({ volume }) => volume)).toEqual([0, 1]);
    noteReplicaFact(state.chunks, handle, { volume: 2, health: "healthy" });
    noteReplicaFact(state.chunks, handle, { volume: 0, health: "gone" });
    expect(dumped(state)).toEqual(before);
  });

  test("after a restart it knows the members that the log names, and polls the chunkservers for the rest", () => {
    const state = loadState(dumpState(stateAfter(storyBatches.length)), defaultLimits);
    const { chunks } = state;
    beginServing(chunks);
    expect(replicasOf(chunks, chunkHandle(1))).toEqual([
      { volume: 0, health: "named" },
      { volume: 1, health: "named" },
    ]);
  });

  test("a chunkserver has the final word over what it has on its own disks", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1], 2);
    const factMark = freshMark(world);
    reportOf(world, 2, { number: 1, entries: [entry(1)], factMark });
    expect(replicasOf(world.chunks, handleOf(1))).toContainEqual({ volume: 2, health: "healthy" });
  });
});

describe("paper §2.6.3 operation log", () => {
  test("replaying the log gives the state that the live master had", () => {
    const live = stateAfter(storyBatches.length);
    const replayed = {
      state: newMasterState(),
      time: { clusterMs: 0, epochClusterMs: 0, epochWallMs: undefined },
    };
    for (const [i, batch] of storyBatches.entries()) replayEntry(replayed, i + 1, encodeEntry(batch));
    expect(dumped(replayed.state)).toEqual(dumped(live));
  });

  test("recovery needs only the latest complete checkpoint and the log after it", () => {
    const live = dumped(stateAfter(storyBatches.length));
    for (const position of [1, 7, storyBatches.length - 1]) {
      const state = loadState(dumpState(stateAfter(position)), defaultLimits);
      for (const batch of storyBatches.slice(position)) applyBatch(state, batch);
      expect(dumped(state), `from ${position}`).toEqual(live);
    }
  });

  test("recovery detects and skips an incomplete checkpoint", () => {
    const position = inFixedWorld(async (world) => {
      const directories = await openDataDirectories(world, ["/m"]);
      const [directory] = directories;
      const time = { clusterMs: 1, epochClusterMs: 1, epochWallMs: 1 };
      const { clusterId, checkpointPath } = directory!;
      await world.disk.makeDirectory(checkpointPath);
      for (const [at, cut] of [
        [5, 0],
        [9, 40],
      ] as const) {
        const path = `${checkpointPath}/${checkpointName(at)}`;
        const state = stateAfter(at);
        await writeCheckpoint(world.disk, path, { position: at, clusterId, time }, dumpState(state));
        const file = await world.disk.open(path, "write");
        await file.truncate((await file.size()) - cut);
        await file.close();
      }
      return (await newestCheckpoint(world, directories, defaultLimits)).position;
    });
    expect(position).toBe(5);
  });

  test("changes are not visible to clients until they are persistent", async () => {
    const outbox = new Outbox(0);
    const left: number[] = [];
    const [first, second] = [1, 2].map((position) => outbox.until(position).then(() => left.push(position)));
    await Promise.resolve();
    expect(left).toEqual([]);
    outbox.durable(1);
    await first;
    expect(left).toEqual([1]);
    outbox.fail(new GfsError("DiskFailed", "Cannot sync the log"));
    const refused = await Promise.allSettled([second, outbox.until(1)]);
    expect(refused.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(left).toEqual([1]);
  });

  test("several records are batched together before they are flushed", () => {
    const synced = inFixedWorld(async (world) => {
      const marks: number[] = [];
      const options = {
        directories: ["/log"],
        name: "operation-log",
        id: storyCluster,
        segmentBytes: 8_192,
        after: 0,
        onDurable: (position: number) => marks.push(position),
      };
      const log = await openLog(world, options, () => undefined);
      for (const batch of storyBatches.slice(0, 10)) log.append([encodeEntry(batch)]);
      await log.durable(10);
      await log.close();
      return marks;
    });
    expect(synced).toEqual([10]);
  });

  test("the order of concurrent operations is the order of the log", () => {
    // An entry out of its place is refused, not taken for something else.
    for (const [i, batch] of storyBatches.entries()) {
      const later = storyBatches[i + 1];
      if (later === undefined) continue;
      expect(later.clusterMs).toBeGreaterThan(batch.clusterMs);
      const state = stateAfter(i);
      applyBatch(state, batch);
      applyBatch(state, later);
      expect(() => applyBatch(state, batch)).toThrow("cluster time");
    }
  });
});
