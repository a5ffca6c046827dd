/**
 * Branded identities. They come only from parsing here, so that a version can't be passed where a handle is meant; this is the only
 * file with casts to them.
 */
import { z } from "zod";
import { assert } from "../base/assert.ts";

const uint53 = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const uint32 = z.int().min(0).max(0xffff_ffff);

/** Names a chunk; from 1, below 2^53, never reused. */
export const ChunkHandle = uint53.min(1).brand<"ChunkHandle">();
export type ChunkHandle = z.infer<typeof ChunkHandle>;

/** Raised whenever a chunk's writers change; from 1. 0 in a `dataVersion` means "no bytes of this chunk yet". */
export const ChunkVersion = uint32.brand<"ChunkVersion">();
export type ChunkVersion = z.infer<typeof ChunkVersion>;

/** Names a file's or directory's entry; never reused; 1 is the root directory. */
export const InodeId = uint53.min(1).brand<"InodeId">();
export type InodeId = z.infer<typeof InodeId>;

/** Raised by every change of a file's content but record append; from 1. */
export const Generation = uint32.brand<"Generation">();
export type Generation = z.infer<typeof Generation>;

/** A client's run of mutations, given by the master; never reused. */
export const SessionId = uint53.min(1).brand<"SessionId">();
export type SessionId = z.infer<typeof SessionId>;

/** Position of a mutation in its session, or of an append in its (session, inode); from 1. */
export const Sequence = uint53.min(1).brand<"Sequence">();
export type Sequence = z.infer<typeof Sequence>;

/** A file being put, not visible yet; never reused. */
export const DraftId = uint53.min(1).brand<"DraftId">();
export type DraftId = z.infer<typeof DraftId>;

/** 128 random bits of a chunkserver's directory, as 32 lower-case hex digits. */
export const VolumeId = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .brand<"VolumeId">();
export type VolumeId = z.infer<typeof VolumeId>;

/** 128 random bits shared by all of a cluster, as 32 lower-case hex digits. */
export const ClusterId = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .brand<"ClusterId">();
export type ClusterId = z.infer<typeof ClusterId>;

/** One start of the master: `number` grows, `startId` tells copies of one directory apart (16 hex digits). */
export const Epoch = z.object({ number: uint53, startId: z.string().regex(/^[0-9a-f]{16}$/) });
export type Epoch = z.infer<typeof Epoch>;

function whole(value: number, minimum: number, what: string): number {
  // The text is made only when it is needed: this runs for every entry of every scan.
  if (!(Number.isSafeInteger(value) && value >= minimum)) assert(false, `${what} out of range: ${value}`);
  return value;
}

// For values that gfs itself computed or keeps in arrays of numbers: cheap checks, an assertion failure when broken.
export const chunkHandle = (value: number): ChunkHandle => whole(value, 1, "chunk handle") as ChunkHandle;
export const chunkVersion = (value: number): ChunkVersion => whole(value, 0, "chunk version") as ChunkVersion;
export const inodeId = (value: number): InodeId => whole(value, 1, "inode") as InodeId;
export const generation = (value: number): Generation => whole(value, 0, "generation") as Generation;
export const sessionId = (value: number): SessionId => whole(value, 1, "session") as SessionId;
export const sequence = (value: number): Sequence => whole(value, 1, "sequence") as Sequence;
export const draftId = (value: number): DraftId => whole(value, 1, "draft") as DraftId;
export const volumeId = (hex: string): VolumeId => VolumeId.parse(hex);
/** Of 16 bytes: every such array is one. */
export const volumeIdOf = (bytes: Uint8Array): VolumeId => bytes.toHex() as VolumeId;
export const volumeIdBytes = (id: VolumeId): Uint8Array => Uint8Array.fromHex(id);
export const clusterId = (hex: string): ClusterId => ClusterId.parse(hex);

export const rootInode: InodeId = inodeId(1);
