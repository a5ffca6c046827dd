/** Whose directory it is (DESIGN §4.7): the identity file and the lock of a volume. */
import { z } from "zod";
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { crc32 } from "../../base/checksum.ts";
import { GfsError } from "../../base/errors.ts";
import { type Disk, DiskError, type World } from "../../io.ts";
import { ClusterId, VolumeId, volumeId } from "../../wire/ids.ts";

/** Raised by every change of what is on disk that an older release can't read. */
export const volumeFormat = 1;

/** One line of JSON, then one with the CRC-32 of that line as 8 hex digits. */
const Identity = z.object({
  kind: z.literal("gfs volume"),
  format: z.int().min(1),
  volume: VolumeId,
  clusterId: ClusterId.optional(),
});
export type Identity = z.infer<typeof Identity>;

const name = "identity";
/** What may lie in a directory that is still nobody's: the lock, an identity that was not finished, and what a new file system has. */
const harmless = new Set(["lock", `${name}.new`, "lost+found"]);

export function encodeIdentity(identity: Identity): Uint8Array {
  const line = `${JSON.stringify(identity)}\n`;
  return utf8(`${line}${crcText(line)}\n`);
}

function crcText(line: string): string {
  return crc32(utf8(line)).toString(16).padStart(8, "0");
}

/** @throws GfsError Corrupt | FormatUnsupported, naming the path */
export function decodeIdentity(bytes: Uint8Array, path: string): Identity {
  const refuse = (why: string): never => {
    throw new GfsError(
      "Corrupt",
      `Cannot use ${path}: ${why}; restore this file from a copy, or give the server an empty directory: its chunks are then repaired from the other servers`,
    );
  };
  const text = fromUtf8(bytes);
  const end = text?.indexOf("\n") ?? -1;
  if (text === undefined || end < 0) return refuse("it is no identity file");
  const line = text.slice(0, end + 1);
  if (text.slice(end + 1) !== `${crcText(line)}\n`) return refuse("its checksum is wrong");
  const value = parseJson(line);
  const format = z.object({ format: z.int() }).safeParse(value);
  if (format.success && format.data.format > volumeFormat) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot use ${path}: it has format ${format.data.format}, written by a newer release; this one reads up to ${volumeFormat}`,
    );
  }
  const parsed = Identity.safeParse(value);
  return parsed.success ? parsed.data : refuse("it is not of a volume");
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/**
 * Takes the directory's lock; makes the directory, and a new identity in an empty one.
 *
 * @throws GfsError Locked | Denied (not empty, and not ours) | Corrupt | FormatUnsupported | DiskFailed
 */
export async function openDirectory(
  world: World,
  directory: string,
): Promise<{ readonly identity: Identity; readonly lock: AsyncDisposable; readonly created: boolean }> {
  try {
    await makeDurably(world.disk, directory);
    const lock = await world.disk.lock(directory);
    try {
      const path = `${directory}/${name}`;
      const found = await world.disk.info(path);
      if (found !== undefined) {
        return { identity: await readIdentity(world.disk, path), lock, created: false };
      }
      const others = (await world.disk.list(directory)).filter((entry) => !harmless.has(entry));
      if (others.length > 0) {
        throw new GfsError(
          "Denied",
          `Cannot use ${directory} for a volume: it holds ${others.slice(0, 3).join(", ")} but no identity file, so it is not ours; give an empty directory`,
        );
      }
      const identity: Identity = { kind: "gfs volume", format: volumeFormat, volume: newVolumeId(world) };
      await writeIdentity(world.disk, directory, identity);
      return { identity, lock, created: true };
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    throw asOpenError(directory, error);
  }
}

/** Atomically, and durable when it returns. @throws DiskError */
export async function writeIdentity(disk: Disk, directory: string, identity: Identity): Promise<void> {
  const path = `${directory}/${name}`;
  const file = await disk.open(`${path}.new`, "write");
  try {
    await file.truncate(0);
    await file.write([encodeIdentity(identity)], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, path);
  await disk.syncDirectory(directory);
}

/** Of a directory that nobody opens. @throws GfsError Corrupt | FormatUnsupported, DiskError */
export async function readIdentity(disk: Disk, path: string): Promise<Identity> {
  return decodeIdentity(await readAll(disk, path), path);
}

function newVolumeId(world: World): VolumeId {
  return volumeId(world.random.bytes(16).toHex());
}

/** With parents; the names of those that were missing are durable too. */
export async function makeDurably(disk: Disk, directory: string): Promise<void> {
  const missing: string[] = [];
  for (let path = directory; (await disk.info(path)) === undefined; path = parentOf(path)) missing.push(path);
  await disk.makeDirectory(directory);
  for (const path of missing) await disk.syncDirectory(parentOf(path));
}

function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at <= 0 ? "/" : path.slice(0, at);
}

async function readAll(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, "read");
  try {
    const bytes = new Uint8Array(Math.min(await file.size(), 65_536));
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

function asOpenError(directory: string, error: unknown): unknown {
  if (!(error instanceof DiskError)) return error;
  if (error.kind === "busy") {
    return new GfsError("Locked", `Cannot use ${directory}: another server has it open`, { cause: error });
  }
  if (error.kind === "full")
    return new GfsError("NoSpace", `Cannot use ${directory}: the disk is full`, { cause: error });
  if (error.kind === "denied")
    return new GfsError("Denied", `Cannot use ${directory}: ${error.message}`, { cause: error });
  return new GfsError("DiskFailed", `Cannot use ${directory}: ${error.message}`, { cause: error });
}
