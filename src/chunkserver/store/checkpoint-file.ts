/** Writes and reads the checkpoint file: streamed, verified, and atomically in its place (DESIGN §4.7). */
import { byteLengthOf } from "../../base/bytes.ts";
import { GfsError } from "../../base/errors.ts";
import { type Disk, DiskError, type DiskFile } from "../../io.ts";
import type { LogPosition } from "../../log/log-types.ts";
import type { Epoch, VolumeId } from "../../wire/ids.ts";
import {
  checkpointFormat,
  decodeActive,
  decodeCheckpointHeader,
  encodeActive,
  encodeCheckpointHeader,
  nextSection,
  packRows,
  section,
  type SectionSource,
  unpackRows,
} from "./checkpoint.ts";
import type { Row } from "./replica-table.ts";
import type { VolumeState } from "./volume-state.ts";

const name = "checkpoint";
/** Rows between two waits: below five milliseconds of work. */
const rowsPerSection = 8_192;
/** A tombstone outlives any message that could revive its chunk. */
const tombstoneSeconds = 86_400;

export interface CheckpointOptions {
  readonly directory: string;
  readonly volume: VolumeId;
  readonly position: LogPosition;
  readonly wallSeconds: number;
}

/**
 * What is in memory at this moment, which is `position`, as the next start finds it; the work goes on meanwhile.
 *
 * @throws DiskError, GfsError Corrupt where the file that was written does not read back
 */
export async function writeCheckpoint(disk: Disk, state: VolumeState, options: CheckpointOptions): Promise<void> {
  const { directory, volume, position } = options;
  const path = `${directory}/${name}`;
  const { epoch, highestHandle } = state;
  const snapshot = state.table.snapshot();
  const actives = [...state.active.values()].map(encodeActive);
  const header = encodeCheckpointHeader({
    kind: "gfs volume checkpoint",
    format: checkpointFormat,
    volume,
    position,
    ...(epoch === undefined ? {} : { epoch }),
    highestHandle,
  });
  const file = await disk.open(`${path}.new`, "write");
  let at = 0;
  const add = async (bytes: Uint8Array): Promise<void> => {
    const pieces = section(bytes);
    await file.write(pieces, at);
    at += byteLengthOf(pieces);
  };
  try {
    await file.truncate(0);
    await add(header);
    let rows: Row[] = [];
    const expired: number[] = [];
    for (const row of snapshot) {
      if (row.state === "removed" && options.wallSeconds - row.length > tombstoneSeconds) {
        expired.push(row.handle);
        continue;
      }
      rows.push(row);
      if (rows.length < rowsPerSection) continue;
      await add(packRows(rows));
      rows = [];
    }
    if (rows.length > 0) await add(packRows(rows));
    await add(new Uint8Array(0));
    for (const active of actives) await add(active);
    await add(new Uint8Array(0));
    await file.sync();
    await readSections(sourceOf(file, at), { path: file.path, onRow: () => undefined, onActive: () => undefined });
    for (const handle of expired) if (state.table.get(handle)?.state === "removed") state.table.delete(handle);
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, path);
  await disk.syncDirectory(directory);
}

export interface CheckpointContents {
  readonly position: LogPosition;
  readonly volume: VolumeId;
  readonly epoch: Epoch | undefined;
  readonly highestHandle: number;
}

/** Fills an empty state; undefined where there is no checkpoint yet. @throws GfsError Corrupt | FormatUnsupported, DiskError */
export async function readCheckpoint(
  disk: Disk,
  directory: string,
  state: VolumeState,
): Promise<CheckpointContents | undefined> {
  const path = `${directory}/${name}`;
  let file: DiskFile;
  try {
    file = await disk.open(path, "read");
  } catch (error) {
    if (error instanceof DiskError && error.kind === "missing") return undefined;
    throw error;
  }
  try {
    return await readSections(sourceOf(file, await file.size()), {
      path,
      onRow: (row) => state.table.set(row),
      onActive: (bytes) => state.enter(decodeActive(bytes, path)),
    });
  } finally {
    await file.close();
  }
}

interface Sink {
  readonly path: string;
  readonly onRow: (row: Row) => void;
  readonly onActive: (bytes: Uint8Array) => void;
}

async function readSections(
  source: SectionSource & { readonly left: () => number },
  sink: Sink,
): Promise<CheckpointContents> {
  const { path } = sink;
  const header = decodeCheckpointHeader(await nextSection(source, path), path);
  for (let rows = await nextSection(source, path); rows.length > 0; rows = await nextSection(source, path)) {
    for (const row of unpackRows(rows, path)) sink.onRow(row);
  }
  for (let active = await nextSection(source, path); active.length > 0; active = await nextSection(source, path)) {
    sink.onActive(active);
  }
  if (source.left() > 0) throw new GfsError("Corrupt", `Cannot read ${path}: something follows its end`);
  const { position, volume, epoch, highestHandle } = header;
  return { position, volume, epoch, highestHandle };
}

const windowBytes = 1_048_576;

/** A file from its beginning, read in windows. */
function sourceOf(file: DiskFile, size: number): SectionSource & { readonly left: () => number } {
  let window = new Uint8Array(0);
  let windowAt = 0;
  let at = 0;
  return {
    left: () => size - at,
    take: async (bytes) => {
      if (at + bytes > size)
        throw new GfsError("Corrupt", `Cannot read ${file.path}: it ends at byte ${size}, in the middle of a section`);
      if (at + bytes > windowAt + window.length) {
        window = new Uint8Array(Math.min(size - at, Math.max(windowBytes, bytes)));
        windowAt = at;
        const read = await file.read(window, at);
        if (read < bytes) throw new GfsError("Corrupt", `Cannot read ${file.path}: it ends at byte ${at + read}`);
      }
      const from = at - windowAt;
      at += bytes;
      return window.subarray(from, from + bytes);
    },
  };
}
