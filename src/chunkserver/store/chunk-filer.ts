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
  const { length } = active.sums;
  if (active.state !== "sealed" && active.fileBytes === length) return;
  const file = await ground.files.open(active.handle);
  try {
    await copyFromLog(ground, active, file);
    if (active.state === "sealed") {
      const end = await writeTrailer(ground, active, file);
      await file.truncate(end);
    }
    await Promise.all([file.sync(), ground.files.syncName(active.handle)]);
  } finally {
    await file.close();
  }
  if (ground.state.active.get(active.handle) !== active) return;
  if (active.state === "sealed") {
    ground.files.forget(active.handle);
    ground.state.atRest(active.handle);
    return;
  }
  active.fileBytes = length;
  active.log.dropBefore(length);
  if (active.log.count === 0) active.log = new LogRanges(length);
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

async function writeTrailer(ground: Ground, active: ActiveReplica, file: DiskFile): Promise<number> {
  const { handle, dataVersion: version, sums, origin } = active;
  const { volume, clusterId } = ground.identity;
  const { length, crc } = sums;
  const trailer = encodeTrailer({ handle, version, volume, clusterId, length, crc, origin }, sums.blocks());
  await file.write([trailer], length);
  return length + trailer.length;
}
