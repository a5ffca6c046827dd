/** Brings bytes that only the volume log has to their data file, and a sealed replica to rest with a trailer (DESIGN §4.7). */
import type { DiskFile } from "../../io.ts";
import type { ActiveReplica } from "./active-replica.ts";
import type { Ground } from "./ground.ts";
import { activeBytes } from "./replica-bytes.ts";
import { LogRanges } from "./log-ranges.ts";
import { encodeTrailer } from "./trailer.ts";
import { blockBytes } from "../../limits.ts";

const copyBytesMax = 1_048_576;

/**
 * Copies an active replica's log bytes up to now to its data file and syncs it and its name. What comes in meanwhile stays in the log. A sealed replica
 * is at rest afterwards. The caller holds the handle's lock.
 *
 * @throws GfsError Corrupt (the bytes in the log are not those that were accepted) | DiskFailed, DiskError
 */
export async function fileActive(ground: Ground, active: ActiveReplica): Promise<void> {
  const length = await copyActive(ground, active);
  if (length === undefined) return;
  await ground.files.syncName(active.handle);
  filed(ground, active, length);
}

/** As `fileActive`, but the caller sees to the name: true where there is a file whose directory must be synced before the log may let go of its bytes. */
export async function fileUnnamed(ground: Ground, active: ActiveReplica): Promise<boolean> {
  const length = await copyActive(ground, active);
  if (length !== undefined) filed(ground, active, length);
  return length !== undefined;
}

/** How many bytes of the replica its file has now, synced; undefined where it had them all. */
async function copyActive(ground: Ground, active: ActiveReplica): Promise<number | undefined> {
  const { length } = active.sums;
  if (active.state !== "sealed" && active.fileBytes === length) return undefined;
  const whole = active.state === "sealed" && active.fileBytes === 0 && length <= copyBytesMax;
  if (whole) await fileWhole(ground, active);
  else await fileRest(ground, active);
  return length;
}

function filed(ground: Ground, active: ActiveReplica, length: number): void {
  if (ground.state.active.get(active.handle) !== active) return;
  // Whoever is reading it goes on from the file: a segment of the log may be gone before the next piece.
  ground.state.filed(active, length);
  active.log.dropBefore(length);
  if (active.log.count === 0) active.log = new LogRanges(length);
  if (active.state !== "sealed") return;
  ground.files.forget(active.handle);
  ground.state.atRest(active.handle);
}

/** A small sealed replica of which nothing counts in its file: most of them, where files are small. One read, one write. */
async function fileWhole(ground: Ground, active: ActiveReplica): Promise<void> {
  const { length } = active.sums;
  const bytes = length === 0 ? new Uint8Array(0) : await activeBytes(ground, active).readBlocks(0, length);
  const file = await ground.files.create(active.handle);
  try {
    await file.write([bytes, trailerOf(ground, active)], 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function fileRest(ground: Ground, active: ActiveReplica): Promise<void> {
  const file = await ground.files.open(active.handle, "write");
  try {
    await copyFromLog(ground, active, file);
    if (active.state === "sealed") {
      const { length } = active.sums;
      const trailer = trailerOf(ground, active);
      await file.write([trailer], length);
      await file.truncate(length + trailer.length);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** From the block that the file's end lies in, so that whole blocks are verified on their way. */
async function copyFromLog(ground: Ground, active: ActiveReplica, file: DiskFile): Promise<void> {
  const bytes = activeBytes(ground, active);
  const start = active.fileBytes;
  for (let from = start - (start % blockBytes); from < bytes.length; from += copyBytesMax) {
    const to = Math.min(bytes.length, from + copyBytesMax);
    const piece = await bytes.readBlocks(from, to);
    const skip = Math.max(0, start - from);
    if (skip < piece.length) await file.write([piece.subarray(skip)], from + skip);
  }
}

function trailerOf(ground: Ground, active: ActiveReplica): Uint8Array {
  const { handle, dataVersion: version, sums, origin } = active;
  const { volume, clusterId } = ground.identity;
  const { length, crc } = sums;
  return encodeTrailer({ handle, version, volume, clusterId, length, crc, origin }, sums.blocks());
}
