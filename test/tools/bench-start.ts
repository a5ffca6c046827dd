/** How long a start takes: of the command, and of a master with a million files after it was killed. */
import { join } from "node:path";
import { defaultLimits } from "../../src/limits.ts";
import { makeHostWorld } from "../../src/host/world.ts";
import { makeDurableDirectory } from "../../src/log/durable-directory.ts";
import { checkpointName, writeCheckpoint } from "../../src/master/checkpoint-file.ts";
import { ClusterClock } from "../../src/master/cluster-clock.ts";
import { applyBatch } from "../../src/master/core/apply.ts";
import { dumpState } from "../../src/master/core/dump.ts";
import { markWhole, openDataDirectories } from "../../src/master/data-directory.ts";
import { Engine } from "../../src/master/engine.ts";
import { openOperationLog, startRecords } from "../../src/master/operation-log.ts";
import { cpuMicros } from "./bench-load.ts";
import { atMost, type Row, runs, Samples, told } from "./bench-rows.ts";
import { beginFiles, filePath, putFile } from "./million-files.ts";
import { gfs, TestCluster } from "./processes.ts";

export const files = 1_000_000;
/** As many as a master logs before its next checkpoint: the longest log that a start replays. Each is two entries. */
export const filesInLog = defaultLimits.checkpointRecords / 2;

export interface FilesWanted {
  readonly files: number;
  /** The first so many of them; the others are in the checkpoint. */
  readonly filesInLog: number;
  readonly volumes: number;
  /** Indexes of the volumes that a file's chunk is on. */
  readonly membersOf: (i: number) => readonly number[];
}

const million: FilesWanted = { files, filesInLog, volumes: 3, membersOf: () => [0, 1, 2] };

/** A master's data directory with a checkpoint of most of the files, and the log of the others. Handles are given in the order of the files in the checkpoint, then those in the log. */
export async function makeDataDirectory(path: string, wanted = million): Promise<void> {
  const world = makeHostWorld({ logLevel: "warn", logFormat: "text" });
  const directories = await openDataDirectories(world, [path]);
  const [directory] = directories;
  if (directory === undefined) throw new Error("there is no data directory");
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {}); // each wait for the log tells too
  const { log, state, time, filled } = await openOperationLog(world, {
    directories,
    limits: defaultLimits,
    lost: [],
    onDurable: (position) => engine.durable(position),
    onDirectoryFailed: (_, error) => reject(error),
    onFailed: reject,
  });
  for (const whole of filled) await markWhole(world.disk, whole);
  const clock = new ClusterClock(world.clock);
  clock.resume(time);
  const engine = new Engine({ state, log, clock, events: world.events, onFatal: reject });
  await engine.commit(startRecords(world, state, directories));
  beginFiles(state, engine.now(), (records) => engine.apply(records), wanted.volumes);
  const fileOf = (i: number) => ({ i, members: wanted.membersOf(i) });
  const { clusterMs } = state.cluster;
  // What a checkpoint has need not be in the log as well.
  for (let i = wanted.filesInLog; i < wanted.files; i++)
    putFile(state, engine.now(), fileOf(i), (records) => applyBatch(state, { clusterMs, records: [...records] }));
  await log.durable(log.lastPosition);
  await makeDurableDirectory(world.disk, directory.checkpointPath);
  const position = log.lastPosition;
  const facts = {
    position,
    clusterId: directory.clusterId,
    time: { clusterMs, epochClusterMs: clusterMs, epochWallMs: world.clock.wallMs() },
  };
  await writeCheckpoint(world.disk, `${directory.checkpointPath}/${checkpointName(position)}`, facts, dumpState(state));
  for (let i = 0; i < wanted.filesInLog; i++) {
    putFile(state, engine.now(), fileOf(i), (records) => engine.apply(records));
    if (i % 1_000 === 0) await log.durable(log.lastPosition);
  }
  await log.durable(log.lastPosition);
  await log.close();
  for (const held of directories) await held[Symbol.asyncDispose]();
}

/** Seconds from the start of the master's process to its answer about one of the files, and its CPU time until then. */
async function answeredS(directory: string): Promise<{ readonly answered: number; readonly cpu: number }> {
  const startedMs = performance.now();
  await using cluster = await TestCluster.start({ directory, chunkservers: 0 });
  if (cluster.address === "") throw new Error(`the master did not start: ${cluster.master.stderr}`);
  await cluster.json(["stat", filePath(0)]);
  return { answered: (performance.now() - startedMs) / 1_000, cpu: cpuMicros(cluster.master.pid) / 1_000_000 };
}

export async function startRows(directory: string): Promise<Row[]> {
  const samples = new Samples();
  for (let run = 0; run < 5 * runs; run++) samples.note("version", (await gfs(["version"])).ms);
  await makeDataDirectory(join(directory, "master"));
  for (let run = 0; run < runs; run++) {
    const { answered, cpu } = await answeredS(directory);
    samples.note("master", answered);
    samples.note("cpu", cpu);
  }
  return [
    atMost("gfs version", samples.of("version"), "ms", 20),
    atMost("master with a million files, SIGKILL to a stat", samples.of("master"), "s", 5),
    told("CPU time of the master until then", samples.of("cpu"), "s"),
    told("of them only in the operation log", filesInLog, "files"),
  ];
}
