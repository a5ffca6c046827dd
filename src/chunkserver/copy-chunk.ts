/** Bytes of a chunk from other servers, for seals and repair: the first source that has them, and on a failure the next from the same byte on. */
import { asGfsError, GfsError, hasCode } from "../base/errors.ts";
import type { FrameConnection } from "../net/frame-connection.ts";
import { throwIfAborted, withTimeout } from "../net/deadline.ts";
import type { VolumeAddress } from "../wire/control/common.ts";
import { decodeBlocks, type BlockRun } from "../wire/data/blocks.ts";
import type { Frame } from "../wire/data/frame.ts";
import { encodeHeader, Read } from "../wire/data/headers.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import type { Context } from "./context.ts";
import { connectionFailure, failureOf } from "./remote-error.ts";

const streamId = 1;

export interface CopyRequest {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly purpose: "tail" | "clone";
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly sources: readonly VolumeAddress[];
  /** Aborted: no more is wanted. `context.stopping` where left out. */
  readonly signal?: AbortSignal;
}

/**
 * Hands the runs of [from, to) to `write`, in order, each when the one before was taken.
 * @throws GfsError: of the last source, when none could give the rest (Corrupt with `details.source`: so it said of its own replica); or what `write` threw
 */
export async function copyBytes(
  context: Context,
  request: CopyRequest,
  write: (run: BlockRun) => Promise<void>,
): Promise<void> {
  let at = request.from;
  let failure = new GfsError("ReplicaMissing", `Cannot copy chunk ${request.handle}: no other server was named`);
  for (const source of request.sources) {
    if (at >= request.to) return;
    throwIfAborted(`copy chunk ${request.handle}`, request.signal);
    if (source.volume === context.store.volume) continue;
    let refused: unknown;
    try {
      await readFrom(context, source, { ...request, from: at }, async (run) => {
        try {
          await write(run);
        } catch (thrown) {
          refused = thrown;
          throw thrown;
        }
        at += run.bytes;
      });
    } catch (thrown) {
      // What our own disk refuses no other source can mend.
      if (refused !== undefined) throw refused instanceof Error ? refused : asGfsError(refused);
      // Nor is it the source's fault that the copy is not wanted any more.
      throwIfAborted(`copy chunk ${request.handle}`, request.signal);
      failure = connectionFailure(`copy chunk ${request.handle} from volume ${source.volume}`, source.data, thrown);
      context.world.events.emit("info", "copy.source-failed", {
        chunk: request.handle,
        source: source.volume,
        reason: failure.message,
      });
    }
  }
  if (at < request.to) throw failure;
}

async function readFrom(
  context: Context,
  source: VolumeAddress,
  request: CopyRequest,
  write: (run: BlockRun) => Promise<void>,
): Promise<void> {
  const { handle, version, purpose, from, to } = request;
  const { connectMs } = context.limits;
  const frames = await context.pool.take(source.data, connectMs);
  let clean = false;
  try {
    const header = { volume: source.volume, handle, version, purpose, offset: from, length: to - from };
    frames.send("read", streamId, encodeHeader(Read, header));
    let at = from;
    for (;;) {
      const frame = await nextFrame(context, frames, request.signal);
      if (frame.type === "error") throw saidBy(source, failureOf(frame).error);
      if (frame.stream !== streamId) continue;
      if (frame.type === "readEnd") {
        clean = true;
        if (at < to) throw new GfsError("ReplicaMissing", `it has ${at} of ${to} bytes`);
        return;
      }
      if (frame.type !== "readData") throw new GfsError("ProtocolError", `a ${frame.type} frame came in a read`);
      const run = received(frame);
      if (run.offset !== at || at + run.bytes > to)
        throw new GfsError("ProtocolError", `bytes at ${run.offset} came where ${at} were wanted`);
      await write(run);
      at += run.bytes;
    }
  } finally {
    if (clean) context.pool.give(frames);
    else frames.close();
  }
}

/** What a source says of its own replica is nobody else's fault: `details.source` names it. */
function saidBy({ volume }: VolumeAddress, error: GfsError): GfsError {
  return error.code === "Corrupt" ? new GfsError("Corrupt", error.message, { details: { source: volume } }) : error;
}

/** @throws GfsError("ProtocolError"): what was damaged on its way says nothing about a replica */
function received(frame: Frame): BlockRun {
  try {
    return decodeBlocks(frame);
  } catch (thrown) {
    if (!hasCode(thrown, "Corrupt")) throw thrown;
    throw new GfsError("ProtocolError", `bytes were damaged on their way: ${thrown.message}`, { cause: thrown });
  }
}

async function nextFrame(context: Context, frames: FrameConnection, signal = context.stopping): Promise<Frame> {
  const { readStallMs } = context.limits;
  const frame = await withTimeout(context.world.clock, readStallMs, "read a frame", () => frames.read(), signal);
  if (frame === null) throw new GfsError("Unavailable", "it closed the connection");
  return frame;
}
