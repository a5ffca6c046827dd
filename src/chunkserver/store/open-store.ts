/** Opens a volume: identity and lock, checkpoint and log, files compared with both (DESIGN §4.7). */
import { GfsError } from "../../base/errors.ts";
import type { World } from "../../io.ts";
import type { Log } from "../../log/log-types.ts";
import { openLog } from "../../log/open-log.ts";
import { Aside } from "./aside.ts";
import { DataFiles } from "./data-files.ts";
import type { Ground } from "./ground.ts";
import { openDirectory } from "./identity.ts";
import { KeyedLock } from "./keyed-lock.ts";
import { inheritAll, isLongEnough, loadCheckpoint, replayEntry, surveyFiles, withAdvice } from "./recovery.ts";
import { markBad } from "./replica-bytes.ts";
import { MetadataFolder } from "./metadata-folder.ts";
import { Retirement } from "./retirement.ts";
import { SpaceAccount } from "./space-account.ts";
import type { Store, StoreOptions } from "./store.ts";
import { VolumeLog } from "./volume-log.ts";
import { VolumeState } from "./volume-state.ts";
import { VolumeStore } from "./volume.ts";
import { WriteBehind } from "./write-behind.ts";
import { DiskError } from "../../io.ts";
import { chunkHandle, chunkVersion } from "../../wire/ids.ts";

/**
 * Everything found is synced before it is reported or answers a fence (the log by its opening, data files by the order they are written in); roles are lost.
 *
 * @throws GfsError Locked | Denied (a directory that is not ours) | FormatUnsupported | Corrupt, naming file and offset and how to go on | DiskFailed | NoSpace
 */
export async function openStore(world: World, options: StoreOptions): Promise<Store> {
  const { directory } = options;
  const { identity, lock, created } = await openDirectory(world, directory);
  let log: Log | undefined;
  try {
    const state = new VolumeState();
    const retirement = new Retirement(world.events);
    const files = new DataFiles(world.disk, directory);
    const after = await loadCheckpoint(world, state, { directory, identity });
    log = await openVolumeLog(world, options, { id: identity.volume, after, state, retirement });
    inheritAll(state);
    const aside = new Aside(world, { files, retirement, graceMs: options.limits.deleteGraceMs });
    const metadata = await MetadataFolder.open(world.disk, {
      directory,
      retirement,
      requireSpace: async (bytes) => {
        await space.refresh();
        space.check(bytes, "keep a copy of the master's metadata", "clone");
        space.take(bytes);
      },
    });
    const space = new SpaceAccount(world, {
      directory,
      limitBytes: options.spaceLimitBytes,
      reserveBytes: options.reserveBytes,
      fullShare: options.limits.fullShare,
      usedBytes: () => state.usedBytes + aside.bytes + metadata.bytes,
      unfiledBytes: () => state.unfiledBytes,
    });
    const behind: { run?: WriteBehind } = {};
    const ground: Ground = {
      world,
      limits: options.limits,
      directory,
      state,
      log: new VolumeLog(log, {
        clock: world.clock,
        limits: options.limits,
        state,
        retirement,
        onPressure: () => behind.run?.request(),
      }),
      files,
      space,
      retirement,
      locks: new KeyedLock(),
      writers: new Map(),
      tails: new Map(),
      bad: new Map(),
      identity,
    };
    behind.run = new WriteBehind(ground);
    await compareFiles(ground, aside);
    await space.refresh();
    world.events.emit("info", "volume.opened", {
      volume: identity.volume,
      created,
      replicas: state.table.replicaCount,
      open: [...state.active.values()].filter((active) => active.state !== "sealed").length,
      position: ground.log.position,
    });
    return new VolumeStore({ ground, aside, metadata, writeBehind: behind.run, lock });
  } catch (error) {
    // What closing could still report is less than why the start failed.
    await log?.close().catch(() => undefined);
    await lock[Symbol.asyncDispose]();
    const failure =
      error instanceof DiskError
        ? new GfsError("DiskFailed", `Cannot start the volume in ${directory}: ${error.message}`, { cause: error })
        : error;
    throw withAdvice(directory, failure);
  }
}

interface LogStart {
  readonly id: string;
  readonly after: number;
  readonly state: VolumeState;
  readonly retirement: Retirement;
}

function openVolumeLog(
  world: World,
  { directory, limits }: StoreOptions,
  { id, after, state, retirement }: LogStart,
): Promise<Log> {
  return openLog(
    world,
    {
      directories: [`${directory}/log`],
      name: "volume-log",
      id,
      segmentBytes: limits.logSegmentBytes,
      after,
      onFailed: (error) => retirement.retire(error.message),
    },
    (_position, entry, place) => replayEntry(state, entry, place),
  );
}

/** What the files show that the records don't say. */
async function compareFiles(ground: Ground, aside: Aside): Promise<void> {
  const { world, state, files, bad } = ground;
  const found = await surveyFiles(world, state, files);
  for (const { name, bytes } of found.aside) aside.keep(name, bytes);
  for (const handle of found.removed) {
    const name = await files.moveAside(handle, 0);
    if (name !== undefined) aside.keep(name, 0);
  }
  for (const row of state.table.rows()) {
    if (row.state !== "corrupt") continue;
    bad.set(row.handle, { handle: chunkHandle(row.handle), version: chunkVersion(row.dataVersion), reason: "corrupt" });
  }
  for (const handle of found.missing) markBad(ground, handle, "missing");
  for (const active of state.active.values()) {
    const want = { handle: active.handle, bytes: active.fileBytes };
    if (want.bytes > 0 && !(await isLongEnough(world, files, want))) markBad(ground, active.handle, "corrupt");
  }
  if (found.leftovers > 0) world.events.emit("info", "volume.leftovers-removed", { files: found.leftovers });
}
