/**
 * Rebuilds a master's directory from a copy of its metadata (DESIGN §4.1): the newest of the sources that is whole. Nothing counts before the identity is written, last of all; until
 * then a file `restoring` says whose leftovers these are, and the next restore clears them. What was copied is loaded and replayed before, as a start would: a damaged source is
 * passed over, and where none is whole the restore fails with what is wrong with the first. The identity says what it was rebuilt from, so that the master which starts on it
 * changes and deletes nothing before an operator confirms: nobody can know what was logged after the copy.
 */
import { asGfsError, GfsError } from "../../base/errors.ts";
import { type Disk, DiskError, type World } from "../../io.ts";
import { type Limits } from "../../limits.ts";
import { makeDurableDirectory } from "../../log/durable-directory.ts";
import type { LogPosition } from "../../log/log-types.ts";
import { readLog } from "../../log/read-log.ts";
import { decodeSegmentHeader, encodeSegmentHeader, segmentFileName } from "../../log/segment.ts";
import { corrupt, diskFailed, surveyDirectory } from "../../log/survey.ts";
import { type ClusterId, clusterId } from "../../wire/ids.ts";
import { checkpointName } from "../checkpoint-file.ts";
import { emptyState, loadCheckpoint, type LoadedCheckpoint } from "../checkpoint.ts";
import { rootSlot } from "../core/inodes.ts";
import { usageOf } from "../core/namespace.ts";
import { foldersOf, markRestored } from "../data-directory.ts";
import { replayEntry } from "../log-batches.ts";
import { operationLogName } from "../operation-log.ts";
import type { MetadataSource, SourceFile } from "./source.ts";

export interface Restored {
  /** What it was rebuilt from. */
  readonly source: string;
  readonly clusterId: ClusterId;
  readonly position: LogPosition;
  /** Entry that its checkpoint has; 0 for none. */
  readonly checkpoint: LogPosition;
  /** When the last entry was logged, by the wall clock of its master: whole milliseconds since 1970. What it was copied from may have been written later. */
  readonly wallMs: number | undefined;
  /** Number of the newest start of a master known. */
  readonly epoch: number;
  /** In the tree, as `gfs status` counts them. */
  readonly files: number;
  readonly directories: number;
  /** Newer sources that are damaged, and how. */
  readonly passedOver: readonly { readonly source: string; readonly why: string }[];
  /** Where what was in the directory lies now. */
  readonly movedTo: string | undefined;
}

