import { defaultLimits, type Limits } from "../../src/limits.ts";
import type { Prng } from "./world/prng.ts";

/** Small and quick, so that a minute of virtual time holds many chunks, leases, seals, checkpoints and repairs. */
export const simLimits: Limits = {
  ...defaultLimits,
  chunkBytes: 65_536,
  leaseMs: 4_000,
  draftMs: 20_000,
  trashMs: 15_000,
  deleteGraceMs: 5_000,
  loneSealMs: 3_000,
  sessionIdleMs: 600_000,
  safeModeMs: 3_000,
  heartbeatMs: 500,
  clientHeartbeatMs: 2_000,
  appendSessionsMax: 64,
  appendTableMax: 1_024,
  reportIntervalMs: 10_000,
  connectMs: 300,
  prepareMs: 800,
  fenceAfterQuorumMs: 150,
  fenceMs: 600,
  putStallMs: 1_500,
  readStallMs: 1_000,
  controlMs: 1_000,
  clientTimeoutMs: 10_000,
  smallChunkBytesMax: 24_000,
  logSegmentBytes: 400_000,
  volumeLogBytesMax: 1_200_000,
  checkpointRecords: 150,
  handleBatch: 20,
  eventSegmentBytes: 16_384,
  eventFoldMs: 5_000,
  reserveBytes: 1_000_000,
  scrubMs: 10_000,
  massFailureWindowMs: 5_000,
  massFailureHoldMs: 8_000,
  // Drawn; and chosen where a test is about them.
  metadataCopies: 0,
  metadataCopyMs: 700,
  metadataAnswerMs: 10_000,
};

/** Those of one seed: a few bounds at either end of what is sensible. */
export function drawLimits(prng: Prng): Limits {
  return {
    ...simLimits,
    leaseMs: prng.integer(1_500, 6_000),
    fenceAfterQuorumMs: prng.integer(20, 200),
    smallChunkBytesMax: prng.chance(0.5) ? 24_000 : 65_536,
    checkpointRecords: prng.integer(30, 400),
    handleBatch: prng.integer(2, 50),
    parallelChunks: prng.integer(1, 4),
    writtenPage: prng.integer(1, 3),
    metadataCopies: prng.integer(0, 2),
  };
}
