/** Reading a file: its parts in order, several asked for ahead, to where it ended when the read began (DESIGN §4.4). */
import { GfsError, hasCode } from "../base/errors.ts";
import { fileLength, type LocatedExtent } from "../wire/control/files.ts";
import type { InodeId } from "../wire/ids.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import type { ReadOptions, TransferOptions } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { type FilePart, type FileTarget, type Located, locateRange, sealedParts } from "./locations.ts";
import { fatal, type FileRead, PartRead } from "./read-part.ts";
import { askEnd } from "./read-replica.ts";
import { askMaster, backOff } from "./retry.ts";

/** Beyond any file; sums with offsets stay exact. */
const endless = 2 ** 52;
/** A tail that changes hands each time it is looked at is not waited for longer. */
const looksMax = 16;

/**
 * Verified bytes of [offset, offset + length) in order; ends early where the file does.
 *
 * @throws GfsError NotFound, IsDirectory, PathInvalid, RangeInvalid; Unavailable, Timeout, Corrupt … where no replica gives some bytes; ChunkLost, at once, where none is left that could; InodeChanged where the file went for good
 * when some were given already; Interrupted
 */
export async function* readFile(
  ctx: ClientContext,
  gfsPath: string,
  options: ReadOptions & TransferOptions,
): AsyncGenerator<Uint8Array> {
  const path = formatPath(parsePath(gfsPath));
  const { offset = 0, length = endless, onProgress } = options;
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset > endless)
    throw new GfsError("RangeInvalid", `Cannot read ${path} from ${offset}, ${length} bytes: no such range`);
  using op = new Operation(ctx, `read ${path}`, options.signal);
  const wanted = { at: offset, end: Math.min(offset + length, endless) };
  let done = 0;
  for (let looks = 1; ; looks++) {
    try {
      for await (const { bytes, knownEnd } of pieces(ctx, op, { kind: "path", path }, wanted)) {
        // They are the consumer's, who may have freed them when this goes on.
        done += bytes.length;
        yield bytes;
        op.progress();
        onProgress?.(done, Math.max(done, knownEnd - offset));
      }
      break;
    } catch (error) {
      // The path may have another file since, from its first byte.
      if (done > 0 || looks === looksMax || !hasCode(error, "InodeChanged")) throw error;
    }
  }
  if (done === 0) onProgress?.(0, 0);
}

interface Piece {
  readonly bytes: Uint8Array;
  /** Where the read will end, in the file. */
  readonly knownEnd: number;
}

async function* pieces(
  ctx: ClientContext,
  op: Operation,
  path: FileTarget & { readonly kind: "path" },
  wanted: { readonly at: number; readonly end: number },
): AsyncGenerator<Piece> {
  const { file, located, tail, end } = await beginRead(ctx, op, path, wanted);
  const { inode } = file;
  let { at } = wanted;
  for (let window = located; ;) {
    const sealedEnd = Math.min(end, tail?.extent.fileOffset ?? end);
    for await (const bytes of partsInOrder(file, sealedParts(window, at, sealedEnd))) {
      at += bytes.length;
      yield { bytes, knownEnd: end };
    }
    if (!window.more || at >= sealedEnd) break;
    window = await locateRange(ctx, op, { kind: "inode", inode }, { offset: at, length: sealedEnd - at });
  }
  if (tail === undefined || at >= end) return;
  for await (const bytes of new PartRead(file, { extent: tail.extent, from: at, to: end }, tail.committed).pieces())
    yield { bytes, knownEnd: end };
}

/** What is read: one file, to where it ended at one moment after the read began. */
interface BegunRead {
  readonly file: FileRead;
  /** The first extents. */
  readonly located: Located;
  /** Exclusive. */
  readonly end: number;
  readonly tail: { readonly extent: LocatedExtent; readonly committed: number } | undefined;
}

/**
 * Asks the master, then the primary of the open tail that it names, then the master again whether the path still has this file: what lies between is then seen as it was at one moment.
 */
async function beginRead(
  ctx: ClientContext,
  op: Operation,
  path: FileTarget & { readonly kind: "path" },
  { at, end }: { readonly at: number; readonly end: number },
): Promise<BegunRead> {
  const failed: FileRead["failed"] = new Set();
  for (let looks = 1; ; looks++) {
    const located = await locateRange(ctx, op, path, { offset: at, length: end - at });
    const { inode, sealedBytes, more } = located;
    const file = { ctx, op, inode, path: path.path, failed };
    if (end <= sealedBytes) return { file, located, end, tail: undefined };
    const rest = { offset: sealedBytes, length: end - sealedBytes };
    const last = more ? await locateRange(ctx, op, path, rest) : located;
    const extent = last.extents.find(({ state }) => state !== "sealed");
    if (last.inode === inode && last.sealedBytes === sealedBytes) {
      if (extent === undefined) return { file, located, end: Math.max(at, sealedBytes), tail: undefined };
      const known = await tailEnd(file, extent);
      const now = await locateRange(ctx, op, path, { offset: 0, length: 0 });
      if (known.kind === "end" && now.inode === inode) {
        const tail = { extent, committed: known.end - extent.fileOffset };
        return { file, located, end: Math.max(at, Math.min(end, known.end)), tail };
      }
    }
    if (looks === looksMax) throw tailMoves(inode);
  }
}

function tailMoves(inode: InodeId): GfsError {
  return new GfsError("Busy", `Cannot find the end of inode ${inode}: its tail changes all the time`);
}

/** The first is read; those after it are asked for already, and wait in their connections. */
async function* partsInOrder(file: FileRead, parts: readonly FilePart[]): AsyncGenerator<Uint8Array> {
  const reads = parts.map((part) => new PartRead(file, part));
  const ahead = file.ctx.limits.parallelChunks;
  let current = 0;
  try {
    for (; current < reads.length; current++) {
      for (const read of reads.slice(current, current + ahead)) read.start();
      const read = reads[current];
      if (read !== undefined) yield* read.pieces();
    }
  } finally {
    for (const read of reads.slice(current)) read.close();
  }
}

/** Where the file ends now: the primary of its open tail knows. `moved`: that is no longer the tail. */
async function tailEnd(
  file: FileRead,
  tail: LocatedExtent,
): Promise<{ readonly kind: "end"; readonly end: number } | { readonly kind: "moved" }> {
  const { ctx, op, inode } = file;
  const { handle, version } = tail;
  const [primary] = tail.replicas;
  if (tail.state === "open" && primary !== undefined) {
    try {
      return { kind: "end", end: tail.fileOffset + (await askEnd(ctx, op, primary, { handle, version })) };
    } catch (error) {
      op.check();
      if (!(error instanceof GfsError) || fatal.includes(error.code)) throw error;
      file.failed.add(primary.volume);
    }
  }
  // The master asks it, and seals the tail where it does not answer either.
  try {
    const { bytes } = await askMaster(ctx, op, fileLength, { inode });
    const now = await locateRange(ctx, op, { kind: "inode", inode }, { offset: bytes, length: endless - bytes });
    const same = now.extents.some((extent) => extent.handle === handle && extent.version === version);
    if (same && tail.state === "open") return { kind: "end", end: bytes };
  } catch (error) {
    // Replaced or removed, and kept by no trash: the path says what is there now.
    if (hasCode(error, "NotFound", "InodeChanged")) return { kind: "moved" };
    if (!hasCode(error, "Busy", "Unavailable", "Timeout")) throw error;
    await backOff(ctx, op, { failures: 1 }, error);
  }
  return { kind: "moved" };
}
