/**
 * Records of the master's operation log (DESIGN §4.1): every durable fact changes by one of these, applied by the same code live and at replay. Kinds are for
 * ever: a new one is used only after a feature level that says so. Volumes are named by the small index that `volumeAdded` gave them.
 */
import { z } from "zod";
import { protocol } from "../limits.ts";
import { Attributes, Replicas } from "./control/attributes.ts";
import { AppendTable, Crc, Label, NameText, Uint32, Uint53 } from "./control/common.ts";
import {
  ChunkHandle,
  ChunkVersion,
  ClusterId,
  DraftId,
  Epoch,
  Generation,
  InodeId,
  Sequence,
  SessionId,
  VolumeId,
} from "./ids.ts";

const kind = <Kind extends string>(name: Kind) => z.literal(name);
const VolumeIndex = z.int().min(0).max(65_534);
/** In the order of their codes in a checkpoint. */
export const VolumeMark = z.enum(["none", "draining", "forgotten"]);
export type VolumeMark = z.infer<typeof VolumeMark>;
const Members = z.array(VolumeIndex).max(protocol.replicasMax);
const Path = z.string().max(protocol.pathBytesMax);

export const PublishedChunk = z.object({
  handle: ChunkHandle,
  version: ChunkVersion,
  length: Uint32,
  crc: Crc,
  members: Members,
});
export type PublishedChunk = z.infer<typeof PublishedChunk>;

