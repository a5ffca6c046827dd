/** One attempt to write a small chunk: one frame to the head of its chain and one answer, on a connection that it shares with others (DESIGN §4.2, adr/0012). */
import { defined } from "../base/assert.ts";
import { GfsError, hasCode } from "../base/errors.ts";
import { type Limits, protocol } from "../limits.ts";
import { CallFailure } from "../net/frame-calls.ts";
import type { VolumeAddress } from "../wire/control/common.ts";
import type { WrittenChunk } from "../wire/control/files.ts";
import { partCrcs } from "../wire/data/blocks.ts";
import type { Frame } from "../wire/data/frame.ts";
import { decodeWholeDone, encodeWhole, wholeCrc } from "../wire/data/whole.ts";
import type { ClientContext, Operation } from "./context.ts";
import { connectionError } from "./retry.ts";
import { ChainFailure, type ChunkWrite, type PieceRing, refusalOf } from "./write-chunk.ts";

/** The most that a chunk may have to travel in one frame: servers keep such chunks whole in memory until they are in their logs anyway. */
export function wholeBytesMax(limits: Limits): number {
  return Math.min(limits.smallChunkBytesMax, protocol.dataFrameBytesMax);
}

/** @throws ChainFailure; whatever the source throws; GfsError("Interrupted") */
export async function writeWhole(
  ctx: ClientContext,
  op: Operation,
  { placement, origin, source, onSent }: ChunkWrite,
  ring: PieceRing,
): Promise<WrittenChunk> {
  const { handle, version, chain } = placement;
  const head = defined(chain[0], "head of a chain");
  const { bytes: length } = source;
  const piece = await source.read(ring.at(0, length), 0);
  const crcs = partCrcs(0, [piece]);
  const crc = wholeCrc(crcs, length);
  const { connectMs, putStallMs } = ctx.limits;
  const call = ctx.calls.call(head.data, {
    type: "writeWhole",
    header: encodeWhole({ handle, version, crc, origin, chain }, crcs),
    payload: [piece],
    connectMs: op.within(connectMs),
    silentMs: op.within(putStallMs),
    // Each server gives the ones after it a little less: so a head that lives has the time to say which of them is stuck.
    answerMs: op.within(putStallMs * (1 + chain.length / 8)),
  });
  const frame = await op.unlessAborted(call).catch((thrown: unknown) => {
    op.check();
    throw failureOfCall(head, thrown);
  });
  const done = doneOf(head, frame);
  if (done.length !== length || done.crc !== crc || done.volumes !== chain.length) {
    const why = `Cannot write chunk ${handle}: ${head.data} closed other bytes than were sent`;
    throw new ChainFailure(head.volume, new GfsError("Corrupt", why));
  }
  onSent(length);
  op.progress();
  return { handle, version, length, crc, volumes: chain.map(({ volume }) => volume) };
}

function doneOf(head: VolumeAddress, frame: Frame): ReturnType<typeof decodeWholeDone> {
  if (frame.type === "error") throw refusalOf(head, frame);
  try {
    return decodeWholeDone(frame);
  } catch (thrown) {
    throw new ChainFailure(head.volume, connectionError("write a chunk", head.data, thrown));
  }
}

function failureOfCall(head: VolumeAddress, thrown: unknown): unknown {
  if (!(thrown instanceof CallFailure)) return thrown;
  if (hasCode(thrown.reason, "Denied", "VersionUnsupported")) return thrown.reason;
  const error = connectionError("write a chunk", head.data, thrown.reason);
  return new ChainFailure(thrown.stale ? undefined : head.volume, error);
}
