/** The master's durable state at a start (DESIGN §4.1): newest whole checkpoint, then the tail of the log, over all data directories. */
import { GfsError } from "../base/errors.ts";
import type { World } from "../io.ts";
import type { Limits } from "../limits.ts";
import type { Log, LogPosition } from "../log/log-types.ts";
import { openLog } from "../log/open-log.ts";
import { bytesToHex } from "../log/segment.ts";
import type { LogRecord } from "../wire/log-records.ts";
import { emptyState, newestCheckpoint } from "./checkpoint.ts";
import type { LoggedTime } from "./cluster-clock.ts";
import type { MasterState } from "./core/state.ts";
import type { DataDirectory } from "./data-directory.ts";
import { replayEntry } from "./log-batches.ts";

export interface OpenOperationLog {
  readonly directories: readonly DataDirectory[];
  readonly limits: Limits;
  readonly onDurable: (position: LogPosition) => void;
  readonly onDirectoryFailed: (logPath: string, error: GfsError) => void;
  readonly onFailed: (error: GfsError) => void;
}

export interface OpenedOperationLog {
  readonly log: Log;
  readonly state: MasterState;
  readonly time: LoggedTime;
  readonly checkpoint: LogPosition;
}

export const operationLogName = "operation-log";

/** @throws GfsError("Corrupt") naming file and offset or entry, GfsError("FormatUnsupported"), GfsError("WrongCluster"), GfsError("DiskFailed") */
export async function openOperationLog(world: World, options: OpenOperationLog): Promise<OpenedOperationLog> {
  const { directories, limits } = options;
  const loaded = directories.every(({ isNew }) => isNew)
    ? emptyState(limits)
    : await newestCheckpoint(world, directories, limits);
  const log = await openLog(
    world,
    {
      directories: directories.map(({ logPath }) => logPath),
      name: operationLogName,
      id: directories[0]?.clusterId ?? "",
      segmentBytes: limits.logSegmentBytes,
      after: loaded.position,
      onDurable: options.onDurable,
      onDirectoryFailed: options.onDirectoryFailed,
      onFailed: options.onFailed,
    },
    (position, entry) => replayEntry(loaded, position, entry),
  );
  return { log, state: loaded.state, time: loaded.time, checkpoint: loaded.position };
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
export function requireAllDirectories(
  state: MasterState,
  directories: readonly DataDirectory[],
  lost: readonly string[],
): void {
  const present = new Set(directories.map(({ directoryId }) => directoryId));
  const fresh = directories.filter(({ isNew }) => isNew).map(({ path }) => path);
  for (const text of state.cluster.dataDirectories) {
    const path = text.slice(text.indexOf(" ") + 1);
    // An empty directory at the same path is a disk that was replaced.
    if (present.has(idOf(text)) || fresh.includes(path) || lost.includes(path)) continue;
    const given = directories.map((directory) => directory.path).join(", ");
    throw new GfsError(
      "Usage",
      `Cannot start on ${given} alone: the operation log was also written to ${path}, which may hold more; name it too, or, if it is lost for good, --lost-data-dir ${path}`,
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
  const [first] = directories;
  if (state.cluster.clusterId === undefined && first !== undefined)
    records.push({ kind: "cluster-created", clusterId: first.clusterId });
  records.push(...directoryRecords(state, directories));
  const number = (state.cluster.epoch?.number ?? 0) + 1;
  const startId = bytesToHex(world.random.bytes(8));
  records.push({ kind: "epoch-begun", epoch: { number, startId }, wallMs: world.clock.wallMs() });
  return records;
}

export function directoryRecords(state: MasterState, directories: readonly DataDirectory[]): LogRecord[] {
  const texts = directories.map((directory) => directoryText(directory));
  const known = state.cluster.dataDirectories;
  const same = known.length === texts.length && texts.every((text) => known.includes(text));
  return same ? [] : [{ kind: "data-directories", directories: texts }];
}
