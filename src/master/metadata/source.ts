/** What a master's directory can be rebuilt from: files of one (checkpoints, segments of the log), wherever they lie. Their contents are believed only after they were loaded. */
import { GfsError } from "../../base/errors.ts";
import { type Disk, DiskError } from "../../io.ts";
import type { LogPosition } from "../../log/log-types.ts";
import { decodeSegmentHeader, positionOfFileName, walkSegment } from "../../log/segment.ts";
import { diskFailed, readWhole } from "../../log/survey.ts";
import type { MetadataFile } from "../../wire/control/metadata.ts";
import type { ClusterId } from "../../wire/ids.ts";
import { foldersOf } from "../data-directory.ts";
import { openBackup } from "./backup-source.ts";

export interface SourceFile extends MetadataFile {
  readonly bytes: number;
}

export interface MetadataSource extends AsyncDisposable {
  /** For people: a path or an address. */
  readonly text: string;
  /** Undefined where only its files say so. */
  readonly clusterId: ClusterId | undefined;
  /** Number of the newest start of a master that it knows of, beside what its log has; 0: none. */
  readonly epoch: number;
  readonly files: readonly SourceFile[];
  /** The last entry that it has, as it says itself. */
  readonly last: LogPosition;
  /** All bytes of a file, in order. @throws GfsError("Corrupt" | "DiskFailed" | "Unavailable") */
  read(file: SourceFile): AsyncIterable<Uint8Array>;
}

const readBytes = 1_048_576;

/** In a copy on a volume the name has the checksum of the whole file as well. */
export function positionOfHeldCheckpoint(name: string): LogPosition | undefined {
  const match = /^([0-9a-f]{16})(?:-[0-9a-f]{8})?\.checkpoint$/.exec(name);
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 16);
}

/**
 * A backup file; the copies in a volume's directory; a master's directory; or a folder with such files.
 *
 * @throws GfsError("NotFound" | "Usage") for what holds no metadata, GfsError("Corrupt" | "FormatUnsupported" | "DiskFailed")
 */
export async function openSources(disk: Disk, path: string): Promise<MetadataSource[]> {
  try {
    const info = await disk.info(path);
    if (info === undefined) throw new GfsError("NotFound", `Cannot read ${path}: there is no such file or directory`);
    if (info.kind === "file") return [await openBackup(disk, path)];
    const names = await disk.list(path);
    const isMaster = names.includes("identity.json");
    const { logPath, checkpointPath } = foldersOf(path);
    const groups = isMaster ? [[logPath, checkpointPath]] : [[`${path}/metadata`], [`${path}/metadata-before`], [path]];
    const sources: MetadataSource[] = [];
    for (const folders of groups) {
      const source = await openFolders(disk, folders);
      if (source !== undefined) sources.push(source);
    }
    if (sources.length > 0) return sources;
    throw new GfsError("NotFound", `Cannot restore from ${path}: it holds neither a checkpoint nor a log of a master`);
  } catch (error) {
    throw error instanceof DiskError ? diskFailed(`read ${path}`, error) : error;
  }
}

/** Undefined where there is nothing. */
async function openFolders(disk: Disk, folders: readonly string[]): Promise<MetadataSource | undefined> {
  const files: (SourceFile & { readonly path: string })[] = [];
  for (const folder of folders) {
    if ((await disk.info(folder))?.kind !== "directory") continue;
    for (const name of await disk.list(folder)) {
      const checkpoint = positionOfHeldCheckpoint(name);
      const position = checkpoint ?? positionOfFileName(name);
      if (position === undefined) continue;
      const path = `${folder}/${name}`;
      const bytes = (await disk.info(path))?.bytes ?? 0;
      files.push({ kind: checkpoint === undefined ? "segment" : "checkpoint", position, bytes, path });
    }
  }
  if (files.length === 0) return undefined;
  files.sort((a, b) => a.position - b.position);
  const pathOf = (file: SourceFile): string =>
    files.find(({ kind, position }) => kind === file.kind && position === file.position)?.path ?? "";
  return {
    text: folders[0] ?? "",
    clusterId: undefined,
    epoch: 0,
    files,
    last: await lastOf(disk, files),
    read: (file) => fileBytes(disk, pathOf(file)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Of the last segment that can be read; a checkpoint may have more. */
async function lastOf(disk: Disk, files: readonly (SourceFile & { readonly path: string })[]): Promise<LogPosition> {
  let last = Math.max(0, ...files.filter(({ kind }) => kind === "checkpoint").map(({ position }) => position));
  const segment = files.findLast(({ kind }) => kind === "segment");
  if (segment === undefined) return last;
  const bytes = await readWhole(disk, segment.path);
  const header = decodeSegmentHeader(bytes, segment.path);
  last = Math.max(last, segment.position - 1);
  return typeof header === "string" ? last : Math.max(last, walkSegment(bytes, header, () => undefined).last);
}

async function* fileBytes(disk: Disk, path: string): AsyncGenerator<Uint8Array, void> {
  try {
    const file = await disk.open(path, "read");
    try {
      for (let at = 0; ;) {
        const into = new Uint8Array(readBytes);
        const bytes = into.subarray(0, await file.read(into, at));
        if (bytes.length === 0) return;
        yield bytes;
        at += bytes.length;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw error instanceof DiskError ? diskFailed(`read ${path}`, error) : error;
  }
}
