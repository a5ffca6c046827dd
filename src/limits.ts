/**
 * Every bound of gfs, with its unit and reason, and the relations between them (asserted at load). Values that a configuration key
 * sets are here as defaults; cores and shells take a `Limits` object, so that the simulator can run with small ones.
 */
import { assert } from "./base/assert.ts";

/** Checksum unit within a chunk. Part of the disk format: never configurable. */
export const blockBytes = 65_536;

/** Fixed bounds of the protocol and the disk format. */
export const protocol = {
  /** Spoken by this build; a hello carries the range. */
  versionMin: 1,
  versionMax: 1,
  nameBytesMax: 255,
  pathBytesMax: 4_096,
  /** A hundred years: what is longer is meant for ever, and no directory's retention is. */
  trashMsMax: 3_155_760_000_000,
  chunkBytesMin: 65_536,
  chunkBytesMax: 1_073_741_824,
  replicasMax: 16,
  /** One data frame carries at most 16 whole blocks: large enough for 1 GB/s, small enough to bound memory per stream. */
  dataFrameBytesMax: 16 * blockBytes,
  /** A record must fit one frame and W of them the memory of a server; larger appends are spliced (DESIGN §4.3). */
  appendRecordBytesMax: 4 * 1_048_576,
  framePayloadBytesMax: 4 * 1_048_576,
  frameHeaderBytesMax: 65_536,
  controlRequestBytesMax: 4 * 1_048_576,
  controlResponseBytesMax: 16 * 1_048_576,
  /** Reports are paged so that heartbeats are never stuck behind them. */
  reportPageBytesMax: 524_288,
  /** Largest entry of an operation or volume log; less where its segments are smaller. */
  logEntryBytesMax: 8 * 1_048_576,
  locateExtentsMax: 1_024,
  listEntriesMax: 4_096,
  eventsMax: 1_000,
  /** How long a request for events waits for one: far less than connections are kept open that say nothing. */
  eventsWaitMsMax: 20_000,
  commitChunksMax: 65_536,
  /** Chunks that one message names: what a turn of the master may take. A longer list is sent in pages. */
  writtenChunksMax: 2_048,
  /** Unanswered appends of one (session, inode); also how many answers an append table keeps. */
  appendWindow: 64,
  /** Unanswered mutations of one session at the master. */
  mutationWindow: 1_024,
  keyBytesMax: 256,
  labelBytesMax: 64,
  /** Mirrors of a master's data. */
  dataDirectoriesMax: 16,
} as const;

