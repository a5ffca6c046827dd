/** From what a directory holds to a volume in service: checkpoint, log, then the files compared with both (DESIGN §4.7). */
import { GfsError } from "../../base/errors.ts";
import { DiskError, type World } from "../../io.ts";
import type { LogPosition } from "../../log/log-types.ts";
import { decodeVolumeRecord } from "../../wire/volume-records.ts";
import { readCheckpoint } from "./checkpoint-file.ts";
import { type DataFiles, handleOfName } from "./data-files.ts";
import type { Identity } from "./identity.ts";
import { partsOf, type VolumeState } from "./volume-state.ts";
import type { EntryPlace } from "../../log/log-types.ts";

/** What an operator can do about a volume that does not start. */
const howToGoOn =
  "this volume can't be trusted; to go on, move the directory away and start with an empty one: its chunks are then repaired from the other servers";

/** The same error with how to go on. */
export function withAdvice(directory: string, error: unknown): unknown {
  if (!(error instanceof GfsError) || error.code !== "Corrupt") return error;
  return new GfsError("Corrupt", `Cannot start the volume in ${directory}: ${error.message}; ${howToGoOn}`, {
    cause: error,
  });
}

/** Fills the state from the checkpoint, if there is one; the log position that it has. @throws GfsError Corrupt | FormatUnsupported, DiskError */
export async function loadCheckpoint(
  world: World,
  state: VolumeState,
  where: { directory: string; identity: Pick<Identity, "volume"> },
): Promise<LogPosition> {
  const found = await readCheckpoint(world.disk, where.directory, state);
  if (found === undefined) return 0;
  if (found.volume !== where.identity.volume) {
    throw new GfsError(
      "Corrupt",
      `Cannot read ${where.directory}/checkpoint: it is of volume ${found.volume}, not ${where.identity.volume}`,
    );
  }
  state.epoch = found.epoch;
  state.highestHandle = found.highestHandle;
  for (const row of state.table.rows()) state.usedBytes += state.lengthOf(row.handle);
  return found.position;
}

/** Applies one entry of the log at replay. @throws GfsError Corrupt, naming segment and offset */
export function replayEntry(state: VolumeState, entry: Uint8Array, place: EntryPlace): void {
  try {
    const { record, payloadAt } = decodeVolumeRecord(entry);
    const parts = partsOf(record, entry.subarray(payloadAt));
    state.apply(record, { place, at: payloadAt, parts });
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    throw new GfsError(error.code, `${error.message} (log segment ${place.segment}, byte ${place.offset})`, {
      cause: error,
    });
  }
}

/** After the replay: whoever was open has lost its role. */
export function inheritAll(state: VolumeState): void {
  for (const active of state.active.values()) {
    active.inherited = true;
    active.promising = active.promised;
  }
}

export interface FoundFiles {
  /** Replicas whose data file should be there and is not, or can't be what it should be. */
  readonly missing: number[];
  /** Files of removed replicas that had not reached the aside directory yet. */
  readonly removed: number[];
  /** What streams left that were never closed. */
  readonly leftovers: number;
  /** Names and sizes in the aside directory. */
  readonly aside: readonly { readonly name: string; readonly bytes: number }[];
}

/** Compares the names in the data directories with the replicas; removes what streams left that were never closed. @throws DiskError */
export async function surveyFiles(world: World, state: VolumeState, files: DataFiles): Promise<FoundFiles> {
  const { disk } = world;
  const expected = new Set<number>();
  for (const row of state.table.rows()) {
    const active = state.active.get(row.handle);
    if (row.state === "sealed" && active === undefined) expected.add(row.handle);
    else if (active !== undefined && active.fileBytes > 0) expected.add(row.handle);
  }
  const removed: number[] = [];
  let leftovers = 0;
  for (const folder of await listOrNone(world, files.chunksDirectory)) {
    const directory = `${files.chunksDirectory}/${folder}`;
    for (const name of await listOrNone(world, directory)) {
      const handle = handleOfName(name);
      // A name that no release gave: left for its owner to find.
      if (handle === undefined || files.pathOf(handle) !== `${directory}/${name}`) continue;
      expected.delete(handle);
      const row = state.table.get(handle);
      if (row?.state === "removed") removed.push(handle);
      if (row !== undefined) continue;
      leftovers++;
      await disk.remove(`${directory}/${name}`);
    }
  }
  const aside: { name: string; bytes: number }[] = [];
  for (const name of await listOrNone(world, files.asideDirectory)) {
    if (handleOfName(name) === undefined) continue;
    const info = await disk.info(`${files.asideDirectory}/${name}`);
    if (info?.kind === "file") aside.push({ name, bytes: info.bytes });
  }
  return { missing: [...expected], removed, leftovers, aside };
}

async function listOrNone(world: World, path: string): Promise<string[]> {
  try {
    return await world.disk.list(path);
  } catch (error) {
    if (error instanceof DiskError && (error.kind === "missing" || error.kind === "kind")) return [];
    throw error;
  }
}

/** True if the file is long enough for what it should hold. */
export async function isLongEnough(
  world: World,
  files: DataFiles,
  want: { readonly handle: number; readonly bytes: number },
): Promise<boolean> {
  const info = await world.disk.info(files.pathOf(want.handle));
  return info?.kind === "file" && info.bytes >= want.bytes;
}
