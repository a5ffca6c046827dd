/**
 * Checkpoints of the master (DESIGN §4.1): written by a child process of the same executable from the last checkpoint and the closed segments of the log,
 * so that requests never stall; verified before their name counts; then the log is trimmed. One older checkpoint is kept, with the log from there.
 */
import { z } from "zod";
import { crc32 } from "../base/checksum.ts";
import { asGfsError, GfsError } from "../base/errors.ts";
import { type Disk, DiskError, type World } from "../io.ts";
import { defaultLimits, type Limits } from "../limits.ts";
import { makeDurableDirectory } from "../log/durable-directory.ts";
import type { LogPosition } from "../log/log-types.ts";
import { readLog } from "../log/read-log.ts";
import { diskFailed } from "../log/survey.ts";
import { ClusterId } from "../wire/ids.ts";
import { checkpointName, positionOfCheckpoint, readCheckpoint, writeCheckpoint } from "./checkpoint-file.ts";
import { addPiece, beginLoad, dumpState, endLoad } from "./core/dump.ts";
import { newMasterState } from "./core/state.ts";
import type { DataDirectory } from "./data-directory.ts";
import { type Replayed, replayEntry } from "./log-batches.ts";

export interface LoadedCheckpoint extends Replayed {
  /** 0: there is no checkpoint, the state is the one before the first record. */
  readonly position: LogPosition;
}

/** @throws DiskError */
export async function listCheckpoints(disk: Disk, directory: string): Promise<LogPosition[]> {
  if ((await disk.info(directory)) === undefined) return [];
  const positions = (await disk.list(directory)).flatMap((name) => positionOfCheckpoint(name) ?? []);
  return positions.sort((a, b) => b - a);
}

export function emptyState(limits: Limits): LoadedCheckpoint {
  return {
    state: newMasterState(limits),
    time: { clusterMs: 0, epochClusterMs: 0, epochWallMs: undefined },
    position: 0,
  };
}

/** @throws GfsError("Corrupt" | "FormatUnsupported" | "WrongCluster" | "DiskFailed") */
export async function loadCheckpoint(
  disk: Disk,
  path: string,
  expected: { readonly clusterId: ClusterId; readonly limits: Limits; readonly position: LogPosition },
): Promise<LoadedCheckpoint> {
  const load = beginLoad(expected.limits);
  try {
    const facts = await readCheckpoint(disk, path, (piece) => addPiece(load, piece));
    if (facts.position !== expected.position)
      throw new GfsError("Corrupt", `Cannot read ${path}: it is the checkpoint of entry ${facts.position}`);
    if (facts.clusterId !== expected.clusterId)
      throw new GfsError("WrongCluster", `Cannot open ${path}: it belongs to cluster ${facts.clusterId}`);
    return { state: endLoad(load), time: { ...facts.time }, position: facts.position };
  } catch (error) {
    if (error instanceof GfsError) throw error;
    if (error instanceof DiskError)
      throw new GfsError("DiskFailed", `Cannot read ${path}: ${error.message}`, { cause: error });
    throw new GfsError("Corrupt", `Cannot read ${path}: ${String(error)}`, { cause: error });
  }
}

export interface NewestCheckpoint extends LoadedCheckpoint {
  /** Undefined where there is none. */
  readonly path: string | undefined;
  /** Those that were passed over, all newer or as new. */
  readonly damaged: readonly { readonly path: string; readonly position: LogPosition }[];
}