export interface Limits {
  readonly chunkBytes: number;
  readonly replicas: number;
  readonly minReplicas: number;
  readonly distanceWeight: number;
  readonly spaceWeight: number;
  readonly leaseMs: number;
  readonly draftMs: number;
  readonly trashMs: number;
  readonly deleteGraceMs: number;
  readonly sealResponders: number;
  readonly loneSealMs: number;
  readonly sessionIdleMs: number;
  readonly safeModeShare: number;
  readonly safeModeMs: number;
  /** Of chunkservers. Missed for 2: suspect; for 6: dead. */
  readonly heartbeatMs: number;
  readonly suspectHeartbeats: number;
  readonly deadHeartbeats: number;
  readonly clientHeartbeatMs: number;
  /** Sessions that one tail takes records of, beyond those it began with; then it is full (DESIGN §4.3). */
  readonly appendSessionsMax: number;
  /** Sessions, and answers, that a tail begins with. More sessions of one file, open and with appends to it, must end first; of answers the oldest are left out. */
  readonly appendTableMax: number;
  /** Full report of a volume to the master, besides the one at registration. */
  readonly reportIntervalMs: number;
  readonly connectMs: number;
  readonly prepareMs: number;
  readonly fenceAfterQuorumMs: number;
  readonly fenceMs: number;
  readonly putStallMs: number;
  readonly readStallMs: number;
  /** A read that has had no byte for this long is sent to a second replica as well; later, where that one is slow too, and within half of readStallMs. */
  readonly hedgeAfterMs: number;
  /** Of all reads, those that may be sent to a second replica (besides the first few); 0: none. */
  readonly hedgeShare: number;
  readonly controlMs: number;
  readonly clientTimeoutMs: number;
  /** How long a client looks for a master that nobody hears: long enough for one that restarts, short for who started none. */
  readonly firstContactMs: number;
  readonly retryAttempts: number;
  readonly parallelChunks: number;
  /** Chunks that a client names in one message; those before the last such page go before the commit. */
  readonly writtenPage: number;
  /** Longest piece of master work without a pause. */
  readonly sliceMs: number;
  /** Chunks up to this size live in the volume log first (DESIGN §4.7). */
  readonly smallChunkBytesMax: number;
  readonly logSegmentBytes: number;
  /** Bytes of volume log after which replica states are checkpointed and the log is trimmed. */
  readonly volumeLogBytesMax: number;
  /** Log records after which the master starts a checkpoint child. */
  readonly checkpointRecords: number;
  readonly handleBatch: number;
  /** Volumes that keep a copy of the master's metadata; 0: none. */
  readonly metadataCopies: number;
  /** How often what was logged goes to them. */
  readonly metadataCopyMs: number;
  /** For a volume to read all of its copy, or the checkpoint, before it answers. */
  readonly metadataAnswerMs: number;
  /** Events for operators are kept in so many files of this size, on the master's disk and in its memory. */
  readonly eventSegmentBytes: number;
  readonly eventSegments: number;
  /** Beyond the first few, events of one kind are told as one, with their count, after this time. */
  readonly eventFoldMs: number;
  readonly reserveBytes: number;
  /** Of a volume's space: new chunks and appends fill no more; the rest is kept for clones. */
  readonly fullShare: number;
  /** Within which a chunkserver reads all that it holds, in the background; 0: it does not. */
  readonly scrubMs: number;
  /** The most that it reads for that; 0: without a limit. */
  readonly scrubBytesPerSecondMax: number;
  /** Clones at a time: of each chunkserver, as source or target, and of the cluster. */
  readonly repairStreamsPerServer: number;
  readonly repairStreams: number;
  /** Bytes per second that clones copy; 0: no limit. Of a server what it sends and what it takes. */
  readonly repairRate: number;
  readonly repairServerRate: number;
  /** Chunks move from full disks to empty ones: where a used share is further than the threshold (0 to 1) from the mean of all, at most so many bytes per second in the cluster. */
  readonly balance: boolean;
  readonly balanceThreshold: number;
  readonly balanceRate: number;
  /** More than this share of the servers gone within the window holds repair back, for this long at most; 0: until they return or an operator says to go on. */
  readonly massFailureShare: number;
  readonly massFailureWindowMs: number;
  readonly massFailureHoldMs: number;
  /** A master that would delete more than this share and number of all chunks on reports' evidence stops (DESIGN §4.5). */
  readonly deleteShareMax: number;
  readonly deleteCountFree: number;
  readonly connectionsMax: number;
  readonly bytesInFlightPerClientMax: number;
  /** Files whose place in a session a client remembers; beyond it the lines of records that nobody holds end. */
  readonly appendLinesPerClientMax: number;
}

/** Of a rate of repair that is no 0: slower, a source would take its reader for one that is gone. Bytes per second. */
export const repairRateMin = 1_000_000;

export const defaultLimits: Limits = {
  chunkBytes: 64_000_000,
  replicas: 3,
  minReplicas: 2,
  distanceWeight: 0.6,
  spaceWeight: 0.4,
  leaseMs: 60_000,
  draftMs: 600_000,
  trashMs: 259_200_000,
  deleteGraceMs: 600_000,
  sealResponders: 2,
  loneSealMs: 60_000,
  sessionIdleMs: 86_400_000,
  safeModeShare: 0.999,
  safeModeMs: 30_000,
  heartbeatMs: 5_000,
  suspectHeartbeats: 2,
  deadHeartbeats: 6,
  clientHeartbeatMs: 30_000,
  appendSessionsMax: 4_096,
  appendTableMax: 16_384,
  reportIntervalMs: 600_000,
  connectMs: 1_000,
  prepareMs: 5_000,
  fenceAfterQuorumMs: 150,
  fenceMs: 2_000,
  putStallMs: 10_000,
  readStallMs: 5_000,
  hedgeAfterMs: 50,
  hedgeShare: 0.05,
  controlMs: 5_000,
  clientTimeoutMs: 30_000,
  firstContactMs: 5_000,
  retryAttempts: 3,
  parallelChunks: 4,
  writtenPage: protocol.writtenChunksMax,
  sliceMs: 5,
  smallChunkBytesMax: 1_000_000,
  logSegmentBytes: 32 * 1_048_576,
  volumeLogBytesMax: 128 * 1_048_576,
  checkpointRecords: 200_000,
  handleBatch: 1_000,
  metadataCopies: 2,
  metadataCopyMs: 5_000,
  metadataAnswerMs: 120_000,
  eventSegmentBytes: 2 * 1_048_576,
  eventSegments: 4,
  eventFoldMs: 600_000,
  reserveBytes: 512_000_000,
  fullShare: 0.95,
  scrubMs: 14 * 86_400_000,
  scrubBytesPerSecondMax: 50_000_000,
  repairStreamsPerServer: 2,
  repairStreams: 64,
  repairRate: 0,
  repairServerRate: 50_000_000,
  balance: true,
  balanceThreshold: 0.1,
  balanceRate: 50_000_000,
  massFailureShare: 1 / 3,
  massFailureWindowMs: 120_000,
  massFailureHoldMs: 3_600_000,
  deleteShareMax: 0.2,
  deleteCountFree: 1_000,
  connectionsMax: 4_096,
  bytesInFlightPerClientMax: 64 * 1_048_576,
  appendLinesPerClientMax: 4_096,
};

