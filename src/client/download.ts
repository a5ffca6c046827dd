/** Download: the local file appears whole, or not at all. */
import { byteLengthOf } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";
import type { DiskFile, World } from "../io.ts";
import type { DownloadOptions, DownloadResult } from "./api.ts";
import type { ClientContext } from "./context.ts";
import { readFile } from "./get.ts";
import { local, splitLocal } from "./local-files.ts";

/** Bytes gathered for one write; as many are written at the same time. */
const writeBytes = 2 * 1_048_576;

/**
 * Reads `gfsPath` into a file beside `localPath`, syncs it, and gives it the name when it is whole. In a directory it gets the name that it has in gfs.
 *
 * @throws GfsError as `readFile`; Exists without `overwrite`; NoSpace, Denied, LocalFile for the local disk
 */
export async function downloadFile(
  ctx: ClientContext,
  gfsPath: string,
  localPath: string,
  options: DownloadOptions,
): Promise<DownloadResult> {
  const { world } = ctx;
  const target = await targetOf(world, gfsPath, localPath);
  const { directory, name } = splitLocal(target);
  await refuseExisting(world, target, options.overwrite);
  const pieces = readFile(ctx, gfsPath, options);
  // A missing file is told before anything is made here.
  const first = await pieces.next();
  const temporary = `${directory}/.${name.slice(0, 200)}.gfs-${world.random.bytes(6).toHex()}`;
  let bytes = 0;
  try {
    const file = await local("write", world.disk.open(temporary, "create"));
    try {
      bytes = await writeAll(file, first, pieces);
      await local("write", file.sync());
    } finally {
      await file.close();
    }
    await refuseExisting(world, target, options.overwrite);
    await local("write", world.disk.rename(temporary, target));
  } catch (error) {
    await pieces.return(undefined);
    await world.disk.remove(temporary).catch(() => {});
    throw error;
  }
  await local("write", world.disk.syncDirectory(directory));
  return { bytes, localPath: target };
}

async function targetOf({ disk }: World, gfsPath: string, localPath: string): Promise<string> {
  const info = await local("write", disk.info(localPath));
  if (info?.kind === "directory") {
    const name = gfsPath.split("/").findLast((part) => part !== "");
    return name === undefined ? localPath : `${localPath.replace(/\/+$/, "")}/${name}`;
  }
  const { directory } = splitLocal(localPath);
  const parent = localPath.endsWith("/") ? undefined : await local("write", disk.info(directory));
  if (parent === undefined) {
    const why = localPath.endsWith("/") ? "there is no such directory" : `there is no directory ${directory}`;
    throw new GfsError("NotFound", `Cannot write local ${localPath}: ${why}`, { details: { local: true } });
  }
  return localPath;
}

async function refuseExisting({ disk }: World, path: string, overwrite: boolean | undefined): Promise<void> {
  const info = await local("write", disk.info(path));
  if (info === undefined) return;
  if (info.kind !== "file")
    throw new GfsError(
      info.kind === "directory" ? "IsDirectory" : "LocalFile",
      `Cannot write local ${path}: ${info.kind === "directory" ? "it is a directory" : "it is not a regular file"}`,
    );
  if (overwrite !== true)
    throw new GfsError("Exists", `Cannot write local ${path}: it exists already`, {
      details: { local: true, hint: "--overwrite replaces the local file" },
    });
}

async function writeAll(
  file: DiskFile,
  first: IteratorResult<Uint8Array, unknown>,
  rest: AsyncGenerator<Uint8Array>,
): Promise<number> {
  let at = 0;
  let gathered: Uint8Array[] = [];
  let writing: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    await writing;
    const pieces = gathered;
    gathered = [];
    writing = local("write", file.write(pieces, at));
    writing.catch(() => {}); // awaited before the next write, and at the end
    at += byteLengthOf(pieces);
  };
  let bytes = 0;
  for (let next = first; next.done !== true; next = await rest.next()) {
    gathered.push(next.value);
    bytes += next.value.length;
    if (bytes < writeBytes) continue;
    await flush();
    bytes = 0;
  }
  await flush();
  await writing;
  return at;
}
