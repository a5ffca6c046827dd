/** Client → master: the tree of paths, its trash, and the state of the cluster. */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle, ChunkVersion, ClusterId, Epoch, Generation, InodeId, VolumeId } from "../ids.ts";
import { Attributes, InheritedAttributes } from "./attributes.ts";
import {
  HostPort,
  Label,
  Location,
  message,
  MutationId,
  Nothing,
  PathText,
  ReplicaAddress,
  Uint32,
  Uint53,
  Whereabouts,
} from "./common.ts";
import { OperationTimes } from "./chunkservers.ts";
import { LocatedExtent } from "./files.ts";
import { ScrubReport } from "./scrub.ts";

/** `parents`: make missing parents, and no error where the directory exists. */
export const mkdir = message(
  "mkdir",
  z.object({ id: MutationId, path: PathText, parents: z.boolean() }),
  z.object({ inode: InodeId }),
);

/** Where `to` is a directory, `from` moves into it under its own name. `overwrite` lets a file take the place of a file. */
export const move = message(
  "move",
  z.object({ id: MutationId, from: PathText, to: PathText, overwrite: z.boolean() }),
  z.object({ path: PathText }),
);

/** To the trash, or for good with `skipTrash`. A directory that isn't empty wants `recursive`. */
export const remove = message(
  "remove",
  z.object({ id: MutationId, path: PathText, recursive: z.boolean(), skipTrash: z.boolean() }),
  z.object({ kind: z.enum(["file", "directory"]), trashed: z.boolean() }),
);

/** `bytes`: exact for a file without open tail; `open` tells that appends may have added more. */
export const Entry = z.object({
  name: z.string().max(protocol.nameBytesMax),
  inode: InodeId,
  kind: z.enum(["file", "directory"]),
  bytes: Uint53,
  replicas: Uint32,
  generation: Generation,
  modifiedMs: z.number(),
  open: z.boolean(),
  /** Of a directory that has any itself. */
  attributes: Attributes.optional(),
});
export type Entry = z.infer<typeof Entry>;

/** Entries in no particular order but each exactly once; `cursor` of one answer goes into the next request, absent at the end. */
export const list = message(
  "list",
  z.object({
    path: PathText,
    cursor: z.string().max(64).optional(),
    limit: z.int().min(1).max(protocol.listEntriesMax),
  }),
  z.object({
    kind: z.enum(["file", "directory"]),
    entries: z.array(Entry).max(protocol.listEntriesMax),
    cursor: z.string().max(64).optional(),
  }),
);

/** One path; for a file with up to `locateExtentsMax` extents, from the one on that holds byte `offset`. `wanted`: replicas of the extent's chunk. */
export const stat = message(
  "stat",
  Whereabouts.extend({ path: PathText, offset: Uint53.optional() }),
  z.object({
    entry: Entry,
    path: PathText,
    children: Uint53.optional(),
    /** Of a directory: what holds for what is made or removed below it. */
    inherited: InheritedAttributes.optional(),
    extentCount: Uint32,
    extents: z
      .array(
        LocatedExtent.omit({ lost: true }).extend({
          wanted: Uint32,
          replicas: z
            .array(ReplicaAddress.extend({ health: z.enum(["healthy", "stale", "corrupt", "unreported", "dead"]) }))
            .max(64),
        }),
      )
      .max(protocol.locateExtentsMax),
  }),
);

/** `bytes` of content, `storedBytes` counting replicas. */
const TrashSums = z.object({ entries: Uint53, bytes: Uint53, storedBytes: Uint53 });

/** Of a whole subtree, and if asked for of what the `trash` still holds that was removed from there or below: `bytes` of content, `storedBytes` counting replicas. Of the `openFiles` among them, which are open for append, the last bytes count as far as their servers have told. */
export const usage = message(
  "usage",
  z.object({ path: PathText, trash: z.boolean().optional() }),
  z.object({
    files: Uint53,
    directories: Uint53,
    openFiles: Uint53.optional(),
    bytes: Uint53,
    storedBytes: Uint53,
    trash: TrashSums.optional(),
  }),
);

