/** Copies of the master's metadata: a backup to a client, copies on volumes, and what is read back of them (DESIGN §4.1). */
import { z } from "zod";
import { ClusterId, Epoch, VolumeId } from "../ids.ts";
import { Crc, message, Nothing, Uint32, Uint53 } from "./common.ts";

/** A file of the master's directory: a checkpoint by the entry it has, or a segment of the operation log by its first. */
export const MetadataFile = z.object({ kind: z.enum(["checkpoint", "segment"]), position: Uint53 });
export type MetadataFile = z.infer<typeof MetadataFile>;

/** Bytes of one piece: far below what a control message may have. */
export const metadataPieceBytesMax = 1_048_576;
const Piece = z.instanceof(Uint8Array).refine((bytes) => bytes.length <= metadataPieceBytesMax);

/**
 * A backup of what is durable now: the newest checkpoint (0: none yet) and the log after it up to entry `until`. `bytes`: about how many will come. It is given up when nobody
 * asked for `backupIdleMs`. @throws Busy with too many under way
 */
export const backupBegin = message(
  "backup-begin",
  Nothing,
  z.object({
    backup: z.string().max(32),
    clusterId: ClusterId,
    epoch: Epoch,
    checkpoint: Uint53,
    until: Uint53,
    /** Of the wall clock: when `until` was the end of the log. */
    wallMs: z.number(),
    bytes: Uint53,
  }),
);

/** Pieces in order from 0; the last one may be asked for again. The answer after the last piece has none. @throws NotFound for a backup that is not under way */
export const backupPiece = message(
  "backup-piece",
  z.object({ backup: z.string().max(32), piece: Uint32 }),
  z.object({ piece: z.object({ file: MetadataFile, offset: Uint53, bytes: Piece }).optional() }),
);

/** What the master knows is not needed: the last piece was got, or the caller gives up. */
export const backupEnd = message("backup-end", z.object({ backup: z.string().max(32) }), Nothing);

const Command = z.object({ clusterId: ClusterId, epoch: Epoch, volume: VolumeId });
/** `before`: the copy of a log that a confirmed master does not know, kept until the present one is whole. */
const CopySet = z.enum(["metadata", "metadata-before"]);

export const HeldFile = MetadataFile.extend({
  /** Of a segment: those that are whole. */
  bytes: Uint53,
  /** Of these bytes. */
  crc: Crc,
  /** Of a segment: its id, and the last entry that is whole. */
  segmentId: z.string().max(32).optional(),
  last: Uint53.optional(),
});
export type HeldFile = z.infer<typeof HeldFile>;

/** What a volume has of the master's metadata, each file checked from end to end; what is damaged is left out. For the master, and for a restore. */
export const metadataHeld = message(
  "metadata-held",
  Nothing,
  z.object({
    clusterId: ClusterId.optional(),
    /** The newest start of the master that the volume obeyed. */
    epoch: Epoch.optional(),
    sets: z.array(z.object({ set: CopySet, files: z.array(HeldFile).max(4_096) })).max(2),
  }),
);

/** Bytes of a file of a copy. @throws NotFound */
export const metadataRead = message(
  "metadata-read",
  z.object({ set: CopySet, file: MetadataFile, offset: Uint53, bytes: Uint32 }),
  z.object({ bytes: Piece }),
);

/** `last`: of a segment, the last entry that is whole with these bytes. Writes on a file of the copy, which is cut at `offset` before: durable when answered. A checkpoint counts only once it is finished. @throws NoSpace | DiskFailed | RangeInvalid (a hole) */
export const metadataWrite = message(
  "metadata-write",
  Command.extend({ file: MetadataFile, offset: Uint53, bytes: Piece, last: Uint53.optional() }),
  Nothing,
);

/** The checkpoint is all there: checked against `crc`, durable under its name; older ones, and segments that it makes superfluous, go. @throws Corrupt | DiskFailed */
export const metadataFinish = message(
  "metadata-finish",
  Command.extend({ position: Uint53, bytes: Uint53, crc: Crc }),
  Nothing,
);

/** The copy is not wanted: `aside` until another is whole here, or `gone` for good. */
export const metadataDrop = message("metadata-drop", Command.extend({ to: z.enum(["aside", "gone"]) }), Nothing);
