import { GfsError } from "../base/errors.ts";
import { AssertionError } from "../base/assert.ts";
import { assertLimits, defaultLimits, type Limits, repairRateMin } from "../limits.ts";
import type { Config } from "./resolve.ts";

/** The limits that a configuration asks for. @throws GfsError("ConfigInvalid") where its values contradict each other. */
export function limitsOf(config: Config): Limits {
  const ms = (seconds: number): number => Math.round(seconds * 1_000);
  const replicas = config.get("master.replication_factor");
  const minReplicas = config.get("master.min_replicas");
  const explicit = config.setting("master.min_replicas").origin !== "default";
  const limits: Limits = {
    ...defaultLimits,
    chunkBytes: config.get("master.chunk_size"),
    replicas,
    // Who asks for one replica by default can't have meant that two are needed.
    minReplicas: explicit ? minReplicas : Math.min(minReplicas, replicas),
    distanceWeight: config.get("master.distance_weight"),
    spaceWeight: config.get("master.space_weight"),
    leaseMs: ms(config.get("master.lease_seconds")),
    draftMs: ms(config.get("master.draft_seconds")),
    trashMs: ms(config.get("master.trash_seconds")),
    deleteGraceMs: ms(config.get("master.delete_grace_seconds")),
    sealResponders: config.get("master.seal_responders"),
    loneSealMs: ms(config.get("master.lone_seal_seconds")),
    safeModeShare: config.get("master.safe_mode_share"),
    safeModeMs: ms(config.get("master.safe_mode_seconds")),
    scrubMs: Math.round(config.get("master.scrub_days") * 86_400_000),
    scrubBytesPerSecondMax: config.get("master.scrub_rate"),
    repairStreamsPerServer: config.get("master.repair_streams_per_server"),
    repairStreams: config.get("master.repair_streams"),
    repairRate: config.get("master.repair_rate"),
    repairServerRate: config.get("master.repair_server_rate"),
    balance: config.get("master.balance") === 1,
    balanceThreshold: config.get("master.balance_threshold") / 100,
    balanceRate: config.get("master.balance_rate"),
    massFailureShare: config.get("master.mass_failure_share"),
    massFailureWindowMs: ms(config.get("master.mass_failure_window_seconds")),
    massFailureHoldMs: ms(config.get("master.mass_failure_hold_seconds")),
    metadataCopies: config.get("master.metadata_copies"),
    metadataCopyMs: ms(config.get("master.metadata_copy_seconds")),
    heartbeatMs: ms(config.get("chunk_server.heartbeat_interval")),
    fullShare: config.get("chunk_server.full_share"),
    reserveBytes: Math.round(config.get("chunk_server.reserve_mb") * 1e6),
    clientHeartbeatMs: ms(config.get("client.heartbeat_interval")),
    clientTimeoutMs: ms(config.get("client.timeout_seconds")),
    retryAttempts: config.get("client.retry_attempts"),
    hedgeAfterMs: ms(config.get("client.hedge_after_seconds")),
    hedgeShare: config.get("client.hedge_share"),
    parallelChunks: config.get("client.parallel_chunks"),
  };
  for (const key of ["master.repair_rate", "master.repair_server_rate", "master.balance_rate"] as const) {
    const rate = config.get(key);
    if (rate !== 0 && rate < repairRateMin)
      throw new GfsError(
        "ConfigInvalid",
        `Cannot use the configuration: ${key} is 0, for no limit, or at least ${repairRateMin}`,
      );
  }
  try {
    assertLimits(limits);
  } catch (error) {
    if (error instanceof AssertionError)
      throw new GfsError("ConfigInvalid", `Cannot use the configuration: ${error.message}`);
    throw error;
  }
  return limits;
}
