/**
 * What one volume's directory has, read without changing anything (DESIGN §4.7): replicas at rest by the trailers of their data files, the others by the volume log. For a salvage, when
 * no master's data is left. Where log or checkpoint are damaged, what their whole part says counts, and the trailers; what is missing by that is told.
 */
import { crc32 } from "../../base/checksum.ts";
import { GfsError, hasCode } from "../../base/errors.ts";
import { type Disk, DiskError, type DiskFile, type World } from "../../io.ts";
import { blockBytes } from "../../limits.ts";
import { replaySegment } from "../../log/open-log.ts";
import { decodeSegmentHeader, segmentFileName } from "../../log/segment.ts";
import { readWhole, surveyDirectory } from "../../log/survey.ts";
import type { Origin } from "../../wire/control/commands.ts";
import type { ClusterId, VolumeId } from "../../wire/ids.ts";
import { handleOfName } from "../store/data-files.ts";
import { readIdentity } from "../store/identity.ts";
import { loadCheckpoint, replayEntry } from "../store/recovery.ts";
import type { Row } from "../store/replica-table.ts";
import { decodeTrailer, type Trailer, trailerEndBytes, trailerLength } from "../store/trailer.ts";
import { VolumeState } from "../store/volume-state.ts";

export interface SalvagedReplica {
  readonly handle: number;
  /** What its bytes are. */
  readonly version: number;
  /** Anything lower is refused by the volume. */
  readonly promised: number;
  /** Of an unsealed one: durable bytes. */
  readonly length: number;
  readonly crc: number;
  readonly sealed: boolean;
  /** Undefined where nobody told the volume. */
  readonly origin: Origin | undefined;
}

export interface SalvagedVolume {
  readonly directory: string;
  readonly volume: VolumeId;
  readonly clusterId: ClusterId | undefined;
  /** Number of the newest start of a master that it obeyed; 0: none known. */
  readonly epoch: number;
  readonly highestHandle: number;
  readonly replicas: readonly SalvagedReplica[];
  /** What could not be read, for people. */
  readonly problems: readonly string[];
}

