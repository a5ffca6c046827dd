/** A data directory of the master: its identity and its lock (DESIGN §4.7; docs/DISK-FORMAT.md). */
import { z } from "zod";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import { DiskError, type Disk, type Random } from "../io.ts";
import { protocol } from "../limits.ts";
import { makeDurableDirectory } from "../log/durable-directory.ts";
import { ClusterId, clusterId } from "../wire/ids.ts";

const identityFile = "identity.json";
const identityFormat = 2;
/** Of a chunkserver's directory (docs/DISK-FORMAT.md). */
const volumeIdentityFile = "identity";
const identityBytesMax = 65_536;

/** What a directory was rebuilt from, until the first start has logged it: `position` is the last entry that is in it, `epoch` the highest start of a master that its sources knew. */
const RestoredFrom = z.object({ position: z.int().min(0), source: z.string().max(1_024), epoch: z.int().min(0) });
export type RestoredFrom = z.infer<typeof RestoredFrom>;

/**
 * `directory`: random, tells the copies of one log apart wherever they are moved to. `state`: while it is no whole copy. "empty": of a cluster whose first start
 * has not come to its log; "filling": what it holds counts for nothing until all of it was copied from another directory. Left out of a whole one.
 */
const Identity = z.object({
  gfs: z.literal("master"),
  format: z.int().min(1),
  cluster: ClusterId,
  directory: z.string().regex(/^[0-9a-f]{16}$/),
  state: z.enum(["empty", "filling"]).optional(),
  restored: RestoredFrom.optional(),
});
type Identity = z.infer<typeof Identity>;

export interface DataDirectory extends AsyncDisposable {
  readonly path: string;
  readonly clusterId: ClusterId;
  /** 16 hex digits. */
  readonly directoryId: string;
  /** No whole copy: it is empty, or an earlier start did not come to the end of filling it. `markWhole` ends that. */
  readonly isNew: boolean;
  /** What its identity is to say, where that is not on the disk yet: `claim` writes it. */
  readonly unclaimed: { readonly state: Identity["state"] } | undefined;
  /** It was rebuilt, and no master has started on it since. */
  readonly restored: RestoredFrom | undefined;
  readonly logPath: string;
  readonly checkpointPath: string;
}

/**
 * Locks all the directories, made where missing, and finds for those without identity that of the others, or of a new cluster: `claim` writes it, for a start may yet be
 * refused, and an empty directory that is the place of a disk which is not mounted stays empty then. What a directory holds that was not filled to its end is removed;
 * alone, it is refused.
 *
 * @throws GfsError("Locked") while another process has one, GfsError("WrongCluster") where they belong to different clusters,
 * GfsError("FormatUnsupported"), GfsError("Usage") for too many or one that holds something else, GfsError("Corrupt"), GfsError("DiskFailed")
 */
export async function openDataDirectories(
  world: { readonly disk: Disk; readonly random: Random },
  paths: readonly string[],
): Promise<readonly DataDirectory[]> {
  const { dataDirectoriesMax } = protocol;
  if (paths.length > dataDirectoriesMax)
    throw new GfsError("Usage", `Cannot start on ${paths.length} data directories: ${dataDirectoriesMax} is the most`);
  const locks: AsyncDisposable[] = [];
  try {
    const found: { readonly path: string; readonly identity: Identity | undefined }[] = [];
    for (const path of paths) {
      await makeDurableDirectory(world.disk, path);
      locks.push(await lock(world.disk, path));
      found.push({ path, identity: await readIdentity(world.disk, path) });
    }
    const whole = found.find(({ identity }) => identity !== undefined && identity.state === undefined);
    const partial = found.find(({ identity }) => identity?.state === "filling");
    if (whole === undefined && partial !== undefined) {
      throw new GfsError(
        "Usage",
        `Cannot start on ${paths.join(", ")}: ${partial.path} is no whole copy, filling it from another data directory was cut short; name that one too`,
      );
    }
    const known = whole ?? found.find(({ identity }) => identity !== undefined);
    const cluster = known?.identity?.cluster ?? clusterId(world.random.bytes(16).toHex());
    const taken = new Set<string>();
    const opened: DataDirectory[] = [];
    for (const [index, { path, identity }] of found.entries()) {
      if (identity !== undefined && identity.cluster !== cluster) {
        throw new GfsError(
          "WrongCluster",
          `Cannot use ${path}: it belongs to cluster ${identity.cluster}, and ${known?.path ?? ""} to ${cluster}`,
        );
      }
      // A copy of another directory has its id too, and becomes one of its own.
      const copied = identity !== undefined && taken.has(identity.directory);
      const own = identity === undefined || copied ? world.random.bytes(8).toHex() : identity.directory;
      taken.add(own);
      const isNew = identity === undefined || identity.state !== undefined;
      const state = !isNew ? undefined : whole === undefined ? ("empty" as const) : ("filling" as const);
      const isSame = own === identity?.directory && state === identity.state;
      // What was not filled to its end counts for nothing, whether this start is refused or not.
      const isLeft = identity !== undefined && state === "filling";
      const held = locks[index];
      const directory: DataDirectory = {
        path,
        clusterId: cluster,
        directoryId: own,
        isNew,
        unclaimed: isSame || isLeft ? undefined : { state },
        restored: identity?.restored,
        ...foldersOf(path),
        [Symbol.asyncDispose]: async () => held?.[Symbol.asyncDispose](),
      };
      if (isLeft) {
        if (!isSame) await writeIdentity(world.disk, directory, state);
        await world.disk.removeTree(directory.logPath);
        await world.disk.removeTree(directory.checkpointPath);
        await world.disk.syncDirectory(path);
      }
      opened.push(directory);
    }
    return opened;
  } catch (error) {
    for (const held of locks) await held[Symbol.asyncDispose]();
    if (!(error instanceof DiskError)) throw error;
    throw new GfsError("DiskFailed", `Cannot open ${paths.join(", ")}: ${error.message}`, { cause: error });
  }
}

