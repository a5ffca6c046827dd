/** The master's durable state at a start (DESIGN §4.1): newest whole checkpoint, then the tail of the log, over all data directories. */
import { AssertionError } from "../base/assert.ts";
import { GfsError, hasCode } from "../base/errors.ts";
import type { Disk, World } from "../io.ts";
import type { Limits } from "../limits.ts";
import type { Log, LogPosition } from "../log/log-types.ts";
import { openLog } from "../log/open-log.ts";
import { readLog } from "../log/read-log.ts";
import { positionOfFileName } from "../log/segment.ts";
import { diskFailed } from "../log/survey.ts";
import type { LogRecord } from "../wire/log-records.ts";
import { newestCheckpoint, removeDamaged, shareCheckpoint } from "./checkpoint.ts";
import type { LoggedTime } from "./cluster-clock.ts";
import type { MasterState } from "./core/state.ts";
import { claim, type DataDirectory, markFilling } from "./data-directory.ts";
import { replayEntry } from "./log-batches.ts";

export interface OpenOperationLog {
  readonly directories: readonly DataDirectory[];
  readonly limits: Limits;
  /** Paths of directories that the log names and that are lost for good. */
  readonly lost: readonly string[];
  readonly onDurable: (position: LogPosition) => void;
  readonly onDirectoryFailed: (logPath: string, error: GfsError) => void;
  readonly onFailed: (error: GfsError) => void;
}

export interface OpenedOperationLog {
  readonly log: Log;
  readonly state: MasterState;
  readonly time: LoggedTime;
  readonly checkpoint: LogPosition;
  /** Whole copies only since now: to be marked, before a record names them. */
  readonly filled: readonly DataDirectory[];
}

export const operationLogName = "operation-log";

/**
 * Every directory holds the newest checkpoint and all of the log after it, synced, when this returns. Those in `filled` are not believed at a start before `markWhole`.
 * A start that is refused has changed none of them.
 *
 * @throws GfsError("Corrupt") naming file and offset or entry, GfsError("FormatUnsupported"), GfsError("WrongCluster"), GfsError("DiskFailed"), GfsError("Usage") naming a
 * directory that is missing
 */
export async function openOperationLog(world: World, options: OpenOperationLog): Promise<OpenedOperationLog> {
  const { directories, limits } = options;
  const { disk } = world;
  const loaded = await newestCheckpoint(world, directories, limits);
  const filled = await toBeFilled(disk, directories);
  const log = await openLog(
    world,
    {
      directories: directories.map(({ logPath }) => logPath),
      name: operationLogName,
      id: directories[0]?.clusterId ?? "",
      segmentBytes: limits.logSegmentBytes,
      after: loaded.position,
      requireBeginning: (copy) => requireBeginning(world, options, copy),
      beforeChange: async () => {
        // One that was rebuilt is believed without those that the lost master had beside it.
        if (!directories.some(({ restored }) => restored !== undefined))
          requireAllDirectories(loaded.state, { directories, filled, lost: options.lost });
        for (const directory of directories) await claim(disk, directory);
        // One whose log is gone may have the only whole checkpoint: what it holds counts until the others have it too.
        await shareCheckpoint(world, directories, loaded);
        for (const directory of filled) if (!directory.isNew) await markFilling(disk, directory);
      },
      onDurable: options.onDurable,
      onDirectoryFailed: options.onDirectoryFailed,
      onFailed: options.onFailed,
    },
    (position, entry) => replayEntry(loaded, position, entry),
  );
  try {
    await removeDamaged(disk, directories, loaded);
  } catch (error) {
    await log.close();
    throw error;
  }
  return { log, state: loaded.state, time: loaded.time, checkpoint: loaded.position, filled };
}

/**
 * The directories that are to be filled: the new ones, and those whose log is gone.
 *
 * @throws GfsError("Corrupt") where none that was in use has a log
 */
async function toBeFilled(disk: Disk, directories: readonly DataDirectory[]): Promise<readonly DataDirectory[]> {
  try {
    const empty: DataDirectory[] = [];
    for (const directory of directories) if (!(await hasLog(disk, directory))) empty.push(directory);
    const lost = empty.find(({ isNew }) => !isNew);
    if (lost !== undefined && empty.length === directories.length) {
      throw new GfsError(
        "Corrupt",
        `Cannot open ${lost.logPath}: there is no log in it, and ${lost.path} was in use before`,
      );
    }
    return directories.filter((directory) => directory.isNew || empty.includes(directory));
  } catch (error) {
    throw diskFailed(`look for the log in ${directories.map(({ path }) => path).join(", ")}`, error);
  }
}

