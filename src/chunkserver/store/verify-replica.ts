/**
 * Every byte of a replica read and compared with its checksums, and its trailer with the volume's records (DESIGN §4.5, scrub): what the medium has, where the platform can tell
 * (io.ts, `OpenMode`), and never by a file that was open before.
 *
 * The replica may be moved from the log to its file, aside, or replaced while it is read: what was read then proves nothing. So nothing is said to be bad before it was read once
 * more with nobody else at its files, which is what the handle's lock says.
 */
import { GfsError, hasCode } from "../../base/errors.ts";
import { DiskError } from "../../io.ts";
import { protocol } from "../../limits.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import type { Ground } from "./ground.ts";
import { activeBytes, markBad, sealedBytes } from "./replica-bytes.ts";
import type { Verdict, VerifyOptions } from "./store.ts";

const pieceBytesMax = protocol.dataFrameBytesMax;

type Bad = Exclude<Verdict, "healthy">;

/** Contract: Store.verifyReplica. */
export async function verifyReplica(
  ground: Ground,
  handle: ChunkHandle,
  { pace, signal }: VerifyOptions = {},
): Promise<Verdict> {
  const first = await lookThrough(ground, handle, async (bytes) => {
    if (signal?.aborted === true)
      throw new GfsError("Interrupted", `Cannot verify chunk ${handle}: it is not wanted any more`);
    await pace?.(bytes);
  });
  if (first === "healthy") return first;
  return ground.locks.run(handle, async () => {
    const row = ground.state.table.get(handle);
    if (row?.state === "corrupt") return ground.bad.get(handle)?.reason ?? "corrupt";
    const again = await lookThrough(ground, handle, async () => undefined);
    if (again !== "healthy") markBad(ground, handle, again);
    return again;
  });
}

/** `before` each piece, of so many bytes. @throws GfsError VolumeRetired: the disk itself failed | what `before` throws */
async function lookThrough(
  ground: Ground,
  handle: ChunkHandle,
  before: (bytes: number) => Promise<void>,
): Promise<Verdict> {
  const row = ground.state.table.get(handle);
  if (row === undefined || row.state === "removed") return "missing";
  if (row.state === "corrupt") return "corrupt";
  try {
    return ground.state.active.has(handle)
      ? await lookThroughActive(ground, handle, before)
      : await lookThroughFile(ground, handle, before);
  } catch (error) {
    const bad = badOf(error);
    if (bad !== undefined) return bad;
    throw ground.retirement.translate(`verify chunk ${handle}`, error);
  }
}

function badOf(error: unknown): Bad | undefined {
  if (error instanceof DiskError && (error.kind === "missing" || error.kind === "kind")) return "missing";
  return hasCode(error, "Corrupt") ? "corrupt" : undefined;
}

/** Where its bytes lie, and how many there are, may change between two pieces. */
async function lookThroughActive(
  ground: Ground,
  handle: ChunkHandle,
  before: (bytes: number) => Promise<void>,
): Promise<Verdict> {
  for (let from = 0; ; from += pieceBytesMax) {
    const next = ground.state.active.get(handle);
    if (next === undefined) return lookThrough(ground, handle, before);
    const bytes = Math.min(pieceBytesMax, next.sums.length - from);
    if (bytes <= 0) return "healthy";
    await before(bytes);
    const active = ground.state.active.get(handle);
    if (active === undefined) return lookThrough(ground, handle, before);
    const to = Math.min(active.sums.length, from + pieceBytesMax);
    if (from < to) await activeBytes(ground, active, "medium").readBlocks(from, to);
  }
}

async function lookThroughFile(
  ground: Ground,
  handle: ChunkHandle,
  before: (bytes: number) => Promise<void>,
): Promise<Verdict> {
  const row = ground.state.table.get(handle);
  if (row === undefined || row.state !== "sealed") return "missing";
  const sealed = await ground.files.openSealed(row, "medium");
  try {
    const content = sealedBytes(row, sealed);
    // One piece after the other: the same memory for all.
    const memory = new Uint8Array(Math.min(pieceBytesMax, row.length));
    for (let from = 0; from < row.length; from += pieceBytesMax) {
      const to = Math.min(row.length, from + pieceBytesMax);
      await before(to - from);
      await content.readBlocks(from, to, () => memory);
    }
    return "healthy";
  } finally {
    await sealed.file.close();
  }
}
