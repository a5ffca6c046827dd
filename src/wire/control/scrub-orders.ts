/** What operators order to be read and checked now (DESIGN §4.5): `gfs scrub`, `gfs fsck --verify`. */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle, ChunkVersion, ClusterId, Epoch, VolumeId } from "../ids.ts";
import { Label, message, Nothing, PathText, Uint53 } from "./common.ts";

const itemsMax = 64;

/** gone: its file is not there. missing: it is not here at this version. unsettled: its finish is yet to come, or the time was over before it was read. */
export const VerifyResult = z.enum(["healthy", "corrupt", "gone", "missing", "unsettled"]);
export type VerifyResult = z.infer<typeof VerifyResult>;

/**
 * Master → chunkserver: read all blocks of these replicas and compare, one after the other, within `withinMs`. What is bad was told in a heartbeat before the answer, if that
 * was answered in time, and is told in the next ones else.
 */
export const verifyReplicas = message(
  "verify-replicas",
  z.object({
    clusterId: ClusterId,
    epoch: Epoch,
    volume: VolumeId,
    items: z.array(z.object({ handle: ChunkHandle, version: ChunkVersion })).max(itemsMax),
    withinMs: z.number().positive(),
  }),
  z.object({ results: z.array(VerifyResult).max(itemsMax) }),
);

/** What is to be read: all replicas of the files under a path, or all that a server has, by its label, volume id (or its beginning) or address. */
export const ScrubTarget = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("path"), path: PathText }),
  z.object({ kind: z.literal("server"), server: z.string().min(1).max(262) }),
]);
export type ScrubTarget = z.infer<typeof ScrubTarget>;

export const findingsMax = 256;
const ordersMax = 32;

/** A replica that was found bad, or could not be read. `state` of a bad one: repairing, repaired (its chunk has all its replicas again, or is gone), lost (no good one is left). */
export const ScrubFinding = z.object({
  kind: z.enum(["corrupt", "missing", "unverified"]),
  handle: ChunkHandle,
  volume: VolumeId,
  label: Label,
  path: z.string().max(protocol.pathBytesMax + 64),
  state: z.enum(["repairing", "repaired", "lost", "unverified"]),
  why: z.string().max(512),
});
export type ScrubFinding = z.infer<typeof ScrubFinding>;

/**
 * One order. Replicas are counted once each: `healthy`, `corrupt`, `missing`, or `unverified` (its server is dead, or did not answer). `totalBytes` and `totalReplicas` are known
 * once the order has begun, and may be off by what comes and goes meanwhile. Of what was found the first are named; `repairing` of those are not whole yet.
 */
export const ScrubOrder = z.object({
  id: z.string().max(32),
  target: z.string().max(protocol.pathBytesMax),
  state: z.enum(["reading", "done", "stopped"]),
  beganMs: z.number(),
  tookMs: z.number().min(0),
  files: Uint53,
  chunks: Uint53,
  totalReplicas: Uint53,
  totalBytes: Uint53,
  healthy: Uint53,
  corrupt: Uint53,
  missing: Uint53,
  unverified: Uint53,
  bytes: Uint53,
  repairing: Uint53,
  lost: Uint53,
  findings: z.array(ScrubFinding).max(findingsMax),
});
export type ScrubOrder = z.infer<typeof ScrubOrder>;

/** Client → master: read these now. The same target again, while it is being read, gives the same order. @throws NotFound (no such path or server), Usage (a name of several servers), Busy (too many at a time) */
export const scrubStart = message(
  "scrub-start",
  z.object({ target: ScrubTarget }),
  z.object({ id: z.string().max(32) }),
);

/** One order, or all that are remembered, the newest last; they are gone with the master's process. @throws NotFound */
export const scrubOrders = message(
  "scrub-orders",
  z.object({ id: z.string().max(32).optional() }),
  z.object({ orders: z.array(ScrubOrder).max(ordersMax) }),
);

/** No more is read for it. @throws NotFound */
export const scrubStop = message("scrub-stop", z.object({ id: z.string().max(32) }), Nothing);