/** The newest checkpoint of all directories that is whole; a damaged one is warned of and passed over. @throws GfsError("FormatUnsupported" …) */
export async function newestCheckpoint(
  world: Pick<World, "disk" | "events">,
  directories: readonly DataDirectory[],
  limits: Limits,
): Promise<NewestCheckpoint> {
  const found: { readonly path: string; readonly position: LogPosition; readonly clusterId: ClusterId }[] = [];
  for (const { checkpointPath, clusterId } of directories) {
    const positions = await listCheckpoints(world.disk, checkpointPath).catch((error: unknown) => {
      throw diskFailed(`look for checkpoints in ${checkpointPath}`, error);
    });
    for (const position of positions)
      found.push({ path: `${checkpointPath}/${checkpointName(position)}`, position, clusterId });
  }
  found.sort((a, b) => b.position - a.position);
  const damaged: { readonly path: string; readonly position: LogPosition }[] = [];
  for (const { path, position, clusterId } of found) {
    try {
      return { ...(await loadCheckpoint(world.disk, path, { clusterId, limits, position })), path, damaged };
    } catch (error) {
      const { code, message } = asGfsError(error);
      if (code !== "Corrupt") throw error;
      damaged.push({ path, position });
      world.events.emit("warn", "checkpoint.corrupt", { path, reason: message });
    }
  }
  return { ...emptyState(limits), path: undefined, damaged };
}

/**
 * Brings the checkpoint that was loaded to every directory without a whole copy of it; durable when this returns. Each stays as good as it was until its copy is whole.
 *
 * @throws GfsError("DiskFailed")
 */
export async function shareCheckpoint(
  { disk, events }: Pick<World, "disk" | "events">,
  directories: readonly DataDirectory[],
  { path: source, position }: Pick<NewestCheckpoint, "path" | "position">,
): Promise<void> {
  if (source === undefined) return;
  for (const directory of directories) {
    const path = `${directory.checkpointPath}/${checkpointName(position)}`;
    try {
      if (path === source || (await isWhole(disk, path, { position, clusterId: directory.clusterId }))) continue;
      events.emit("warn", "checkpoint.restored", { directory: directory.path, from: source, position });
      await copyCheckpoint(disk, source, directory, position);
    } catch (error) {
      throw diskFailed(`copy ${source} to ${directory.path}`, error);
    }
  }
}

/** @throws DiskError, GfsError("FormatUnsupported") */
async function isWhole(
  disk: Disk,
  path: string,
  expected: { readonly position: LogPosition; readonly clusterId: ClusterId },
): Promise<boolean> {
  if ((await disk.info(path)) === undefined) return false;
  try {
    const facts = await readCheckpoint(disk, path, () => undefined);
    return facts.position === expected.position && facts.clusterId === expected.clusterId;
  } catch (error) {
    if (error instanceof GfsError && error.code === "Corrupt") return false;
    throw error;
  }
}

/** A damaged checkpoint that is not needed any more must not be counted as a way back. @throws GfsError("DiskFailed") */
export async function removeDamaged(
  disk: Disk,
  directories: readonly DataDirectory[],
  { damaged, position }: Pick<NewestCheckpoint, "damaged" | "position">,
): Promise<void> {
  for (const { checkpointPath } of directories) {
    // One of the position that was loaded has been replaced by a whole copy.
    const here = damaged.filter((each) => each.position !== position && each.path.startsWith(`${checkpointPath}/`));
    try {
      for (const { path } of here) await disk.remove(path);
      if (here.length > 0) await disk.syncDirectory(checkpointPath);
    } catch (error) {
      throw diskFailed(`remove damaged checkpoints from ${checkpointPath}`, error);
    }
  }
}

/** The child's one argument, as JSON: the data directory to read from and write to, and the last log position to take in. */
/** What the child is told: one JSON argument. */
export const CheckpointTask = z.object({ dataDir: z.string().min(1), until: z.int().min(1), cluster: ClusterId });

/**
 * The child's work. Prints nothing; the new checkpoint is the result. `limits` are not part of the state: any do.
 *
 * @throws GfsError for bad arguments, a damaged checkpoint or log, a failing disk, and where the new checkpoint does not give the state back
 */
