/** Chunkserver → master: who it is, that it lives, what it holds (DESIGN §4.5). */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle, ChunkVersion, ClusterId, Epoch, VolumeId } from "../ids.ts";
import { HostPort, Label, message, Nothing, Uint32, Uint53, Whereabouts } from "./common.ts";
import { ScrubReport, ScrubTerms } from "./scrub.ts";

/**
 * `freeBytes`: what chunks may still take here; the server's own reserve and space limit are off already. `newBytes`: the part of it that is for new chunks and appends; the rest is
 * kept for clones. `disk`: the file system that it lies on, less the reserve: several volumes
 * may share one.
 */
export const VolumeSpace = z.object({
  totalBytes: Uint53,
  freeBytes: Uint53,
  usedBytes: Uint53,
  newBytes: Uint53.optional(),
  disk: z.object({ fileSystem: z.string().min(1).max(64), totalBytes: Uint53, freeBytes: Uint53 }).optional(),
});
export type VolumeSpace = z.infer<typeof VolumeSpace>;

/**
 * At start and whenever a heartbeat is answered with `known: false`. `incarnation`: random, new at each start of the process. A volume without a cluster
 * adopts the master's. `highestHandle` above the master's allocation mark, or a copy
 * of its log that reaches further than it, proves that the master is behind.
 * @throws WrongCluster, Denied (the volume id is in use by a live server elsewhere), EpochStale
 */
export const register = message(
  "register",
  Whereabouts.extend({
    clusterId: ClusterId.optional(),
    volume: VolumeId,
    incarnation: z.string().max(32),
    label: Label,
    control: HostPort,
    data: HostPort,
    space: VolumeSpace,
    highestHandle: Uint53,
    epoch: Epoch.optional(),
    version: z.string().max(64),
    /** Of the master's metadata that it keeps a copy of: the entry that its checkpoint has, and the last one of the log. */
    metadata: z.object({ checkpoint: Uint53, last: Uint53 }).optional(),
  }),
  z.object({
    clusterId: ClusterId,
    epoch: Epoch,
    heartbeatMs: z.number().positive(),
    leaseMs: z.number().positive(),
    reportIntervalMs: z.number().positive(),
    factMark: Uint53.optional(),
  }),
);

/** An open chunk as its member sees it. `stopped`: it takes no more appends, and why; repeated until fenced. */
export const OpenReplica = z.object({
  handle: ChunkHandle,
  version: ChunkVersion,
  role: z.enum(["primary", "secondary", "lost"]),
  committed: Uint32,
  prepared: Uint32,
  stopped: z.string().max(256).optional(),
});
export type OpenReplica = z.infer<typeof OpenReplica>;

/** Mean of the last few heartbeats, in milliseconds, and of how many operations; later ones count more. */
const OperationTime = z.object({ ms: z.number().min(0).max(1e12), count: Uint32 });

/** `sync`: of a file, or a write that is durable at once. `read`: of a file. */
export const OperationTimes = z.object({ sync: OperationTime.optional(), read: OperationTime.optional() });
export type OperationTimes = z.infer<typeof OperationTimes>;

export const heartbeat = message(
  "heartbeat",
  z.object({
    volume: VolumeId,
    incarnation: z.string().max(32),
    space: VolumeSpace,
    streams: Uint32,
    open: z.array(OpenReplica).max(16_384),
    /** Replicas found corrupt or gone since the last heartbeat that was answered. */
    bad: z
      .array(z.object({ handle: ChunkHandle, version: ChunkVersion, reason: z.enum(["corrupt", "missing"]) }))
      .max(16_384),
    retired: z.string().max(1_024).optional(),
    scrub: ScrubReport.optional(),
    times: OperationTimes.optional(),
  }),
  z.object({
    known: z.boolean(),
    epoch: Epoch,
    /** Open chunks of which this volume is primary, whose lease holds for `leaseMs` more from when the heartbeat was *sent*. */
    leases: z.array(ChunkHandle).max(16_384),
    /** The master wants a full report now. */
    report: z.boolean(),
    /** Goes into the next reports, unchanged: `report`. */
    factMark: Uint53.optional(),
    scrub: ScrubTerms.optional(),
  }),
);

/** Size of one replica's entry in a report page, in bytes; layout in docs/PROTOCOL.md and `wire/report.ts`. */
export const reportEntryBytes = 28;

/**
 * A page of the list of all replicas of a volume. `report` grows with each full report of this incarnation; pages from 0. What a report lacks was not
 * there when page 0 was sent. `factMark`: the last one that the volume had from a registration or heartbeat answer when it began to gather the report (the same on
 * all pages): what the master learned of a chunk after that mark, the report can't undo.
 */
export const report = message(
  "report",
  z.object({
    volume: VolumeId,
    incarnation: z.string().max(32),
    report: Uint32,
    page: Uint32,
    last: z.boolean(),
    factMark: Uint53.optional(),
    entries: z
      .instanceof(Uint8Array)
      .refine((bytes) => bytes.length <= protocol.reportPageBytesMax && bytes.length % reportEntryBytes === 0),
  }),
  Nothing,
);

export const ReplicaState = z.enum(["writing", "open", "fenced", "sealed", "corrupt"]);
export type ReplicaState = z.infer<typeof ReplicaState>;

export const ReplicaReport = z.object({
  handle: ChunkHandle,
  promisedVersion: ChunkVersion,
  dataVersion: ChunkVersion,
  length: Uint32,
  crc: Uint32,
  state: ReplicaState,
});
export type ReplicaReport = z.infer<typeof ReplicaReport>;
