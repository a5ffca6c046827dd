/** The durable state of a running master as pieces of its files: the newest checkpoint, then the log after it (DESIGN §4.1). What is shipped and backed up is read by this. */
import { assert } from "../../base/assert.ts";
import { type Disk, DiskError, type DiskFile } from "../../io.ts";
import { LogFollower } from "../../log/follow-log.ts";
import type { LogPosition } from "../../log/log-types.ts";
import { diskFailed } from "../../log/survey.ts";
import { type MetadataFile, metadataPieceBytesMax } from "../../wire/control/metadata.ts";
import { checkpointName } from "../checkpoint-file.ts";
import type { DataDirectory } from "../data-directory.ts";

export interface ImagePiece {
  readonly file: MetadataFile;
  readonly offset: number;
  /** At least one, at most `metadataPieceBytesMax`. */
  readonly bytes: Uint8Array;
}

/** Bytes of a checkpoint read at a time. */
const readBytes = 524_288;

/**
 * @param image `until` is the end of a batch that is durable
 * @throws GfsError("Unavailable") where the log was trimmed meanwhile, GfsError("Corrupt" | "DiskFailed")
 */
export async function* imagePieces(
  disk: Disk,
  directory: Pick<DataDirectory, "logPath" | "checkpointPath">,
  { checkpoint, until }: { readonly checkpoint: LogPosition; readonly until: LogPosition },
): AsyncGenerator<ImagePiece, void> {
  if (checkpoint > 0) yield* checkpointPieces(disk, directory, checkpoint);
  const follower = await LogFollower.after(disk, directory.logPath, checkpoint);
  for (let read = await follower.next(until); read !== undefined; read = await follower.next(until)) {
    const file = { kind: "segment" as const, position: read.segment };
    yield* cut(file, read.offset, read.bytes);
  }
}

/** @throws GfsError("DiskFailed") */
export async function* checkpointPieces(
  disk: Disk,
  { checkpointPath }: Pick<DataDirectory, "checkpointPath">,
  position: LogPosition,
): AsyncGenerator<ImagePiece, void> {
  const path = `${checkpointPath}/${checkpointName(position)}`;
  let opened: DiskFile | undefined;
  try {
    opened = await disk.open(path, "read");
    for (let offset = 0; ;) {
      const into = new Uint8Array(readBytes);
      const bytes = into.subarray(0, await opened.read(into, offset));
      if (bytes.length === 0) return;
      yield { file: { kind: "checkpoint", position }, offset, bytes };
      offset += bytes.length;
    }
  } catch (error) {
    throw error instanceof DiskError ? diskFailed(`read ${path}`, error) : error;
  } finally {
    await opened?.close();
  }
}

/** Pieces of bytes that belong together. */
export function* cut(file: MetadataFile, offset: number, bytes: Uint8Array): Generator<ImagePiece> {
  assert(bytes.length > 0, "a piece has bytes");
  for (let at = 0; at < bytes.length; at += metadataPieceBytesMax)
    yield { file, offset: offset + at, bytes: bytes.subarray(at, at + metadataPieceBytesMax) };
}