export async function runCheckpoint(
  world: Pick<World, "disk" | "events" | "random">,
  args: readonly string[],
  limits: Limits = defaultLimits,
): Promise<void> {
  const { dataDir: directory, until, cluster: clusterId } = parseArguments(args);
  const { disk } = world;
  const checkpointPath = `${directory}/checkpoints`;
  const logPath = `${directory}/operation-log`;
  const replayed = await lastWhole(world, { checkpointPath, clusterId, limits, until });
  await readLog(world, { directory: logPath, after: replayed.position, until }, (position, entry) =>
    replayEntry(replayed, position, entry),
  );

  await makeDurableDirectory(disk, checkpointPath);
  for (const name of await disk.list(checkpointPath))
    if (name.endsWith(".partial")) await disk.remove(`${checkpointPath}/${name}`);
  const path = `${checkpointPath}/${checkpointName(until)}`;
  const partial = `${path}.partial`;
  const facts = { position: until, clusterId, time: replayed.time };
  const written = new Fingerprint();
  await writeCheckpoint(disk, partial, facts, written.of(dumpState(replayed.state)));
  // What was written must give the same state back, before older checkpoints and the log may go.
  const loaded = await loadCheckpoint(disk, partial, { clusterId, limits, position: until });
  const again = new Fingerprint();
  for (const _ of again.of(dumpState(loaded.state)));
  if (again.crc !== written.crc || again.bytes !== written.bytes)
    throw new GfsError("Bug", `Cannot checkpoint ${directory}: what was written gives another state back`);
  await disk.rename(partial, path);
  await disk.syncDirectory(checkpointPath);
}

class Fingerprint {
  crc = 0;
  bytes = 0;

  *of(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
    for (const piece of pieces) {
      this.crc = crc32(piece, this.crc);
      this.bytes += piece.length;
      yield piece;
    }
  }
}

async function lastWhole(
  world: Pick<World, "disk" | "events">,
  from: {
    readonly checkpointPath: string;
    readonly clusterId: ClusterId;
    readonly limits: Limits;
    readonly until: LogPosition;
  },
): Promise<LoadedCheckpoint> {
  for (const position of await listCheckpoints(world.disk, from.checkpointPath)) {
    if (position > from.until) continue;
    try {
      return await loadCheckpoint(world.disk, `${from.checkpointPath}/${checkpointName(position)}`, {
        ...from,
        position,
      });
    } catch (error) {
      if (asGfsError(error).code !== "Corrupt") throw error;
    }
  }
  return emptyState(from.limits);
}

function parseArguments(args: readonly string[]): z.infer<typeof CheckpointTask> {
  try {
    return CheckpointTask.parse(JSON.parse(args[0] ?? ""));
  } catch (error) {
    throw new GfsError("Usage", "Cannot checkpoint: only a master starts this", { cause: error });
  }
}

/** Read back and checked before it gets its name, which replaces what had it. @throws DiskError, GfsError("Corrupt") */
export async function copyCheckpoint(
  disk: Disk,
  from: string,
  target: DataDirectory,
  position: LogPosition,
): Promise<void> {
  await makeDurableDirectory(disk, target.checkpointPath);
  const path = `${target.checkpointPath}/${checkpointName(position)}`;
  const partial = `${path}.partial`;
  try {
    await copyFile(disk, from, partial);
  } catch (error) {
    if (error instanceof DiskError && error.kind === "full") await disk.remove(partial);
    throw error;
  }
  if (!(await isWhole(disk, partial, { position, clusterId: target.clusterId })))
    throw new GfsError("Corrupt", `Cannot copy ${from} to ${path}: what was written is not what was read`);
  await disk.rename(partial, path);
  await disk.syncDirectory(target.checkpointPath);
}

async function copyFile(disk: Disk, from: string, to: string): Promise<void> {
  const source = await disk.open(from, "read");
  try {
    const copy = await disk.open(to, "write");
    try {
      await copy.truncate(0);
      const buffer = new Uint8Array(1_048_576);
      for (let at = 0; ;) {
        const read = await source.read(buffer, at);
        if (read === 0) break;
        await copy.write([buffer.subarray(0, read)], at);
        at += read;
      }
      await copy.sync();
    } finally {
      await copy.close();
    }
  } finally {
    await source.close();
  }
}
