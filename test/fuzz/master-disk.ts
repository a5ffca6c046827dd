/** What a master reads at its start: any prefix or flipped bit stops cleanly, or yields exactly a prefix, never another state. */
import { concatBytes } from "../../src/base/bytes.ts";
import { GfsError } from "../../src/base/errors.ts";
import type { World } from "../../src/io.ts";
import { openLog } from "../../src/log/open-log.ts";
import { defaultLimits } from "../../src/limits.ts";
import { writeCheckpoint } from "../../src/master/checkpoint-file.ts";
import { emptyState, loadCheckpoint } from "../../src/master/checkpoint.ts";
import { dumpState } from "../../src/master/core/dump.ts";
import { encodeEntry, replayEntry, type Replayed } from "../../src/master/log-batches.ts";
import { LogBatch } from "../../src/wire/log-records.ts";
import { storyBatches, storyCluster } from "../golden/cluster-story.ts";
import { inFixedWorld } from "../golden/fixed-world.ts";
import type { Prng } from "../sim/world/prng.ts";
import { damaged, type Image, takeImage, withImage } from "./disk-image.ts";
import { demand, type FuzzRun, type FuzzTarget, typed } from "./fuzz-target.ts";
import { mutateBytes, mutateValue, pick, type Pool } from "./mutate.ts";

const refusals = ["Corrupt", "FormatUnsupported", "WrongCluster"] as const;
const time = { clusterMs: 1_230, epochClusterMs: 1_000, epochWallMs: 1_700_000_000_000 };

function dumpOf({ state }: Replayed): string {
  return concatBytes([...dumpState(state)]).toHex();
}

function openStory(world: World, segmentBytes: number, replay: (position: number, entry: Uint8Array) => void) {
  const options = { directories: ["/log"], name: "operation-log", id: storyCluster, segmentBytes, after: 0 };
  return openLog(world, options, replay);
}

/** The story in one or several segments, in batches of one to three entries. */
function storyImage(segmentBytes: number): Image {
  return inFixedWorld(async (world) => {
    const log = await openStory(world, segmentBytes, () => undefined);
    for (const [i, batch] of storyBatches.entries()) {
      const position = log.append([encodeEntry(batch)]);
      if (i % 3 !== 1) await log.durable(position);
    }
    await log.durable(log.lastPosition);
    await log.close();
    return takeImage(world, "/log");
  });
}

function prepareLog(): FuzzRun {
  const entries = storyBatches.map((batch) => encodeEntry(batch).toHex());
  const dumps = [dumpOf(emptyState(defaultLimits))];
  const growing = emptyState(defaultLimits);
  for (const [i, batch] of storyBatches.entries()) {
    replayEntry(growing, i + 1, encodeEntry(batch));
    dumps.push(dumpOf(growing));
  }
  const images = [1_024, 2_048, 8_192].map((segmentBytes) => ({ segmentBytes, image: storyImage(segmentBytes) }));
  return {
    once(prng) {
      const { segmentBytes, image } = pick(prng, images);
      const read: string[] = [];
      const replayed = emptyState(defaultLimits);
      const start = async (world: World): Promise<void> => {
        const log = await openStory(world, segmentBytes, (position, entry) => {
          read.push(entry.toHex());
          replayEntry(replayed, position, entry);
        });
        await log.close();
      };
      const result = withImage(damaged(prng, image, /segment$/), start, refusals);
      demand(
        read.every((entry, i) => entry === entries[i]),
        () => `entry ${read.findIndex((entry, i) => entry !== entries[i]) + 1} is another one than was written`,
      );
      if (!(result instanceof GfsError))
        demand(dumpOf(replayed) === dumps[read.length], () => `the state after ${read.length} entries is another one`);
    },
  };
}

const pool: Pool = {
  texts: ["", "/a", "a", "session-opened", "inode-removed", "0011223344556677", "00112233445566778899aabbccddeeff"],
  numbers: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2 ** 32, 2 ** 53 - 1],
  bytes: [new Uint8Array(0), new Uint8Array(16)],
};

/** A batch that a master might write and that does not fit the state; undefined where it is none any more. */
function wrongBatch(prng: Prng, batch: LogBatch): Uint8Array | undefined {
  const parsed = LogBatch.safeParse(mutateValue(prng, batch, pool));
  return parsed.success ? encodeEntry(parsed.data) : undefined;
}

/** Entries whose checksums are right, and whose content is not: only damage in memory, or another release, writes such. */
function prepareEntries(): FuzzRun {
  const samples = storyBatches.map((batch) => encodeEntry(batch));
  return {
    once(prng) {
      const replayed = emptyState(defaultLimits);
      const before = prng.integer(0, samples.length);
      for (let i = 0; i < before; i++) replayEntry(replayed, i + 1, samples[i]!);
      const at = Math.min(before, samples.length - 1);
      const entry = prng.chance(0.5) ? mutateBytes(prng, samples[at]!, samples) : wrongBatch(prng, storyBatches[at]!);
      if (entry === undefined) return;
      typed(() => replayEntry(replayed, before + 1, entry), ...refusals);
    },
  };
}

function prepareCheckpoint(): FuzzRun {
  const built = emptyState(defaultLimits);
  for (const [i, batch] of storyBatches.entries()) replayEntry(built, i + 1, encodeEntry(batch));
  const good = dumpOf(built);
  const pieces = [...dumpState(built.state)].map((piece): Uint8Array => piece.slice());
  const facts = { position: storyBatches.length, clusterId: storyCluster, time };
  const written = (from: readonly Uint8Array[]): Image =>
    inFixedWorld(async (world) => {
      await world.disk.makeDirectory("/c");
      await writeCheckpoint(world.disk, "/c/c", facts, from);
      return takeImage(world, "/c");
    });
  const image = written(pieces);
  const load = (world: World) =>
    loadCheckpoint(world.disk, "/c/c", { clusterId: storyCluster, limits: defaultLimits, position: facts.position });
  return {
    once(prng) {
      if (prng.chance(0.6)) {
        const loaded = withImage(damaged(prng, image, /./), load, refusals);
        if (!(loaded instanceof GfsError)) demand(dumpOf(loaded) === good, () => "another state was loaded");
        return;
      }
      // With the checksums of what is wrong: never a crash.
      const at = prng.integer(0, pieces.length - 1);
      const wrong = mutateBytes(prng, pieces[at]!, pieces);
      if (wrong.length > 0) withImage(written(pieces.with(at, wrong)), load, refusals);
    },
  };
}

export const masterDiskTargets: readonly FuzzTarget[] = [
  { name: "operation-log", shortRun: 60, prepare: prepareLog },
  { name: "operation-log-entries", shortRun: 200, prepare: prepareEntries },
  { name: "master-checkpoint", shortRun: 100, prepare: prepareCheckpoint },
];
