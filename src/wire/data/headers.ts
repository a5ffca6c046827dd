/** Headers of the frames that are sent once an operation, in CBOR. The frequent ones are in `blocks.ts` and `records.ts`. */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { Chain, Crc, Uint32, AppendAnswer } from "../control/common.ts";
import { Origin } from "../control/commands.ts";
import { Role } from "../control/handshake.ts";
import { encodeCbor } from "../cbor.ts";
import { parseCbor } from "../message-reader.ts";
import { ChunkHandle, ChunkVersion, ClusterId, InodeId, SessionId, VolumeId } from "../ids.ts";
import { GfsError } from "../../base/errors.ts";

const Nonce = z.instanceof(Uint8Array).refine((nonce) => nonce.length === 32);
const Mac = z.instanceof(Uint8Array).refine((mac) => mac.length === 32);

/** Caller's first frame. `volume`: whom the caller means to reach; another volume at that address answers ReplicaMissing. */
export const Hello = z.object({
  versionMin: Uint32,
  versionMax: Uint32,
  role: Role,
  clusterId: ClusterId.optional(),
  nonce: Nonce,
});
/** `mac` where a secret is set: the server's proof. */
export const HelloReply = z.object({
  version: Uint32,
  clusterId: ClusterId,
  volume: VolumeId,
  nonce: Nonce,
  mac: Mac.optional(),
});
/** The caller's proof, over both nonces. */
export const Authenticate = z.object({ mac: Mac });

/** Ends the stream (stream 0: the connection). */
export const ErrorHeader = z.object({
  code: z.string().max(64),
  message: z.string().max(4_096),
  volume: VolumeId.optional(),
  retryAfterMs: z.number().optional(),
});

/**
 * Client → head of the chain → next … : make a replica of a new chunk. `chain` begins with the receiver. `bytes`: length if it is known (lets a server refuse
 * early and choose where to keep it). Then writeData frames in order, then writeEnd; answered by writeDone or error.
 */
export const WriteOpen = z.object({
  handle: ChunkHandle,
  version: ChunkVersion,
  chain: Chain,
  bytes: Uint32.optional(),
  chunkBytes: Uint32,
  origin: Origin,
});
export const WriteEnd = z.object({ length: Uint32, crc: Crc });
/** All volumes from the sender on down the chain that synced and closed the chunk at this length and CRC. */
export const WriteDone = z.object({
  length: Uint32,
  crc: Crc,
  volumes: z.array(VolumeId).min(1).max(protocol.replicasMax),
});

/**
 * Read [offset, offset + length) of a replica at exactly `version` (for `fence`d reads: of a replica fenced at that version).
 * `committed`: a committed length that the caller got from the primary; a secondary serves up to it. purpose `read`: sealed or committed bytes; `tail`: prepared bytes of a
 * fenced replica, for seal; `clone`: a sealed replica. Answered by readData frames and readEnd, or error.
 */
export const Read = z.object({
  volume: VolumeId,
  handle: ChunkHandle,
  version: ChunkVersion,
  offset: Uint32,
  length: Uint32,
  purpose: z.enum(["read", "tail", "clone"]),
  committed: Uint32.optional(),
});
/** `bytes` were sent (less than asked for where the chunk ends before); `end`: the sealed, committed or prepared length of the replica; `open`: it may still grow. */
export const ReadEnd = z.object({ bytes: Uint32, end: Uint32, open: z.boolean() });

/** Client → primary. The next append frame's sequence must be the session's next of the answer's table entry, or one that it holds the answer to. */
export const AppendOpen = z.object({
  volume: VolumeId,
  handle: ChunkHandle,
  version: ChunkVersion,
  inode: InodeId,
  session: SessionId,
});
/** The last answers that the primary knows of this session and inode, oldest first. */
export const AppendOpened = z.object({ answers: z.array(AppendAnswer).max(protocol.appendWindow) });

/** Primary → next: this chunk's chain from the receiver on. */
export const ChainOpen = z.object({ handle: ChunkHandle, version: ChunkVersion, chain: Chain });

export function encodeHeader<Schema extends z.ZodType>(_schema: Schema, header: z.infer<Schema>): Uint8Array {
  return encodeCbor(header);
}

/** @throws GfsError("ProtocolError") naming the first field that is wrong. */
export function decodeHeader<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array): z.infer<Schema> {
  const parsed = parseCbor(schema, bytes);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new GfsError(
    "ProtocolError",
    `Cannot read a frame's header: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
  );
}
