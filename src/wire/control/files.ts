/** Client → master: sessions, and everything that changes or finds a file's content (DESIGN §4.1–4.4). */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle, ChunkVersion, ClusterId, DraftId, Generation, InodeId, SessionId, VolumeId } from "../ids.ts";
import { Replicas } from "./attributes.ts";
import {
  Chain,
  Crc,
  Label,
  message,
  MutationId,
  Nothing,
  PathText,
  Placement,
  ReplicaAddress,
  Uint32,
  Uint53,
  Whereabouts,
} from "./common.ts";

const ChunkBytes = z.int().min(protocol.chunkBytesMin).max(protocol.chunkBytesMax);

/** With a key, the same key gets the same session again; its sequences go on. */
export const sessionOpen = message(
  "session-open",
  z.object({ key: z.string().min(1).max(protocol.keyBytesMax).optional(), label: Label }),
  z.object({ session: SessionId }),
);
export const sessionClose = message("session-close", z.object({ session: SessionId }), Nothing);

/** Every `clientHeartbeatMs` while the client runs: extends its sessions and drafts. */
export const clientHeartbeat = message(
  "client-heartbeat",
  Whereabouts.extend({
    client: z.string().max(64),
    label: Label,
    sessions: z.array(SessionId).max(1_024),
    drafts: z.array(DraftId).max(4_096),
  }),
  z.object({ clusterId: ClusterId, endedDrafts: z.array(DraftId).max(4_096) }),
);

/** What a client must know to plan a put or an append. */
export const clusterInfo = message(
  "cluster-info",
  Nothing,
  z.object({
    clusterId: ClusterId,
    chunkBytes: ChunkBytes,
    replicas: Replicas,
    minReplicas: Replicas,
    clientHeartbeatMs: z.number(),
    draftMs: z.number(),
    insecure: z.boolean(),
  }),
);

/**
 * An empty file in one call. `new`: must not exist. `replace`: takes the place of a file that may exist. `open`: an existing file is fine and stays as it is.
 * Makes parent directories. `created` is false where `open` found one.
 */
export const createFile = message(
  "create-file",
  z.object({
    id: MutationId,
    path: PathText,
    mode: z.enum(["new", "replace", "open"]),
    replicas: Replicas.optional(),
    ifGeneration: Generation.optional(),
  }),
  z.object({ inode: InodeId, generation: Generation, replicas: Replicas, created: z.boolean() }),
);

/**
 * Begins a put (`put`: the draft becomes the file at `path`, with parents made at commit) or a large append (`append`: the draft's chunks are spliced to the end of
 * `inode`). `append-path` is one of the two, by what is at the path now: with `inode` in the answer an append to it, without one the put of a file that is missing and may be made
 * (`create`). `sizeBytes` lets the master refuse early for space. With `firstChunkBytes` the answer holds a first placement.
 */
export const draftCreate = message(
  "draft-create",
  Whereabouts.extend({
    id: MutationId,
    target: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("put"), path: PathText, overwrite: z.boolean(), ifGeneration: Generation.optional() }),
      z.object({ kind: z.literal("append"), inode: InodeId }),
      z.object({ kind: z.literal("append-path"), path: PathText, create: z.boolean() }),
    ]),
    replicas: Replicas.optional(),
    chunkBytes: ChunkBytes.optional(),
    sizeBytes: Uint53.optional(),
    /** CRC-32 of what will be written: a draft that claims an append under a key is refused to other content (IdReused). */
    contentCrc: Crc.optional(),
    firstChunkBytes: Uint53.optional(),
  }),
  z.object({
    draft: DraftId,
    replicas: Replicas,
    minReplicas: Replicas,
    chunkBytes: ChunkBytes,
    /** Of an append. */
    inode: InodeId.optional(),
    placement: Placement.optional(),
  }),
);

/** One more chunk of a draft, of at most `bytes`; not on the excluded volumes if it can be helped. Repeating it only wastes a handle. */
export const chunkAllocate = message(
  "chunk-allocate",
  Whereabouts.extend({ draft: DraftId, bytes: Uint53, excluded: z.array(VolumeId).max(256) }),
  z.object({ placement: Placement }),
);

/** A chunk that was streamed, closed and acknowledged by `volumes`. */
export const WrittenChunk = z.object({
  handle: ChunkHandle,
  version: ChunkVersion,
  length: Uint32.min(1),
  crc: Crc,
  volumes: z.array(VolumeId).min(1).max(protocol.replicasMax),
});
export type WrittenChunk = z.infer<typeof WrittenChunk>;