export const ServerStatus = z.object({
  volume: VolumeId,
  label: Label,
  control: HostPort,
  data: HostPort,
  rack: Label.optional(),
  location: Location.optional(),
  liveness: z.enum(["live", "suspect", "dead", "retired"]),
  retiredReason: z.string().max(1_024).optional(),
  /** It is to be emptied: `gfs drain`. */
  draining: z.boolean().optional(),
  lastHeartbeatMs: z.number(),
  /** Since the last heartbeat, by the master's clock. */
  silentMs: z.number(),
  /** Transfers in progress, as it told last. */
  streams: Uint32,
  totalBytes: Uint53,
  freeBytes: Uint53,
  usedBytes: Uint53,
  /** Equal for servers that share a disk: its space is theirs together. */
  fileSystem: z.string().max(64).optional(),
  replicas: Uint53,
  /** As of its last heartbeat. */
  scrub: ScrubReport.optional(),
  /** Takes no new chunks: what it has left is kept for clones. */
  full: z.boolean().optional(),
  /** Why it is slow, where it is much slower than the others. */
  slow: z.string().max(256).optional(),
  times: OperationTimes.optional(),
});
export type ServerStatus = z.infer<typeof ServerStatus>;

/** `why` is one line for people. */
export const ShortChunk = z.object({
  handle: ChunkHandle,
  version: ChunkVersion,
  inode: InodeId.optional(),
  path: z.string().max(protocol.pathBytesMax + 64),
  healthy: Uint32,
  wanted: Uint32,
  state: z.enum(["sealed", "open", "sealing"]),
  why: z.string().max(512),
});
export type ShortChunk = z.infer<typeof ShortChunk>;

/**
 * `short`: sealed, with fewer good replicas than wanted and at least one; `atRisk` of them have one left. `lost`: sealed, no server that can be reached has a good replica; `away`
 * of them are on servers that are dead. `pending`: not enough was reported since the master's start to know. `unsealedShort`: open or being sealed, with fewer servers in
 * their chain than wanted; `unsealedAtRisk` of them with one left. Bytes of content of sealed chunks; `missingBytes`: to be copied until all have their replicas.
 */
export const ChunkCounts = z.object({
  total: Uint53,
  healthy: Uint53,
  short: Uint53,
  lost: Uint53,
  pending: Uint53,
  open: Uint53,
  sealing: Uint53,
  misplaced: Uint53,
  atRisk: Uint53,
  away: Uint53,
  unsealedShort: Uint53,
  unsealedAtRisk: Uint53,
  totalBytes: Uint53,
  shortBytes: Uint53,
  atRiskBytes: Uint53,
  lostBytes: Uint53,
  missingBytes: Uint53,
});
export type ChunkCounts = z.infer<typeof ChunkCounts>;

export const status = message(
  "status",
  Nothing,
  z.object({
    clusterId: ClusterId,
    epoch: Epoch,
    version: z.string().max(64),
    uptimeMs: z.number(),
    /** lost before at-risk before degraded before starting: what some chunk is. */
    health: z.enum(["healthy", "starting", "degraded", "at-risk", "lost"]),
    safeMode: z.object({ active: z.boolean(), reason: z.string().max(512) }),
    stopped: z.object({ mutations: z.string().max(1_024).optional(), deletions: z.string().max(1_024).optional() }),
    warnings: z.array(z.string().max(1_024)).max(64),
    secure: z.boolean(),
    insecureBind: z.boolean(),
    files: Uint53,
    directories: Uint53,
    /** As in `usage`. */
    openFiles: Uint53.optional(),
    bytes: Uint53,
    trash: TrashSums,
    drafts: Uint53,
    sessions: Uint53,
    clients: z
      .array(
        z.object({
          client: z.string().max(64),
          label: Label,
          location: Location.optional(),
          rack: Label.optional(),
          lastHeartbeatMs: z.number(),
        }),
      )
      .max(1_024),
    chunks: ChunkCounts,
    /** `estimateMs`: until nothing is short, by the rate of late; where it is left out and something is missing, `noEstimate` says why. */
    repair: z.object({
      queued: Uint53,
      running: Uint53,
      done: Uint53,
      doneBytes: Uint53,
      estimateMs: z.number().optional(),
      noEstimate: z.string().max(512).optional(),
    }),
    garbage: z.object({ waiting: Uint53, deleted: Uint53 }),
    servers: z.array(ServerStatus).max(65_536),
    /** At most 100, the worst first: lost chunks, then by the replicas that are left. */
    shortChunks: z.array(ShortChunk).max(100),
    dataDirs: z.array(z.object({ path: z.string().max(4_096), state: z.string().max(256) })).max(16),
    log: z.object({ position: Uint53, checkpoint: Uint53 }),
    /**
     * Of the master's metadata, on volumes. `position`: the last entry of the log that it has for sure (0: being made, or not known yet). `behindMs`: for how long it may lack something;
     * absent while it was not complete since the master's start.
     */
    metadataCopies: z.object({
      wanted: Uint32,
      copies: z
        .array(
          z.object({
            volume: VolumeId,
            label: Label,
            position: Uint53,
            checkpoint: Uint53,
            behindMs: z.number().optional(),
            failure: z.string().max(512).optional(),
          }),
        )
        .max(16),
    }),
  }),
);

