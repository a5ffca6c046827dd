/** A backup that somebody kept, and a copy on a volume: with whatever bytes, a restore gives what the master had, all of a beginning of it, or a refusal. */
import { concatBytes } from "../../src/base/bytes.ts";
import { GfsError } from "../../src/base/errors.ts";
import type { World } from "../../src/io.ts";
import { defaultLimits } from "../../src/limits.ts";
import { openLog } from "../../src/log/open-log.ts";
import { writeCheckpoint } from "../../src/master/checkpoint-file.ts";
import { dumpState } from "../../src/master/core/dump.ts";
import { applyBatch } from "../../src/master/core/apply.ts";
import { newMasterState } from "../../src/master/core/state.ts";
import { encodeEntry } from "../../src/master/log-batches.ts";
import { restoreMaster } from "../../src/master/metadata/restore.ts";
import { openSources } from "../../src/master/metadata/source.ts";
import { imagePieces } from "../../src/master/metadata/image.ts";
import { BackupEncoder, encodeBackupHeader } from "../../src/wire/backup-file.ts";
import { storyBatches, storyCluster } from "../golden/cluster-story.ts";
import { inFixedWorld, writeFile } from "../golden/fixed-world.ts";
import { damaged, type Image, takeImage, withImage } from "./disk-image.ts";
import { demand, type FuzzRun, type FuzzTarget } from "./fuzz-target.ts";

const refusals = ["Corrupt", "FormatUnsupported", "WrongCluster", "NotFound"] as const;
const checkpoint = 5;
const folders = { logPath: "/copy", checkpointPath: "/copy" };

/** A checkpoint in the midst of the story, and its log; and the same as a backup. */
async function writeBoth(world: World): Promise<void> {
  const state = newMasterState();
  for (const batch of storyBatches.slice(0, checkpoint)) applyBatch(state, batch);
  await world.disk.makeDirectory("/copy");
  const time = { clusterMs: 1_040, epochClusterMs: 1_000, epochWallMs: 1_700_000_000_000 };
  const path = `/copy/${checkpoint.toString(16).padStart(16, "0")}.checkpoint`;
  const options = { directories: ["/copy"], name: "operation-log", id: storyCluster, segmentBytes: 2_048, after: 0 };
  const log = await openLog(world, options, () => undefined);
  for (const batch of storyBatches) await log.durable(log.append([encodeEntry(batch)]));
  await log.close();
  await writeCheckpoint(world.disk, path, { position: checkpoint, clusterId: storyCluster, time }, dumpState(state));
  const epoch = { number: 1, startId: "0123456789abcdef" };
  const until = storyBatches.length;
  const header = encodeBackupHeader({ clusterId: storyCluster, epoch, checkpoint, until, wallMs: 1 });
  const encoder = new BackupEncoder(header);
  const pieces = [header];
  for await (const { file, offset, bytes } of imagePieces(world.disk, folders, { checkpoint, until }))
    pieces.push(encoder.piece(file, offset, bytes), bytes);
  await writeFile(world, "/kept/backup", concatBytes([...pieces, encoder.end(until)]));
}

function prepare(which: "/copy" | "/kept"): FuzzRun {
  const image = inFixedWorld(async (world) => {
    await writeBoth(world);
    return takeImage(world, which);
  });
  const path = which === "/copy" ? which : "/kept/backup";
  return {
    once(prng) {
      const restore = async (world: World) => {
        const sources = await openSources(world.disk, path);
        return restoreMaster(world, { dataDir: "/restored", sources, limits: defaultLimits, force: false });
      };
      const result = withImage(damaged(prng, image satisfies Image, /./), restore, refusals);
      if (result instanceof GfsError) return;
      const all = storyBatches.length;
      const whole = which === "/kept" ? result.position === all : result.position <= all;
      demand(whole, () => `it was restored up to entry ${result.position} of ${all}`);
      demand(result.clusterId === storyCluster, () => `it was restored as cluster ${result.clusterId}`);
    },
  };
}

export const backupTargets: readonly FuzzTarget[] = [
  { name: "backup", shortRun: 60, prepare: () => prepare("/kept") },
  { name: "metadata-copy", shortRun: 60, prepare: () => prepare("/copy") },
];