export const LogRecord = z.discriminatedUnion("kind", [
  z.object({ kind: kind("cluster-created"), clusterId: ClusterId }),
  z.object({ kind: kind("feature-level"), level: Uint32 }),
  z.object({ kind: kind("epoch-begun"), epoch: Epoch, wallMs: z.number() }),
  z.object({
    kind: kind("data-directories"),
    directories: z.array(z.string().max(4_096)).min(1).max(protocol.dataDirectoriesMax),
  }),
  /** Handles up to and including `upTo` may have been given out: the allocation mark. */
  z.object({ kind: kind("handles-reserved"), upTo: Uint53 }),
  z.object({ kind: kind("volume-added"), index: VolumeIndex, volume: VolumeId, label: Label }),
  /** An operator accepted that volumes know handles or epochs above ours, or that many replicas will be deleted. */
  z.object({ kind: kind("confirmed"), what: z.array(z.string().max(1_024)).max(16) }),

  z.object({
    kind: kind("session-opened"),
    session: SessionId,
    key: z.string().max(protocol.keyBytesMax).optional(),
    label: Label,
  }),
  z.object({ kind: kind("session-closed"), session: SessionId }),

  z.object({
    kind: kind("inode-created"),
    inode: InodeId,
    parent: InodeId,
    name: NameText,
    type: z.enum(["file", "directory"]),
    replicas: Uint32,
    generation: Generation,
    modifiedMs: z.number(),
  }),
  /** `generation`: where a file takes the place of another, whose generation its own must exceed. */
  z.object({
    kind: kind("inode-moved"),
    inode: InodeId,
    parent: InodeId,
    name: NameText,
    modifiedMs: z.number(),
    generation: Generation.optional(),
  }),
  /** Out of the tree, into the trash; `path` is where it was. */
  z.object({ kind: kind("inode-trashed"), inode: InodeId, path: Path, removedMs: z.number(), expiresMs: z.number() }),
  z.object({ kind: kind("inode-restored"), inode: InodeId, parent: InodeId, name: NameText }),
  /** Out of the tree or the trash for good; the subtree is reaped later, in slices. */
  z.object({ kind: kind("inode-detached"), inode: InodeId }),
  /** Detached inodes without children end; their extents let go of their chunks. */
  z.object({ kind: kind("inodes-reaped"), inodes: z.array(InodeId).max(65_536) }),

  z.object({
    kind: kind("draft-created"),
    draft: DraftId,
    session: SessionId,
    target: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("put"), path: Path, overwrite: z.boolean(), ifGeneration: Generation.optional() }),
      z.object({ kind: z.literal("append"), inode: InodeId }),
    ]),
    replicas: Uint32,
    chunkBytes: Uint32,
  }),
  z.object({
    kind: kind("draft-chunk-added"),
    draft: DraftId,
    handle: ChunkHandle,
    version: ChunkVersion,
    members: Members,
  }),
  /** Its chunks that were not published are garbage from here on. */
  z.object({ kind: kind("draft-ended"), draft: DraftId, reason: z.enum(["committed", "aborted", "expired"]) }),
  /** A put becomes visible: the chunks of the draft's list `first`, then these. `inode` was made before, in the same batch, and so was the old content trashed or detached. */
  z.object({
    kind: kind("file-published"),
    draft: DraftId,
    inode: InodeId,
    first: ChunkHandle.optional(),
    chunks: z.array(PublishedChunk).max(protocol.commitChunksMax),
    modifiedMs: z.number(),
  }),
  /** Whole sealed chunks at the end of a file: one large append. */
  z.object({
    kind: kind("file-spliced"),
    draft: DraftId,
    inode: InodeId,
    first: ChunkHandle.optional(),
    chunks: z.array(PublishedChunk).max(protocol.commitChunksMax),
    modifiedMs: z.number(),
  }),

  z.object({ kind: kind("tail-opened"), inode: InodeId, handle: ChunkHandle, version: ChunkVersion, members: Members }),
  /** `version` is the fence's: one more than the chunk had. */
  z.object({ kind: kind("seal-begun"), handle: ChunkHandle, version: ChunkVersion }),
  /** Length 0: the chunk held nothing and its extent is dropped. The append table goes to the inode. */
  z.object({
    kind: kind("chunk-sealed"),
    handle: ChunkHandle,
    version: ChunkVersion,
    length: Uint32,
    crc: Crc,
    members: Members,
    appendTable: AppendTable,
    modifiedMs: z.number(),
  }),
  /** Chunks of a draft go to the end of its list `first`, as they will be published. */
  z.object({
    kind: kind("draft-written"),
    draft: DraftId,
    first: ChunkHandle,
    chunks: z.array(PublishedChunk).max(protocol.writtenChunksMax),
  }),
  /** An operator set it; without a value it is as configured again (master/core/runtime-settings.ts). */
  z.object({ kind: kind("setting-changed"), name: z.string().max(64), value: z.number().optional() }),
  /** Handles up to and including `upTo` that this log does not know were given out by one that is lost; an operator accepted that their replicas are garbage. */
  z.object({ kind: kind("lost-handles-accepted"), upTo: Uint53 }),
  /** draining: it is to be emptied. forgotten: for good; its index and id are never given again. */
  z.object({ kind: kind("volume-marked"), index: VolumeIndex, mark: VolumeMark }),
  /** The directory was rebuilt from a copy that ends at entry `position`: nothing is changed or deleted before a `confirmed`. */
  z.object({ kind: kind("master-restored"), position: Uint53, source: z.string().max(1_024) }),
  /** All attributes that a directory has from now on. */
  z.object({ kind: kind("attributes-set"), inode: InodeId, ...Attributes.shape }),
  /** A file wants so many replicas, and so do the chunks of its extents from `from` up to, and without, `to`. */
  z.object({ kind: kind("goal-set"), inode: InodeId, replicas: Replicas, from: Uint32, to: Uint32 }),
  /** A log that is lost gave numbers of inodes: of their slots these are the next ones, and of all they are, in this order, given first. */
  z.object({ kind: kind("inodes-reserved"), inodes: z.array(InodeId).max(65_536) }),
]);
export type LogRecord = z.infer<typeof LogRecord>;

/** What one decision writes, all or nothing. `clusterMs`: cluster time, never going back. With `mutation`, a retry of it gets `reply` (CBOR). */
export const LogBatch = z.object({
  clusterMs: z.number(),
  mutation: z
    .object({
      session: SessionId,
      sequence: Sequence,
      floor: Sequence,
      message: z.string().max(64),
      reply: z.instanceof(Uint8Array),
      /** Fingerprint of the request: the same id with another one is refused as IdReused. */
      print: Uint32.optional(),
    })
    .optional(),
  records: z.array(LogRecord).max(65_536),
});
export type LogBatch = z.infer<typeof LogBatch>;