/** Throws an assertion failure where limits contradict each other. */
export function assertLimits(limits: Limits): void {
  assert(
    limits.chunkBytes >= protocol.chunkBytesMin && limits.chunkBytes <= protocol.chunkBytesMax,
    "chunkBytes is out of its range",
  );
  assert(limits.minReplicas >= 1 && limits.minReplicas <= limits.replicas, "minReplicas must be from 1 to replicas");
  assert(limits.replicas <= protocol.replicasMax, "replicas is above replicasMax");
  assert(limits.suspectHeartbeats < limits.deadHeartbeats, "a server must be suspect before it is dead");
  assert(limits.fenceAfterQuorumMs <= limits.fenceMs, "fenceAfterQuorumMs must be within fenceMs");
  assert(limits.heartbeatMs * 2 < limits.leaseMs, "a lease must survive a lost heartbeat");
  assert(limits.logSegmentBytes * 2 <= limits.volumeLogBytesMax, "a volume log needs at least two segments");
  assert(
    limits.logSegmentBytes > appendRecordBytesMax(limits.chunkBytes) + limits.smallChunkBytesMax,
    "a log segment must hold the largest record",
  );
  assert(limits.fullShare > 0 && limits.fullShare <= 1, "fullShare is a share");
  assert(limits.hedgeShare >= 0 && limits.hedgeShare <= 1, "hedgeShare is a share");
  assert(limits.writtenPage >= 1 && limits.writtenPage <= protocol.writtenChunksMax, "writtenPage is out of its range");
  assert(limits.eventSegments >= 2, "the events of a while must outlive the start of a file");
  assert(limits.sealResponders >= 1, "sealResponders must be at least 1");
  assert(limits.appendSessionsMax >= 1 && limits.appendTableMax >= 1, "an append table must hold a session");
  const { appendTableMax, appendSessionsMax, logSegmentBytes } = limits;
  const sealedBytes = appendTableBytesMax(appendTableMax + appendSessionsMax, 2 * appendTableMax);
  assert(sealedBytes + besideTableBytes <= protocol.controlRequestBytesMax, "an append table must fit a request");
  assert(
    sealedBytes + besideTableBytes <= Math.min(logSegmentBytes, protocol.logEntryBytesMax),
    "an append table must fit an entry of the log",
  );
}

/** What an append table's message or record holds besides: the CRCs of the largest chunk's blocks, a chain, a path, a version … */
const besideTableBytes = 131_072;

/** Upper bound of an append table in CBOR, in bytes: field names and numbers at their longest. */
export function appendTableBytesMax(sessions: number, answers: number): number {
  return sessions * 32 + answers * 60;
}

assertLimits(defaultLimits);
assert(protocol.appendRecordBytesMax <= protocol.framePayloadBytesMax, "an append record must fit one frame");
assert(protocol.dataFrameBytesMax <= protocol.framePayloadBytesMax, "a data frame must fit the frame limit");
assert(protocol.reportPageBytesMax < protocol.controlRequestBytesMax, "a report page must fit one request");

/** Largest record that is appended through the chain rather than spliced, in bytes (DESIGN §4.3: a quarter of the chunk). */
export function appendRecordBytesMax(chunkBytes: number): number {
  return Math.min(Math.floor(chunkBytes / 4), protocol.appendRecordBytesMax);
}
