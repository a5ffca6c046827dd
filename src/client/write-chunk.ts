/** One attempt to write a chunk: streamed to the head of its chain, which passes it on; acknowledged by all when synced (DESIGN §4.2). */
import { defined } from "../base/assert.ts";
import { crc32Combine } from "../base/checksum.ts";
import { GfsError, hasCode } from "../base/errors.ts";
import { blockBytes, protocol } from "../limits.ts";
import { errorOfFrame, type FrameConnection } from "../net/frame-connection.ts";
import { withTimeout } from "../net/deadline.ts";
import type { Origin } from "../wire/control/commands.ts";
import type { Placement, VolumeAddress } from "../wire/control/common.ts";
import type { WrittenChunk } from "../wire/control/files.ts";
import { encodeBlockHeader, partCrcs } from "../wire/data/blocks.ts";
import type { Frame } from "../wire/data/frame.ts";
import { decodeHeader, encodeHeader, WriteDone, WriteEnd, WriteOpen } from "../wire/data/headers.ts";
import { type VolumeId, volumeId } from "../wire/ids.ts";
import type { ClientContext, Operation } from "./context.ts";
import { connectionError } from "./retry.ts";
import type { ChunkSource } from "./sources.ts";

const streamId = 1;
const pieceBytes = protocol.dataFrameBytesMax;
/** Pieces that may be in memory: read ahead, being sent, and queued. */
const ringPieces = 4;
const queuedBytesMax = 2 * pieceBytes;

type WriteDoneHeader = ReturnType<typeof decodeHeader<typeof WriteDone>>;

/** The chain failed, not the source: another chain may do. `volume` is the one to avoid, where one is to blame. */
export class ChainFailure extends Error {
  override readonly name = "ChainFailure";
  readonly volume: VolumeId | undefined;
  readonly reason: GfsError;

  constructor(volume: VolumeId | undefined, reason: GfsError) {
    super(reason.message);
    this.volume = volume;
    this.reason = reason;
  }
}

export interface ChunkWrite {
  readonly placement: Placement;
  readonly chunkBytes: number;
  readonly origin: Origin;
  readonly source: ChunkSource;
  /** So many more bytes were sent. */
  readonly onSent: (bytes: number) => void;
}

/** Buffers of one stream, used again for its next chunk. Made when they are first needed. */
export class PieceRing {
  readonly #buffers: (Uint8Array | undefined)[] = [];

  /** For piece number `i`, of at most `bytes` bytes; that of piece `i - 4` is overwritten. */
  at(i: number, bytes: number): Uint8Array {
    const length = Math.min(bytes, pieceBytes);
    const slot = i % ringPieces;
    const kept = this.#buffers[slot];
    if (kept !== undefined && kept.length >= length) return kept.subarray(0, length);
    const made = new Uint8Array(length);
    this.#buffers[slot] = made;
    return made;
  }
}

/** @throws ChainFailure; whatever the source throws; GfsError("Interrupted") */
export async function writeChunk(
  ctx: ClientContext,
  op: Operation,
  write: ChunkWrite,
  ring: PieceRing,
): Promise<WrittenChunk> {
  const { placement } = write;
  const head = defined(placement.chain[0], "head of a chain");
  const frames = await connectTo(ctx, op, head);
  let clean = false;
  const onAbort = (): void => frames.close();
  op.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const { handle, version } = placement;
    const answer = new Answer(frames, head);
    const sent = await sendAll({ ctx, op, frames, answer, head }, write, ring);
    const done = await awaitDone(ctx, op, answer, placement);
    if (done.length !== sent.length || done.crc !== sent.crc)
      throw new ChainFailure(
        head.volume,
        new GfsError("Corrupt", `Cannot write chunk ${handle}: ${head.data} closed other bytes than were sent`),
      );
    clean = true;
    op.progress();
    return { handle, version, length: sent.length, crc: sent.crc, volumes: done.volumes };
  } catch (error) {
    op.check();
    if (!(error instanceof ChainFailure) || error.reason.code !== "Unavailable" || !ctx.pool.wasIdle(frames))
      throw error;
    // The server was perhaps only started anew while the connection waited in the pool.
    ctx.pool.forget(head.data);
    throw new ChainFailure(undefined, error.reason);
  } finally {
    op.signal.removeEventListener("abort", onAbort);
    if (clean) ctx.pool.give(frames);
    else frames.close();
  }
}

async function connectTo(ctx: ClientContext, op: Operation, head: VolumeAddress): Promise<FrameConnection> {
  try {
    return await ctx.pool.take(head.data, op.within(ctx.limits.connectMs), op.signal);
  } catch (thrown) {
    op.check();
    if (hasCode(thrown, "Denied", "VersionUnsupported")) throw thrown;
    throw new ChainFailure(head.volume, connectionError("write a chunk", head.data, thrown));
  }
}

/** What the head of the chain says, which may come at any time if it is an error. */
class Answer {
  /** Rejects with a ChainFailure. */
  readonly done: Promise<WriteDoneHeader>;
  failure: ChainFailure | undefined;

  constructor(frames: FrameConnection, head: VolumeAddress) {
    this.done = readDone(frames, head).catch((thrown: unknown) => {
      const isChain = thrown instanceof ChainFailure;
      const reason = (): GfsError => connectionError("write a chunk", head.data, thrown);
      this.failure = isChain ? thrown : new ChainFailure(head.volume, reason());
      throw this.failure;
    });
    this.done.catch(() => {}); // seen by whoever waits for it next
  }
}