/**
 * Names chunks before the commit, where they are too many for one message: `chunks` stand in the list `first`, which is named by its own first chunk, from place `from` on.
 * Repeating it changes nothing.
 * @throws DraftEnded
 */
export const draftWritten = message(
  "draft-written",
  z.object({
    draft: DraftId,
    first: ChunkHandle,
    from: Uint32.max(protocol.commitChunksMax),
    chunks: z.array(WrittenChunk).min(1).max(protocol.writtenChunksMax),
  }),
  Nothing,
);

/**
 * Publishes a draft in one log record: the chunks of the list `first`, then `chunks`. `ifExists`: a put that may take no file's place is spliced to the end of the one that was made at its path meanwhile. `fileOffset` is where its first byte lies (0 for a put). `shortChunks` counts chunks with fewer members than asked for.
 * @throws ChunkLost, DraftEnded, Exists, GenerationMismatch, InodeChanged
 */
export const draftCommit = message(
  "draft-commit",
  z.object({
    id: MutationId,
    draft: DraftId,
    first: ChunkHandle.optional(),
    chunks: z.array(WrittenChunk).max(protocol.writtenChunksMax),
    ifExists: z.literal("append").optional(),
  }),
  z.object({
    inode: InodeId,
    generation: Generation,
    fileOffset: Uint53,
    bytes: Uint53,
    shortChunks: Uint32,
    replicas: Replicas,
  }),
);
export const draftAbort = message("draft-abort", z.object({ draft: DraftId }), Nothing);

/**
 * The open tail of a file for a record append; opened first where there is none. `failed` tells what the client saw of an earlier answer: the
 * master then seals that chunk and opens another.
 * @throws NotFound (no such inode any more), TooFewServers, Busy (a seal is under way: come back), SessionExpired
 */
export const appendTail = message(
  "append-tail",
  Whereabouts.extend({
    inode: InodeId,
    recordBytes: Uint32,
    /** Whose records these are: an ended one gets SessionExpired, for no tail knows any more what it has appended. */
    session: SessionId.optional(),
    failed: z.object({ handle: ChunkHandle, version: ChunkVersion, reason: z.string().max(64) }).optional(),
  }),
  z.object({
    inode: InodeId,
    generation: Generation,
    handle: ChunkHandle,
    version: ChunkVersion,
    chain: Chain,
    fileOffset: Uint53,
  }),
);

/** A piece of a file: bytes `offset`.. of a chunk lie at `fileOffset`. An open one may have grown past `length` (its primary knows). */
export const LocatedExtent = z.object({
  fileOffset: Uint53,
  handle: ChunkHandle,
  version: ChunkVersion,
  offset: Uint32,
  length: Uint32,
  state: z.enum(["sealed", "open", "sealing"]),
  /** Nearest first; for an open chunk the primary first. Empty: none is known (the answer's `pending` says whether reports are awaited). */
  replicas: z.array(ReplicaAddress).max(protocol.replicasMax),
  /** Of a sealed chunk whose bytes can't come back by themselves: what became of its replicas. */
  lost: z.string().max(512).optional(),
});
export type LocatedExtent = z.infer<typeof LocatedExtent>;

/**
 * Extents that overlap [offset, offset + length), in order, at most `locateExtentsMax`; `more` tells that others follow.
 * An open tail is always included when the range reaches the end of what is sealed.
 */
export const locate = message(
  "locate",
  Whereabouts.extend({
    target: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("path"), path: PathText }),
      z.object({ kind: z.literal("inode"), inode: InodeId }),
    ]),
    offset: Uint53,
    length: Uint53,
  }),
  z.object({
    inode: InodeId,
    generation: Generation,
    sealedBytes: Uint53,
    extents: z.array(LocatedExtent).max(protocol.locateExtentsMax),
    more: z.boolean(),
    reportsPending: z.boolean(),
  }),
);

/** The master asks the primary of the inode's open tail (and seals it if that fails too): the file's exact length. */
export const fileLength = message(
  "file-length",
  z.object({ inode: InodeId }),
  z.object({ bytes: Uint53, generation: Generation }),
);

/** A reader found a replica bad or missing; the master has the volume check it. */
export const replicaSuspect = message(
  "replica-suspect",
  z.object({
    handle: ChunkHandle,
    version: ChunkVersion,
    volume: VolumeId,
    reason: z.enum(["corrupt", "missing", "stale"]),
  }),
  Nothing,
);