export interface ReadVolumeOptions {
  /** Every block of the data files is read and compared. */
  readonly verify: boolean;
  /** Bytes of the replicas found so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** @throws GfsError("Locked") while a server has it open, GfsError("NotFound") for what is no volume, GfsError("Corrupt") where not even its identity can be read, GfsError("DiskFailed") */
export async function readVolume(world: World, directory: string, options: ReadVolumeOptions): Promise<SalvagedVolume> {
  const { disk } = world;
  try {
    if ((await disk.info(`${directory}/identity`)) === undefined)
      throw new GfsError("NotFound", `Cannot salvage ${directory}: it is no directory of a chunkserver`);
    await using _held = await disk.lock(directory);
    const identity = await readIdentity(disk, `${directory}/identity`);
    const problems: string[] = [];
    const state = await stateOf(world, directory, { identity, problems });
    const replicas = await replicasOf(disk, directory, { state, problems, options });
    return {
      directory,
      volume: identity.volume,
      clusterId: identity.clusterId,
      epoch: state.state.epoch?.number ?? 0,
      highestHandle: Math.max(state.state.highestHandle, 0, ...replicas.map(({ handle }) => handle)),
      replicas,
      problems,
    };
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    if (error.kind === "busy")
      throw new GfsError("Locked", `Cannot salvage ${directory}: a chunkserver has it open; stop it first`);
    throw new GfsError("DiskFailed", `Cannot salvage ${directory}: ${error.message}`, { cause: error });
  }
}

interface KnownState {
  readonly state: VolumeState;
  /** Checkpoint and log are whole: what they don't name is no replica. */
  readonly whole: boolean;
}

async function stateOf(
  world: World,
  directory: string,
  { identity, problems }: { readonly identity: { readonly volume: VolumeId }; readonly problems: string[] },
): Promise<KnownState> {
  const state = new VolumeState();
  try {
    const after = await loadCheckpoint(world, state, { directory, identity });
    const log = `${directory}/log`;
    if ((await world.disk.info(log)) === undefined) throw new GfsError("Corrupt", `${log} is missing`);
    const survey = await surveyDirectory(world.disk, log, { name: "volume-log", id: identity.volume, after });
    for (const { header } of survey.segments) {
      const path = `${log}/${segmentFileName(header.first)}`;
      const bytes = await readWhole(world.disk, path);
      const found = decodeSegmentHeader(bytes, path);
      if (typeof found === "string") break;
      await replaySegment(bytes, found, { after, until: Number.MAX_SAFE_INTEGER }, (_position, entry, place) =>
        replayEntry(state, entry, place),
      );
    }
    if (survey.trouble === undefined) return { state, whole: true };
    const { file, offset, why } = survey.trouble;
    problems.push(
      `the volume log is damaged in ${file} at byte ${offset} (${why}): what came later is known by data files only`,
    );
  } catch (error) {
    // What a disk that fails does not give is told, and no reason to give up the rest.
    if (!(error instanceof DiskError) && !hasCode(error, "Corrupt", "FormatUnsupported", "DiskFailed")) throw error;
    problems.push(`${error.message}: what was not in a data file yet is lost here`);
  }
  return { state, whole: false };
}

async function replicasOf(
  disk: Disk,
  directory: string,
  {
    state: { state, whole },
    problems,
    options,
  }: { readonly state: KnownState; readonly problems: string[]; readonly options: ReadVolumeOptions },
): Promise<SalvagedReplica[]> {
  const replicas: SalvagedReplica[] = [];
  let bytes = 0;
  const add = (replica: SalvagedReplica): void => {
    replicas.push(replica);
    bytes += replica.length;
    options.onProgress?.(bytes);
  };
  const filed = new Set<number>();
  for (const path of await dataFiles(disk, `${directory}/chunks`)) {
    const handle = handleOfName(path.slice(path.lastIndexOf("/") + 1)) ?? 0;
    const row = state.table.get(handle);
    // Its file says nothing of it, as far as the log goes.
    const passed = state.active.has(handle) || row?.state === "removed";
    if (whole && (passed || row === undefined)) continue;
    try {
      const trailer = await readTrailer(disk, path, options.verify);
      if (trailer.handle !== handle) throw new GfsError("Corrupt", `its trailer is of chunk ${trailer.handle}`);
      const agreed = row === undefined || (row.state === "sealed" && !passed && row.dataVersion === trailer.version);
      if (!agreed && (whole || !isNewer(trailer, row, options.verify)))
        throw new GfsError("Corrupt", `the volume knows it as ${row.state}, at version ${row.dataVersion}`);
      filed.add(handle);
      const { version, length, crc, origin } = trailer;
      add({ handle, version, promised: Math.max(version, row?.promised ?? 0), length, crc, sealed: true, origin });
    } catch (error) {
      if (!(error instanceof GfsError) && !(error instanceof DiskError)) throw error;
      if (!passed) problems.push(`chunk ${handle} in ${path} can't be used: ${error.message}`);
    }
  }
  for (const active of state.active.values()) {
    const { handle, promised, dataVersion: version, sums, origin } = active;
    // One that was fenced before it had any bytes tells nothing.
    if (version === 0 || filed.has(handle)) continue;
    add({ handle, version, promised, length: sums.length, crc: sums.crc, sealed: active.state === "sealed", origin });
  }
  for (const row of state.table.rows())
    if (row.state === "corrupt" && !filed.has(row.handle))
      problems.push(`chunk ${row.handle} was found corrupt before`);
  return replicas;
}

/**
 * The file was written after the last that a damaged log tells of its chunk: sealed, or copied here again. A copy of what was removed or corrupt may have the version that it had; of the latter
 * only its bytes tell that it is another one.
 */
function isNewer(trailer: Trailer, row: Row, verified: boolean): boolean {
  if (row.state === "removed") return trailer.version >= row.promised;
  return (
    trailer.version > row.dataVersion || (row.state === "corrupt" && verified && trailer.version === row.dataVersion)
  );
}

async function dataFiles(disk: Disk, chunks: string): Promise<string[]> {
  const paths: string[] = [];
  if ((await disk.info(chunks))?.kind !== "directory") return paths;
  for (const folder of await disk.list(chunks)) {
    const directory = `${chunks}/${folder}`;
    if ((await disk.info(directory))?.kind !== "directory") continue;
    for (const name of await disk.list(directory))
      if (handleOfName(name) !== undefined && !name.includes("-")) paths.push(`${directory}/${name}`);
  }
  return paths;
}

/** From the file's end; with `verify`, every block before it is compared. @throws GfsError("Corrupt" | "FormatUnsupported"), DiskError */
async function readTrailer(disk: Disk, path: string, verify: boolean): Promise<Trailer> {
  const file = await disk.open(path, "read");
  try {
    const size = await file.size();
    const end = new Uint8Array(trailerEndBytes);
    if (size < end.length) throw new GfsError("Corrupt", "it has no trailer");
    await file.read(end, size - end.length);
    const bytes = new Uint8Array(trailerLength(end, size));
    await file.read(bytes, size - bytes.length);
    const { trailer, blocks } = decodeTrailer(bytes);
    if (trailer.length + bytes.length !== size) throw new GfsError("Corrupt", "bytes are missing before its trailer");
    if (verify) await verifyBlocks(file, trailer.length, blocks);
    return trailer;
  } finally {
    await file.close();
  }
}

async function verifyBlocks(file: DiskFile, length: number, blocks: Uint32Array): Promise<void> {
  const buffer = new Uint8Array(16 * blockBytes);
  for (let at = 0; at < length; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, length - at));
    await file.read(piece, at);
    for (let block = 0; block * blockBytes < piece.length; block++) {
      const index = at / blockBytes + block;
      const part = piece.subarray(block * blockBytes, (block + 1) * blockBytes);
      if (crc32(part) !== blocks[index]) throw new GfsError("Corrupt", `block ${index} has another checksum`);
    }
  }
}