/** Space of the cluster, a disk that several servers share counted once; `usableBytes` is what a put of the default replication may still store. */
export const space = message(
  "space",
  Nothing,
  z.object({
    servers: z.array(ServerStatus).max(65_536),
    totalBytes: Uint53,
    freeBytes: Uint53,
    usedBytes: Uint53,
    usableBytes: Uint53,
    replicas: Uint32,
    trash: TrashSums,
  }),
);

/** A file that was checked; `problems`: of its chunks. `open`: for append, its last bytes count as far as their server has told. */
export const CheckedFile = z.object({
  path: z.string().max(protocol.pathBytesMax + 64),
  bytes: Uint53,
  replicas: Uint32,
  chunks: Uint53,
  problems: Uint53,
  open: z.boolean().optional(),
});
export type CheckedFile = z.infer<typeof CheckedFile>;

/**
 * One page of the check of namespace against chunk table against reports; begins without a cursor. Every problem is named by its file. With `list` every file is listed, the
 * good ones too. Of the `openFiles` the last chunk counts, with its bytes as far as its server has told.
 */
export const fsck = message(
  "fsck",
  z.object({ path: PathText, list: z.boolean(), cursor: z.string().max(64).optional() }),
  z.object({
    files: Uint53,
    openFiles: Uint53.optional(),
    chunks: Uint53,
    bytes: Uint53,
    problems: z
      .array(
        z.object({
          kind: z.enum(["lost", "corrupt", "short", "pending", "inconsistent"]),
          path: z.string().max(protocol.pathBytesMax + 64),
          handle: ChunkHandle.optional(),
          text: z.string().max(512),
        }),
      )
      .max(1_024),
    listed: z.array(CheckedFile).max(1_024),
    cursor: z.string().max(64).optional(),
  }),
);

export const TrashEntry = z.object({
  id: InodeId,
  path: PathText,
  kind: z.enum(["file", "directory"]),
  files: Uint53,
  bytes: Uint53,
  storedBytes: Uint53,
  removedMs: z.number(),
  expiresMs: z.number(),
});
export type TrashEntry = z.infer<typeof TrashEntry>;

/** With `path`: what was removed from there or below; a page may have none of it, and others follow. */
export const trashList = message(
  "trash-list",
  z.object({
    path: PathText.optional(),
    cursor: z.string().max(64).optional(),
    limit: z.int().min(1).max(protocol.listEntriesMax),
  }),
  z.object({ entries: z.array(TrashEntry).max(protocol.listEntriesMax), cursor: z.string().max(64).optional() }),
);
/** By number, or the newest removed entry of a path; goes to `to` (into it where that is a directory), or where it was. `others`: entries of the same path that stay. */
export const trashRestore = message(
  "trash-restore",
  z.object({ id: MutationId, entry: z.union([InodeId, PathText]), to: PathText.optional() }),
  z.object({ path: PathText, others: Uint32 }),
);
/** The entry of a number, all of a path (`below`: and of what was below it), or all; with `olderThanMs` those that were removed so long ago. */
export const trashPurge = message(
  "trash-purge",
  z.object({
    id: MutationId,
    entry: z.union([InodeId, PathText]).optional(),
    below: z.boolean().optional(),
    olderThanMs: z.number().min(0).optional(),
  }),
  z.object({ entries: Uint53 }),
);

/** An operator accepts what stopped mutations or deletions (DESIGN §4.5); the answer says what was accepted. */
export const confirm = message(
  "confirm",
  z.object({ id: MutationId }),
  z.object({ accepted: z.array(z.string().max(1_024)).max(16) }),
);