/** Where a master's directory keeps its log and its checkpoints. */
export function foldersOf(path: string): Pick<DataDirectory, "logPath" | "checkpointPath"> {
  return { logPath: `${path}/operation-log`, checkpointPath: `${path}/checkpoints` };
}

async function lock(disk: Disk, path: string): Promise<AsyncDisposable> {
  try {
    return await disk.lock(path);
  } catch (error) {
    if (!(error instanceof DiskError) || error.kind !== "busy") throw error;
    // A chunkserver's directory is refused as one, whether it runs or not.
    await readIdentity(disk, path);
    throw new GfsError("Locked", `Cannot use ${path}: another gfs process has it open`, { cause: error });
  }
}

/** Undefined for a directory without anything of a master. */
async function readIdentity(disk: Disk, path: string): Promise<Identity | undefined> {
  const names = await disk.list(path);
  const file = `${path}/${identityFile}`;
  if (!names.includes(identityFile)) {
    const other = names.find((name) => !["lock", "lost+found", `${identityFile}.partial`].includes(name));
    if (other === undefined) return undefined;
    const what = names.includes(volumeIdentityFile)
      ? "it is a chunkserver's directory"
      : `it is not empty (${other}) and has no ${identityFile}`;
    throw new GfsError("Usage", `Cannot use ${path} for a master: ${what}`);
  }
  const text = await readText(disk, file);
  const corrupt = (why: string): GfsError => new GfsError("Corrupt", `Cannot read ${file}: ${why}`);
  const content = text.slice(0, text.lastIndexOf("}\n") + 2);
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    throw corrupt("it is not JSON");
  }
  const role = z.object({ gfs: z.string(), format: z.int() }).safeParse(value);
  if (!role.success) throw corrupt("it is not an identity");
  if (role.data.gfs !== "master")
    throw new GfsError("Usage", `Cannot use ${path} for a master: it is a ${role.data.gfs}'s directory`);
  if (role.data.format !== identityFormat) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot use ${path}: it has format ${role.data.format}, and this version of gfs knows ${identityFormat}`,
    );
  }
  // A digit that flipped would make it another directory, and refuse the right one.
  if (text !== withCheck(content)) throw corrupt("its checksum is wrong");
  const identity = Identity.safeParse(value);
  if (!identity.success) throw corrupt(`its ${identity.error.issues[0]?.path.join(".") ?? "content"} is wrong`);
  return identity.data;
}

/** Followed by a line with the CRC-32 of the content, 8 hex digits. */
function withCheck(content: string): string {
  return `${content}${crc32(utf8(content)).toString(16).padStart(8, "0")}\n`;
}

async function readText(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path, "read");
  try {
    const bytes = new Uint8Array(Math.min(await file.size(), identityBytesMax));
    const read = await file.read(bytes, 0);
    return fromUtf8(bytes.subarray(0, read)) ?? "";
  } finally {
    await file.close();
  }
}

/** The directory is this master's from now on: its identity is what `openDataDirectories` found. @throws DiskError */
export async function claim(disk: Disk, directory: DataDirectory): Promise<void> {
  if (directory.unclaimed !== undefined) await writeIdentity(disk, directory, directory.unclaimed.state);
}

/** Until `markWhole`, what the directory holds counts for nothing: it is about to be filled from another. @throws DiskError */
export function markFilling(disk: Disk, directory: DataDirectory): Promise<void> {
  return writeIdentity(disk, directory, "filling");
}

/** The first start on a rebuilt directory has logged what it was rebuilt from. @throws DiskError */
export function markStarted(disk: Disk, directory: DataDirectory): Promise<void> {
  return writeIdentity(disk, { ...directory, restored: undefined }, undefined);
}

/** A directory that was rebuilt under a path: a whole copy from now on, of which the first start is told. @throws DiskError */
export function markRestored(
  disk: Disk,
  directory: Pick<DataDirectory, "path" | "clusterId" | "directoryId"> & { readonly restored: RestoredFrom },
): Promise<void> {
  return writeIdentity(disk, directory, undefined);
}

/** From now on the directory is believed: it holds all that the others do, synced. @throws DiskError */
export function markWhole(disk: Disk, directory: DataDirectory): Promise<void> {
  return writeIdentity(disk, directory, undefined);
}

async function writeIdentity(
  disk: Disk,
  directory: Pick<DataDirectory, "path" | "clusterId" | "directoryId" | "restored">,
  state: Identity["state"],
): Promise<void> {
  const { path, clusterId: cluster, directoryId, restored } = directory;
  const identity: Identity = {
    gfs: "master",
    format: identityFormat,
    cluster,
    directory: directoryId,
    ...(state === undefined ? {} : { state }),
    ...(restored === undefined ? {} : { restored }),
  };
  const file = await disk.open(`${path}/${identityFile}.partial`, "write");
  try {
    await file.truncate(0);
    await file.write([utf8(withCheck(`${JSON.stringify(identity, undefined, 2)}\n`))], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}/${identityFile}.partial`, `${path}/${identityFile}`);
  await disk.syncDirectory(path);
}