async function hasLog(disk: Disk, { logPath }: DataDirectory): Promise<boolean> {
  if ((await disk.info(logPath)) === undefined) return false;
  return (await disk.list(logPath)).some((name) => positionOfFileName(name) !== undefined);
}

/**
 * The log in common was trimmed, so the copies can't be compared. One whose own newest state names the other never went on without it: all that it holds was
 * written to the other too, but for what no client was told.
 */
async function requireBeginning(
  world: World,
  { directories, limits }: OpenOperationLog,
  copy: { readonly directory: string; readonly last: LogPosition; readonly best: string },
): Promise<void> {
  const own = directories.find(({ logPath }) => logPath === copy.directory);
  const best = directories.find(({ logPath }) => logPath === copy.best);
  if (own === undefined || best === undefined) throw new AssertionError("a log of no data directory");
  const refused = (why: string, cause?: unknown): GfsError =>
    new GfsError(
      "Corrupt",
      `Cannot open the log in ${copy.directory}: ${why}, and ${best.path} does not reach back to entry ${copy.last} to compare; start with the one that is right alone, or empty the other to have it filled`,
      { cause },
    );
  let named: readonly string[];
  try {
    const loaded = await newestCheckpoint(world, [own], limits);
    if (loaded.position < copy.last) {
      await readLog(world, { directory: own.logPath, after: loaded.position, until: copy.last }, (position, entry) =>
        replayEntry(loaded, position, entry),
      );
    }
    named = loaded.state.cluster.dataDirectories;
  } catch (error) {
    if (!hasCode(error, "Corrupt")) throw error;
    throw refused(`it is damaged (${error.message})`, error);
  }
  if (!named.some((text) => idOf(text) === best.directoryId)) throw refused(`it went on without ${best.path}`);
}

/** How a directory stands in the record that names them: its own id, which moves with it, and its path for people. */
export function directoryText(directory: DataDirectory): string {
  return `${directory.directoryId} ${directory.path}`;
}

function idOf(text: string): string {
  return text.split(" ", 1)[0] ?? "";
}

/**
 * A directory alone may lack what others were told: all that the log names must be there, or be given up by name.
 *
 * @throws GfsError("Usage") naming the directory that is missing, and how to go on without it
 */
function requireAllDirectories(
  state: MasterState,
  {
    directories,
    filled,
    lost,
  }: {
    readonly directories: readonly DataDirectory[];
    readonly filled: readonly DataDirectory[];
    readonly lost: readonly string[];
  },
): void {
  // One that was just filled has nothing of its own: at the same path, it may be a disk that is not mounted.
  const believed = directories.filter((directory) => !filled.includes(directory));
  const present = new Set(believed.map(({ directoryId }) => directoryId));
  for (const text of state.cluster.dataDirectories) {
    const path = text.slice(text.indexOf(" ") + 1);
    if (present.has(idOf(text)) || lost.includes(path)) continue;
    const held = believed.map((directory) => directory.path);
    const empty = filled.some((directory) => directory.path === path);
    throw new GfsError(
      "Usage",
      `Cannot start on ${held.join(", ")} alone: the operation log was also written to ${path}, which ${empty ? "is empty now, and was in use" : "may hold more"}; ${empty ? "mount" : "name"} it too, or, if it is lost for good, --lost-data-dir ${path}`,
    );
  }
}

/** What every start logs: the cluster at the first one, the directories where they changed, and a higher epoch. */
export function startRecords(
  world: Pick<World, "clock" | "random">,
  state: MasterState,
  directories: readonly DataDirectory[],
): LogRecord[] {
  const records: LogRecord[] = [];
  const restored = directories.find((directory) => directory.restored !== undefined)?.restored;
  const [first] = directories;
  if (state.cluster.clusterId === undefined && first !== undefined)
    records.push({ kind: "cluster-created", clusterId: first.clusterId });
  records.push(...directoryRecords(state, directories));
  if (restored !== undefined) {
    const { position, source } = restored;
    records.push({ kind: "master-restored", position, source });
  }
  const number = Math.max(state.cluster.epoch?.number ?? 0, restored?.epoch ?? 0) + 1;
  const startId = world.random.bytes(8).toHex();
  records.push({ kind: "epoch-begun", epoch: { number, startId }, wallMs: world.clock.wallMs() });
  return records;
}

export function directoryRecords(state: MasterState, directories: readonly DataDirectory[]): LogRecord[] {
  const texts = directories.map((directory) => directoryText(directory));
  const known = state.cluster.dataDirectories;
  const same = known.length === texts.length && texts.every((text) => known.includes(text));
  return same ? [] : [{ kind: "data-directories", directories: texts }];
}
