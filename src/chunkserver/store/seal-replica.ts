/** `finish`: a fenced replica becomes a sealed one (DESIGN §4.3, step 5). */
import { GfsError, hasCode } from "../../base/errors.ts";
import { crc32 } from "../../base/checksum.ts";
import { blockBytes } from "../../limits.ts";
import type { ActiveReplica } from "./active-replica.ts";
import { readFailure } from "./chunk-reader.ts";
import type { Ground } from "./ground.ts";
import { activeBytes, markBad } from "./replica-bytes.ts";
import type { TailOptions } from "./store.ts";
import { endTail, fencedAt } from "./tail-writer.ts";

const readBytesMax = 1_048_576;

/** Contract: Store.finish. */
export function finishReplica(ground: Ground, options: TailOptions): Promise<void> {
  return ground.locks.run(options.handle, async () => {
    ground.retirement.check();
    const { handle, version, length, crc, origin } = options;
    if (isDone(ground, options)) return;
    const active = fencedAt(ground, options);
    await endTail(ground, handle);
    if (active.sums.length < length) {
      throw new GfsError(
        "ChunkClosed",
        `Cannot finish chunk ${handle} with ${length} bytes: this replica has ${active.sums.length}`,
      );
    }
    const lastBlock = await verify(ground, active, length);
    const found = active.sums.cut(length, lastBlock).crc;
    if (found !== crc) {
      markBad(ground, handle, "corrupt");
      throw new GfsError(
        "Corrupt",
        `Cannot finish chunk ${handle}: its first ${length} bytes have checksum ${found}, not ${crc}`,
      );
    }
    // A fence that came during the check rules.
    fencedAt(ground, options);
    await ground.log.commit({ kind: "finished", handle, version, length, crc, lastBlock, origin });
  });
}

/** True for a repeated `finish`. @throws GfsError where it is sealed as something else */
function isDone(ground: Ground, { handle, version, length, crc }: TailOptions): boolean {
  const row = ground.state.table.get(handle);
  if (row?.state !== "sealed") return false;
  if (row.dataVersion === version && row.length === length && row.crc === crc) return true;
  throw new GfsError(
    row.dataVersion > version ? "VersionStale" : "ChunkClosed",
    `Cannot finish chunk ${handle} at version ${version} with ${length} bytes: it is sealed at ${row.dataVersion} with ${row.length}`,
  );
}

/** Reads the first `length` bytes back and compares all blocks; the CRC of the last one as a cut there leaves it. */
async function verify(ground: Ground, active: ActiveReplica, length: number): Promise<number> {
  const bytes = activeBytes(ground, active);
  let lastBlock = 0;
  try {
    for (let from = 0; from < length; from += readBytesMax) {
      // The block that the cut lies in is verified whole.
      const to = Math.min(bytes.length, from + readBytesMax, Math.ceil(length / blockBytes) * blockBytes);
      const piece = await bytes.readBlocks(from, to);
      if (to < length) continue;
      const last = Math.floor((length - 1) / blockBytes) * blockBytes;
      lastBlock = crc32(piece.subarray(last - from, length - from));
    }
  } catch (error) {
    const failure = readFailure(ground, active.handle, error);
    throw hasCode(failure, "ReplicaMissing")
      ? new GfsError("Corrupt", `Cannot finish chunk ${active.handle}: its data file is gone`, { cause: failure })
      : failure;
  }
  return lastBlock;
}
