import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import { hasCode } from "../../src/base/errors.ts";
import type { World } from "../../src/io.ts";
import { openLog } from "../../src/log/open-log.ts";
import { applyBatch } from "../../src/master/core/apply.ts";
import { dumpState } from "../../src/master/core/dump.ts";
import { newMasterState } from "../../src/master/core/state.ts";
import { decodeEntry, encodeEntry } from "../../src/master/log-batches.ts";
import { storyBatches, storyCluster } from "../golden/cluster-story.ts";
import { inFixedWorld, readFile } from "../golden/fixed-world.ts";

const segment = "0000000000000001.segment";

async function openAt(world: World, directories: readonly string[], entries: Uint8Array[] = []) {
  const options = { directories, name: "operation-log", id: storyCluster, segmentBytes: 16_384, after: 0 };
  return openLog(world, options, (_, entry) => {
    entries.push(entry.slice());
  });
}

async function writeStory(world: World, directories: readonly string[]): Promise<void> {
  const log = await openAt(world, directories);
  for (const batch of storyBatches) log.append([encodeEntry(batch)]);
  await log.durable(storyBatches.length);
  await log.close();
}

describe("paper §5.1.3 master replication", () => {
  test("a mutation is committed only when its record is on disk in every directory: each has the whole log", () => {
    const copies = inFixedWorld(async (world) => {
      await writeStory(world, ["/a", "/b"]);
      return [await readFile(world, `/a/${segment}`), await readFile(world, `/b/${segment}`)];
    });
    expect(copies[0]).toEqual(copies[1]);
  });

  test.each(["/a", "/b"])("the master starts again from %s alone, with the same state", (left) => {
    const live = newMasterState();
    for (const batch of storyBatches) applyBatch(live, batch);
    const entries: Uint8Array[] = [];
    inFixedWorld(async (world) => {
      await writeStory(world, ["/a", "/b"]);
      await world.disk.removeTree(left === "/a" ? "/b" : "/a");
      const log = await openAt(world, [left], entries);
      await log.close();
    });
    const restored = newMasterState();
    for (const [i, entry] of entries.entries()) applyBatch(restored, decodeEntry(entry, i + 1));
    expect(concatBytes([...dumpState(restored)])).toEqual(concatBytes([...dumpState(live)]));
  });

  test("a directory that was replaced by an empty one is brought up to date at the next start", () => {
    const bytes = inFixedWorld(async (world) => {
      await writeStory(world, ["/a", "/b"]);
      await world.disk.removeTree("/b");
      const log = await openAt(world, ["/a", "/b"]);
      await log.close();
      return [await readFile(world, `/a/${segment}`), await readFile(world, `/b/${segment}`)];
    });
    expect(bytes[0]).toEqual(bytes[1]);
  });

  test("two masters that went on alone have written different logs: starting on both is refused", () => {
    const refused = inFixedWorld(async (world) => {
      await writeStory(world, ["/a"]);
      const log = await openAt(world, ["/b"]);
      for (const batch of storyBatches.slice(1, 4)) log.append([encodeEntry(batch)]);
      await log.durable(3);
      await log.close();
      return openAt(world, ["/a", "/b"]).then(
        () => "opened",
        (error: unknown) => hasCode(error, "Corrupt"),
      );
    });
    expect(refused).toBe(true);
  });
});

describe("paper §5.1.1 fast recovery", () => {
  test("normal and abnormal termination are not told apart: a log that was never closed is opened like any other", () => {
    const count = inFixedWorld(async (world) => {
      const log = await openAt(world, ["/a"]);
      for (const batch of storyBatches) log.append([encodeEntry(batch)]);
      await log.durable(storyBatches.length);
      const entries: Uint8Array[] = [];
      const again = await openAt(world, ["/a"], entries);
      await again.close();
      return entries.length;
    });
    expect(count).toBe(storyBatches.length);
  });
});