async function readDone(frames: FrameConnection, head: VolumeAddress): Promise<WriteDoneHeader> {
  for (;;) {
    const frame = await frames.read();
    if (frame === null) throw new GfsError("Unavailable", `Cannot write a chunk: ${head.data} closed the connection`);
    if (frame.type === "error") throw refusalOf(head, frame);
    if (frame.type === "writeDone" && frame.stream === streamId) return decodeHeader(WriteDone, frame.header);
  }
}

/** An error frame of a chain's head, which names the volume that failed where it is another one. */
export function refusalOf(head: VolumeAddress, frame: Frame): ChainFailure {
  const error = errorOfFrame(frame, head.data);
  const named = error.details["volume"];
  return new ChainFailure(typeof named === "string" ? volumeId(named) : head.volume, error);
}

interface Sending {
  readonly ctx: ClientContext;
  readonly op: Operation;
  readonly frames: FrameConnection;
  readonly answer: Answer;
  readonly head: VolumeAddress;
}

/** Reads ahead by one piece while the one before is sent. What belongs together leaves together: a small chunk is one write. */
async function sendAll(
  sending: Sending,
  { placement, chunkBytes, origin, source, onSent }: ChunkWrite,
  ring: PieceRing,
): Promise<{ length: number; crc: number }> {
  const { frames, answer, op } = sending;
  const readAt = (i: number, at: number): Promise<Uint8Array> | undefined => {
    const left = source.bytes - at;
    if (left === 0) return undefined;
    const reading = source.read(ring.at(i, left), at);
    reading.catch(() => {}); // awaited below, unless something else fails first
    return reading;
  };
  let length = 0;
  let crc = 0;
  let next = readAt(0, 0);
  for (let i = 0; next !== undefined; i++) {
    const piece = await next;
    if (answer.failure !== undefined) throw answer.failure;
    next = readAt(i + 1, length + piece.length);
    if (i === 0) {
      const { handle, version, chain } = placement;
      const { bytes } = source;
      const open = { handle, version, chain, bytes, chunkBytes, origin };
      frames.send("writeOpen", streamId, encodeHeader(WriteOpen, open));
    }
    const crcs = partCrcs(length, [piece]);
    frames.send("writeData", streamId, encodeBlockHeader(length, crcs), [piece]);
    for (const [part, partCrc] of crcs.entries()) {
      const partBytes = Math.min(blockBytes, piece.length - part * blockBytes);
      crc = crc32Combine(crc, partCrc, partBytes);
    }
    length += piece.length;
    if (next === undefined) frames.send("writeEnd", streamId, encodeHeader(WriteEnd, { length, crc }));
    await drained(sending);
    onSent(piece.length);
    op.progress();
  }
  return { length, crc };
}

/** Until little enough is queued; a head that takes nothing for `putStallMs` has failed. */
async function drained({ ctx, op, frames, answer, head }: Sending): Promise<void> {
  while (frames.queuedBytes > queuedBytesMax) {
    const before = frames.queuedBytes;
    try {
      const ms = op.within(ctx.limits.putStallMs);
      await withTimeout(
        ctx.world.clock,
        ms,
        `write a chunk to ${head.data}`,
        () => Promise.race([frames.sent(queuedBytesMax), answer.done]),
        op.signal,
      );
    } catch (thrown) {
      op.check();
      if (answer.failure !== undefined) throw answer.failure;
      if (hasCode(thrown, "Timeout") && frames.queuedBytes < before) continue;
      throw new ChainFailure(head.volume, connectionError("write a chunk", head.data, thrown));
    }
    if (answer.failure !== undefined) throw answer.failure;
  }
}

/**
 * The acknowledgement of all. Each server gives the ones after it `putStallMs` and a little more; so a head that still answers a new connection is given the time to say which of
 * them is silent.
 */
async function awaitDone(
  ctx: ClientContext,
  op: Operation,
  answer: Answer,
  placement: Placement,
): Promise<WriteDoneHeader> {
  const head = defined(placement.chain[0], "head of a chain");
  const { putStallMs, connectMs } = ctx.limits;
  const what = `write chunk ${placement.handle} to ${head.data}`;
  const waitFor = (ms: number): Promise<WriteDoneHeader> =>
    withTimeout(ctx.world.clock, op.within(ms), what, () => answer.done, op.signal);
  try {
    return await waitFor(putStallMs);
  } catch (thrown) {
    op.check();
    if (!hasCode(thrown, "Timeout") || answer.failure !== undefined) throw thrown;
    const alive = await isAlive(ctx, op, head, connectMs);
    if (!alive) throw new ChainFailure(head.volume, thrown);
    try {
      return await waitFor((putStallMs * (placement.chain.length + 1)) / 8);
    } catch (again) {
      op.check();
      if (again instanceof ChainFailure) throw again;
      throw new ChainFailure(head.volume, connectionError("write a chunk", head.data, again));
    }
  }
}

async function isAlive(ctx: ClientContext, op: Operation, head: VolumeAddress, ms: number): Promise<boolean> {
  try {
    ctx.pool.give(await ctx.pool.dial(head.data, op.within(ms), op.signal));
    return true;
  } catch {
    op.check();
    return false;
  }
}
