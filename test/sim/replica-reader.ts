import { concatBytes } from "../../src/base/bytes.ts";
import { GfsError, isErrorCode } from "../../src/base/errors.ts";
import type { FramePool } from "../../src/net/frame-pool.ts";
import type { ReplicaAddress } from "../../src/wire/control/common.ts";
import { decodeBlocks } from "../../src/wire/data/blocks.ts";
import { decodeHeader, encodeHeader, ErrorHeader, Read, ReadEnd } from "../../src/wire/data/headers.ts";
import type { ChunkHandle, ChunkVersion } from "../../src/wire/ids.ts";

export interface ReplicaToRead {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly replica: ReplicaAddress;
  /** What the primary of an open chunk has committed, where it was asked before. */
  readonly committed: number | undefined;
}

const timeoutMs = 2_000;
const wholeChunk = 0xffff_ffff;

/** All that one replica would give a reader of a chunk: past the library's choice among replicas. @throws GfsError */
export async function readReplica(
  pool: FramePool,
  { handle, version, replica, committed }: ReplicaToRead,
): Promise<Uint8Array> {
  const frames = await pool.take(replica.data, timeoutMs);
  try {
    const header = encodeHeader(Read, {
      volume: replica.volume,
      handle,
      version,
      offset: 0,
      length: wholeChunk,
      purpose: "read",
      ...(committed === undefined ? {} : { committed }),
    });
    frames.send("read", 1, header);
    const pieces: Uint8Array[] = [];
    for (;;) {
      const frame = await frames.read();
      if (frame === null)
        throw new GfsError("Unavailable", `Cannot read chunk ${handle} at ${replica.label}: it closed`);
      if (frame.type === "readData") pieces.push(...decodeBlocks(frame).payload);
      if (frame.type === "error") {
        const { code, message } = decodeHeader(ErrorHeader, frame.header);
        throw new GfsError(isErrorCode(code) ? code : "ProtocolError", message);
      }
      if (frame.type !== "readEnd") continue;
      decodeHeader(ReadEnd, frame.header);
      return concatBytes(pieces);
    }
  } finally {
    frames.close();
  }
}