export interface RestoreOptions {
  readonly dataDir: string;
  readonly sources: readonly MetadataSource[];
  readonly limits: Limits;
  /** What the directory holds is moved aside, and not refused. */
  readonly force: boolean;
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

type RestoreWorld = Pick<World, "disk" | "events" | "random">;
const marker = "restoring";
const harmless = new Set(["lock", "lost+found"]);

/**
 * @throws GfsError("Exists") for a directory that is not empty, GfsError("Locked") for one in use, GfsError("WrongCluster") for sources of several clusters, GfsError("Corrupt" | "FormatUnsupported")
 * where no source is whole, GfsError("NotFound") where none has anything, GfsError("DiskFailed")
 */
export async function restoreMaster(world: RestoreWorld, options: RestoreOptions): Promise<Restored> {
  const { disk } = world;
  const { dataDir } = options;
  const ids = new Set(options.sources.flatMap(({ clusterId: id }) => id ?? []));
  if (ids.size > 1)
    throw new GfsError("WrongCluster", `Cannot restore from sources of several clusters: ${[...ids].join(", ")}`);
  try {
    const movedTo = await emptyDirectory(disk, dataDir, options.force);
    const lock = await disk.lock(dataDir);
    try {
      await writeSmall(disk, `${dataDir}/${marker}`, new Uint8Array(0));
      await disk.syncDirectory(dataDir);
      const built = await newestWhole(world, options);
      const restored = { position: built.position, source: built.source.slice(0, 1_024), epoch: built.epoch };
      const directoryId = world.random.bytes(8).toHex();
      await markRestored(disk, { path: dataDir, clusterId: built.clusterId, directoryId, restored });
      await disk.remove(`${dataDir}/${marker}`);
      await disk.syncDirectory(dataDir);
      return { ...built, movedTo };
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  } catch (error) {
    if (error instanceof DiskError && error.kind === "busy")
      throw new GfsError("Locked", `Cannot restore to ${dataDir}: another gfs process has it open`, { cause: error });
    throw diskFailed(`restore to ${dataDir}`, error);
  }
}

/** Leaves an empty directory, made where missing; where what was in it lies now. */
async function emptyDirectory(disk: Disk, dataDir: string, force: boolean): Promise<string | undefined> {
  await makeDurableDirectory(disk, dataDir);
  {
    // Nobody has it open.
    await using _held = await disk.lock(dataDir);
  }
  const names = (await disk.list(dataDir)).filter((name) => !harmless.has(name));
  if (names.length === 0) return undefined;
  const { logPath, checkpointPath } = foldersOf(dataDir);
  if (names.includes(marker) && !names.includes("identity.json")) {
    // What a restore left that did not come to its end.
    for (const path of [logPath, checkpointPath]) await disk.removeTree(path);
    return undefined;
  }
  if (!force)
    throw new GfsError("Exists", `Cannot restore to ${dataDir}: it is not empty (${names.slice(0, 3).join(", ")})`, {
      details: { hint: "give an empty directory, or --force, which moves what is in it aside" },
    });
  for (let number = 1; ; number++) {
    const aside = `${dataDir.replace(/\/+$/, "")}.before-${number}`;
    if ((await disk.info(aside)) !== undefined) continue;
    await disk.rename(dataDir.replace(/\/+$/, ""), aside);
    await makeDurableDirectory(disk, dataDir);
    return aside;
  }
}

type Built = Omit<Restored, "movedTo">;

async function newestWhole(world: RestoreWorld, options: RestoreOptions): Promise<Built> {
  const { disk, events } = world;
  const sources = [...options.sources].sort((a, b) => b.last - a.last);
  const epoch = Math.max(0, ...sources.map((source) => source.epoch));
  const passedOver: { source: string; why: string }[] = [];
  let failure: GfsError | undefined;
  let cluster: ClusterId | undefined;
  for (const source of sources) {
    // The newest checkpoint of it that is whole, or the log from its beginning.
    const checkpoints = source.files.filter(({ kind }) => kind === "checkpoint").map(({ position }) => position);
    for (const checkpoint of [...checkpoints.sort((a, b) => b - a), 0]) {
      if (checkpoint === 0 && !source.files.some(({ kind, position }) => kind === "segment" && position === 1))
        continue;
      try {
        const built = await build(world, options, { source, checkpoint });
        cluster ??= built.clusterId;
        return { ...built, epoch: Math.max(epoch, built.epoch), passedOver };
      } catch (error) {
        const failed = asGfsError(
          error instanceof DiskError ? diskFailed(`restore from ${source.text}`, error) : error,
        );
        if (failed.code !== "Corrupt") throw failed;
        failure ??= failed;
        passedOver.push({ source: source.text, why: failed.message });
        events.emit("warn", "restore.passed-over", { source: source.text, reason: failed.message });
        for (const path of Object.values(foldersOf(options.dataDir))) await disk.removeTree(path);
      }
    }
  }
  throw (
    failure ??
    new GfsError("NotFound", "Cannot restore: no source has a whole checkpoint, or the log from its beginning")
  );
}

async function build(
  world: RestoreWorld,
  options: RestoreOptions,
  { source, checkpoint }: { readonly source: MetadataSource; readonly checkpoint: LogPosition },
): Promise<Omit<Built, "passedOver">> {
  const { disk, random } = world;
  const { dataDir, limits } = options;
  const { logPath, checkpointPath } = foldersOf(dataDir);
  for (const path of [logPath, checkpointPath]) {
    await disk.removeTree(path);
    await makeDurableDirectory(disk, path);
  }
  const wanted = filesAfter(source, checkpoint);
  const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  let doneBytes = 0;
  for (const file of wanted) {
    const path =
      file.kind === "checkpoint"
        ? `${checkpointPath}/${checkpointName(file.position)}`
        : `${logPath}/${segmentFileName(file.position)}`;
    await copyFile(disk, path, source.read(file), (bytes) => {
      doneBytes += bytes;
      options.onProgress?.(doneBytes, totalBytes);
    });
  }
  await disk.syncDirectory(checkpointPath);

  const id = await clusterOf(disk, { source, wanted, logPath, checkpointPath });
  const loaded =
    checkpoint === 0
      ? emptyState(limits)
      : await loadCheckpoint(disk, `${checkpointPath}/${checkpointName(checkpoint)}`, {
          clusterId: id,
          limits,
          position: checkpoint,
        });
  const survey = await surveyDirectory(disk, logPath, { name: operationLogName, id, after: checkpoint });
  if (survey.trouble !== undefined) throw corrupt(survey.trouble);
  if (survey.files.length === 0 || survey.last < checkpoint) {
    // A log without entries after the checkpoint: the next one begins there.
    for (const first of survey.files) await disk.remove(`${logPath}/${segmentFileName(first)}`);
    const segmentId = random.bytes(16).toHex();
    const header = { name: operationLogName, id, segmentId, first: checkpoint + 1, previousCrc: 0 };
    await writeSmall(disk, `${logPath}/${segmentFileName(checkpoint + 1)}`, encodeSegmentHeader(header));
  }
  await disk.syncDirectory(logPath);
  const position = Math.max(checkpoint, survey.last);
  await readLog({ disk }, { directory: logPath, after: checkpoint, until: position }, (at, entry) =>
    replayEntry(loaded, at, entry),
  );
  const cluster = loaded.state.cluster.clusterId;
  if (cluster !== id)
    throw new GfsError(
      "Corrupt",
      `Cannot restore from ${source.text}: its log is of cluster ${cluster ?? "none"}, and its files of ${id}`,
    );
  const { files, directories } = usageOf(loaded.state.inodes, rootSlot);
  return {
    source: source.text,
    clusterId: id,
    position,
    checkpoint,
    wallMs: wallMsOf(loaded),
    epoch: loaded.state.cluster.epoch?.number ?? 0,
    files,
    directories,
  };
}

/** The checkpoint, and the segments from the one on that has the next entry. */
function filesAfter(source: MetadataSource, checkpoint: LogPosition): SourceFile[] {
  const segments = source.files.filter(({ kind }) => kind === "segment");
  const first = Math.max(
    0,
    ...segments.map(({ position }) => position).filter((position) => position <= checkpoint + 1),
  );
  return source.files.filter(({ kind, position }) =>
    kind === "checkpoint" ? position === checkpoint : position >= first,
  );
}

/** As the source says, or the first file's header. */
async function clusterOf(
  disk: Disk,
  built: {
    readonly source: MetadataSource;
    readonly wanted: readonly SourceFile[];
    readonly logPath: string;
    readonly checkpointPath: string;
  },
): Promise<ClusterId> {
  if (built.source.clusterId !== undefined) return built.source.clusterId;
  const [first] = built.wanted;
  if (first === undefined) throw new GfsError("Corrupt", `Cannot restore from ${built.source.text}: it has no files`);
  const isSegment = first.kind === "segment";
  const path = isSegment
    ? `${built.logPath}/${segmentFileName(first.position)}`
    : `${built.checkpointPath}/${checkpointName(first.position)}`;
  const head = new Uint8Array(512);
  const file = await disk.open(path, "read");
  try {
    const read = head.subarray(0, await file.read(head, 0));
    if (!isSegment) return clusterId(read.subarray(24, 40).toHex());
    const header = decodeSegmentHeader(read, path);
    if (typeof header === "string") throw corrupt({ file: path, offset: 0, why: header });
    return clusterId(header.id);
  } finally {
    await file.close();
  }
}

/** The wall clock is logged at starts only; from there to the last entry it advanced as cluster time did. */
function wallMsOf({ time }: LoadedCheckpoint): number | undefined {
  return time.epochWallMs === undefined
    ? undefined
    : Math.round(time.epochWallMs + time.clusterMs - time.epochClusterMs);
}

async function copyFile(
  disk: Disk,
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const file = await disk.open(path, "write");
  try {
    await file.truncate(0);
    let at = 0;
    for await (const piece of bytes) {
      await file.write([piece], at);
      at += piece.length;
      onBytes(piece.length);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function writeSmall(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  return copyFile(
    disk,
    path,
    (async function* () {
      yield bytes;
    })(),
    () => undefined,
  );
}
