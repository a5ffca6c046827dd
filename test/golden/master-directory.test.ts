import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import type { World } from "../../src/io.ts";
import { defaultLimits } from "../../src/limits.ts";
import { openLog } from "../../src/log/open-log.ts";
import { readCheckpoint, writeCheckpoint } from "../../src/master/checkpoint-file.ts";
import { loadCheckpoint } from "../../src/master/checkpoint.ts";
import { applyBatch } from "../../src/master/core/apply.ts";
import { dumpState } from "../../src/master/core/dump.ts";
import { type MasterState, newMasterState } from "../../src/master/core/state.ts";
import { markWhole, openDataDirectories } from "../../src/master/data-directory.ts";
import { decodeEntry, encodeEntry } from "../../src/master/log-batches.ts";
import { LogBatch, LogRecord } from "../../src/wire/log-records.ts";
import { storyBatches, storyCluster } from "./cluster-story.ts";
import { inFixedWorld, readFile, writeFile } from "./fixed-world.ts";
import { expectGoldenFile } from "./golden-file.ts";

const segment = "0000000000000001.segment";
const segmentBytes = 8_192;
const time = { clusterMs: 1_230, epochClusterMs: 1_000, epochWallMs: 1_700_000_000_000 };

function openStoryLog(world: World, replay: (position: number, entry: Uint8Array) => void) {
  const options = { directories: ["/log"], name: "operation-log", id: storyCluster, segmentBytes, after: 0 };
  return openLog(world, options, replay);
}

function stateAfter(batches: readonly LogBatch[]): MasterState {
  const state = newMasterState();
  for (const batch of batches) applyBatch(state, batch);
  return state;
}

const dumped = (state: MasterState): Uint8Array => concatBytes([...dumpState(state)]);

describe("a master's directory that was written once can be opened, and is written alike", () => {
  test("the story has every kind of log record", () => {
    const kinds = new Set(storyBatches.flatMap(({ records }) => records.map(({ kind }) => kind)));
    expect([...kinds].sort()).toEqual(LogRecord.options.map((option) => option.shape.kind.value).sort());
    for (const batch of storyBatches) expect(LogBatch.parse(batch)).toEqual(batch);
  });

  test("a segment of the operation log", () => {
    const written = inFixedWorld(async (world) => {
      const log = await openStoryLog(world, () => undefined);
      for (const [i, batch] of storyBatches.entries()) {
        const position = log.append([encodeEntry(batch)]);
        // Some entries alone in their batch, some together.
        if (i % 3 === 0) await log.durable(position);
      }
      await log.durable(log.lastPosition);
      await log.close();
      return readFile(world, `/log/${segment}`);
    });
    const kept = expectGoldenFile("operation-log.segment", written);
    const read = inFixedWorld(async (world) => {
      await writeFile(world, `/log/${segment}`, kept);
      const batches: LogBatch[] = [];
      const log = await openStoryLog(world, (position, entry) => batches.push(decodeEntry(entry, position)));
      await log.close();
      return batches;
    });
    expect(read).toEqual([...storyBatches]);
    expect(dumped(stateAfter(read))).toEqual(dumped(stateAfter(storyBatches)));
  });

  test("a checkpoint", () => {
    const state = stateAfter(storyBatches);
    const facts = { position: storyBatches.length, clusterId: storyCluster, time };
    const written = inFixedWorld(async (world) => {
      await writeCheckpoint(world.disk, "/c", facts, dumpState(state));
      return readFile(world, "/c");
    });
    const kept = expectGoldenFile("master.checkpoint", written);
    inFixedWorld(async (world) => {
      await writeFile(world, "/c", kept);
      expect(await readCheckpoint(world.disk, "/c", () => undefined)).toEqual(facts);
      const expected = { clusterId: storyCluster, limits: defaultLimits, position: storyBatches.length };
      const loaded = await loadCheckpoint(world.disk, "/c", expected);
      expect(dumped(loaded.state)).toEqual(dumped(state));
    });
  });

  test("an identity", () => {
    const written = inFixedWorld(async (world) => {
      for (const directory of await openDataDirectories(world, ["/d"])) {
        await markWhole(world.disk, directory);
        await directory[Symbol.asyncDispose]();
      }
      return readFile(world, "/d/identity.json");
    });
    const kept = expectGoldenFile("master-identity.json", written);
    inFixedWorld(async (world) => {
      await writeFile(world, "/d/identity.json", kept);
      const [directory] = await openDataDirectories(world, ["/d"]);
      expect(new TextDecoder().decode(kept)).toContain(`"cluster": "${directory!.clusterId}"`);
      expect(directory!.isNew).toBe(false);
      await directory![Symbol.asyncDispose]();
    });
  });
});
