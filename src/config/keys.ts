/** Every configuration key (DESIGN §7): one table that the TOML file, the environment, `gfs config show` and the docs are read from. */
import { defaultLimits, protocol } from "../limits.ts";

export type KeyType =
  | { readonly kind: "text" }
  | { readonly kind: "text-list" }
  | { readonly kind: "whole"; readonly min: number; readonly max: number }
  | { readonly kind: "number"; readonly min: number; readonly max: number }
  | { readonly kind: "size"; readonly min: number; readonly max: number }
  | { readonly kind: "seconds"; readonly min: number; readonly max: number };

export interface KeySpec {
  readonly type: KeyType;
  /** Undefined: unset unless somebody sets it. */
  readonly fallback: string | number | readonly string[] | undefined;
  readonly unit?: string;
  readonly about: string;
  /** Environment variable besides `GFS_<TABLE>_<KEY>`. */
  readonly alias?: string;
}

const text: KeyType = { kind: "text" };
const seconds: KeyType = { kind: "seconds", min: 0.001, max: 1e9 };
const whole = (min: number, max: number): KeyType => ({ kind: "whole", min, max });
const size = (min: number, max: number): KeyType => ({ kind: "size", min, max });
const weight: KeyType = { kind: "number", min: 0, max: 1_000 };
const coordinate: KeyType = { kind: "number", min: -1e12, max: 1e12 };
const s = (ms: number): number => ms / 1_000;
const chunkSize = size(protocol.chunkBytesMin, protocol.chunkBytesMax);
const replicas = whole(1, protocol.replicasMax);

export const configKeys = {
  "master.host": { type: text, fallback: "127.0.0.1", about: "where clients and chunkservers dial the master" },
  "master.port": { type: whole(1, 65_535), fallback: 4370, about: "the master's port" },
  "master.listen": {
    type: text,
    fallback: undefined,
    about: "HOST:PORT the master binds; default: 127.0.0.1 and master.port",
  },
  "master.data_dir": {
    type: { kind: "text-list" },
    fallback: undefined,
    about: "the master's directory, or several that mirror each other",
  },
  "master.advertise": {
    type: text,
    fallback: undefined,
    about: "the host that others dial, where it binds a wildcard",
  },
  "master.chunk_size": {
    type: chunkSize,
    fallback: defaultLimits.chunkBytes,
    unit: "bytes",
    about: "largest size of a chunk",
  },
  "master.replication_factor": {
    type: replicas,
    fallback: defaultLimits.replicas,
    about: "replicas of a file that asks for no other number",
  },
  "master.min_replicas": {
    type: replicas,
    fallback: defaultLimits.minReplicas,
    about: "replicas below which nothing is acknowledged",
  },
  "master.distance_weight": {
    type: weight,
    fallback: defaultLimits.distanceWeight,
    about: "weight of distance in the choice of servers",
  },
  "master.space_weight": {
    type: weight,
    fallback: defaultLimits.spaceWeight,
    about: "weight of used space in the choice of servers",
  },
  "master.lease_seconds": {
    type: seconds,
    fallback: s(defaultLimits.leaseMs),
    unit: "seconds",
    about: "a primary that can't reach the master for this long stops accepting appends",
  },
  "master.draft_seconds": {
    type: seconds,
    fallback: s(defaultLimits.draftMs),
    unit: "seconds",
    about: "a put whose client is silent for this long is given up",
  },
  "master.trash_seconds": {
    type: seconds,
    fallback: s(defaultLimits.trashMs),
    unit: "seconds",
    about: "how long removed files can be restored",
  },
  "master.delete_grace_seconds": {
    type: seconds,
    fallback: s(defaultLimits.deleteGraceMs),
    unit: "seconds",
    about:
      "how long chunks outlive their last file, for readers in progress; and then each replica on its chunkserver, in aside/, by the chunkserver's own setting and anew from each of its starts",
  },
  "master.seal_responders": {
    type: replicas,
    fallback: defaultLimits.sealResponders,
    about: "members that must answer before a chunk is sealed",
  },
  "master.lone_seal_seconds": {
    type: seconds,
    fallback: s(defaultLimits.loneSealMs),
    unit: "seconds",
    about: "after this long one member left alive is enough to seal",
  },
  "master.safe_mode_share": {
    type: { kind: "number", min: 0, max: 1 },
    fallback: defaultLimits.safeModeShare,
    about:
      "deletion begins after a start as soon as this share of the chunks is reported; repair once all servers have reported, too",
  },
  "master.safe_mode_seconds": {
    type: seconds,
    fallback: s(defaultLimits.safeModeMs),
    unit: "seconds",
    about:
      "with less than that share deletion begins once every server has reported, and not before this time; repair waits four times as long for one that does not come to its end",
  },
  "master.scrub_days": {
    type: { kind: "number", min: 0, max: 3_650 },
    fallback: defaultLimits.scrubMs / 86_400_000,
    unit: "days",
    about: "within which every chunkserver reads and checks all that it holds, in the background; 0: never",
  },
  "master.scrub_rate": {
    type: size(0, 1e12),
    fallback: defaultLimits.scrubBytesPerSecondMax,
    unit: "bytes/s",
    about: "most that a chunkserver reads for that; 0: no limit",
  },
  "master.repair_streams_per_server": {
    type: whole(0, 64),
    fallback: defaultLimits.repairStreamsPerServer,
    about: "copies for repair that a chunkserver takes part in at a time, as source or target",
  },
  "master.repair_streams": {
    type: whole(0, 4_096),
    fallback: defaultLimits.repairStreams,
    about: "copies for repair in the cluster at a time",
  },
  "master.repair_rate": {
    type: size(0, 1e12),
    fallback: defaultLimits.repairRate,
    unit: "bytes/s",
    about: "most that repair copies in the cluster; 0: no limit",
  },
  "master.repair_server_rate": {
    type: size(0, 1e12),
    fallback: defaultLimits.repairServerRate,
    unit: "bytes/s",
    about: "most that repair has a chunkserver send and take; 0: no limit",
  },
  "master.balance": {
    type: whole(0, 1),
    fallback: Number(defaultLimits.balance),
    about: "1: chunks move slowly from full disks to empty ones; 0: they stay",
  },
  "master.balance_threshold": {
    type: whole(1, 50),
    fallback: Math.round(defaultLimits.balanceThreshold * 100),
    unit: "percent",
    about: "how far the used share of a disk may be from the mean of all",
  },
  "master.balance_rate": {
    type: size(0, 1e12),
    fallback: defaultLimits.balanceRate,
    unit: "bytes per second",
    about: "most that balance copies in the cluster; 0: no limit",
  },
  "master.mass_failure_share": {
    type: { kind: "number", min: 0, max: 1 },
    fallback: defaultLimits.massFailureShare,
    about: "repair waits when more than this share of the chunkservers, and at least two, are gone at once",
  },
  "master.mass_failure_window_seconds": {
    type: seconds,
    fallback: s(defaultLimits.massFailureWindowMs),
    unit: "seconds",
    about: "chunkservers lost within this time are gone at once",
  },
  "master.mass_failure_hold_seconds": {
    type: { kind: "seconds", min: 0, max: 1e9 },
    fallback: s(defaultLimits.massFailureHoldMs),
    unit: "seconds",
    about: "repair waits at most so long; 0: until they return, or `gfs repair resume`",
  },
  "master.metadata_copies": {
    type: whole(0, protocol.replicasMax),
    fallback: defaultLimits.metadataCopies,
    about: "chunkservers that keep a copy of the master's metadata; 0: none",
  },
  "master.metadata_copy_seconds": {
    type: seconds,
    fallback: s(defaultLimits.metadataCopyMs),
    unit: "seconds",
    about: "how often what was logged is sent to them",
  },
  "chunk_server.base_port": {
    type: whole(0, 64_535),
    fallback: 4371,
    about: "port of the chunkserver; data on this + 1000; 0: any; unset: the first from 4371 on that is free",
  },
  "chunk_server.listen": { type: text, fallback: undefined, about: "HOST:PORT bound for control" },
  "chunk_server.data_listen": { type: text, fallback: undefined, about: "HOST:PORT bound for data" },
  "chunk_server.data_dir": { type: text, fallback: undefined, about: "the directory of the volume" },
  "chunk_server.id": {
    type: text,
    fallback: undefined,
    about: "a label for people; default: the name of the directory",
  },
  "chunk_server.advertise": {
    type: text,
    fallback: undefined,
    about: "the host that others dial, where it binds a wildcard",
  },
  "chunk_server.rack": { type: text, fallback: undefined, about: "replicas of a chunk are spread over racks" },
  "chunk_server.x": { type: coordinate, fallback: undefined, about: "location" },
  "chunk_server.y": { type: coordinate, fallback: undefined, about: "location" },
  "chunk_server.heartbeat_interval": {
    type: seconds,
    fallback: s(defaultLimits.heartbeatMs),
    unit: "seconds",
    about: "between heartbeats of a chunkserver; set it at the master, which tells it to them",
  },
  "chunk_server.space_limit_mb": {
    type: { kind: "number", min: 1, max: 1e12 },
    fallback: undefined,
    unit: "MB",
    about: "most that chunks may fill; default: what the disk has",
  },
  "chunk_server.reserve_mb": {
    type: { kind: "number", min: 0, max: 1e12 },
    fallback: defaultLimits.reserveBytes / 1e6,
    unit: "MB",
    about: "space of the disk that chunks leave free",
  },
  "chunk_server.full_share": {
    type: { kind: "number", min: 0.01, max: 1 },
    fallback: defaultLimits.fullShare,
    about: "share of the space from which on puts and appends go elsewhere; the rest is kept for repair",
  },
  "client.id": { type: text, fallback: undefined, about: "a label for people" },
  "client.x": { type: coordinate, fallback: undefined, about: "location" },
  "client.y": { type: coordinate, fallback: undefined, about: "location" },
  "client.rack": { type: text, fallback: undefined, about: "the rack this client is in" },
  "client.upload_chunk_size": {
    type: chunkSize,
    fallback: undefined,
    unit: "bytes",
    about: "largest size of a chunk of this client's puts; default: the master's",
  },
  "client.heartbeat_interval": {
    type: seconds,
    fallback: s(defaultLimits.clientHeartbeatMs),
    unit: "seconds",
    about: "between heartbeats of a client",
  },
  "client.retry_attempts": {
    type: whole(1, 100),
    fallback: defaultLimits.retryAttempts,
    about: "how many chains are tried for a chunk",
  },
  "client.parallel_chunks": {
    type: whole(1, 64),
    fallback: defaultLimits.parallelChunks,
    about: "chunks in flight for one file",
  },
  "client.hedge_after_seconds": {
    type: seconds,
    fallback: s(defaultLimits.hedgeAfterMs),
    unit: "seconds",
    about: "a read without a byte for this long is sent to a second server as well; the first answer counts",
  },
  "client.hedge_share": {
    type: { kind: "number", min: 0, max: 1 },
    fallback: defaultLimits.hedgeShare,
    about: "most of the reads that are sent to a second server; 0: none",
  },
  "client.timeout_seconds": {
    type: seconds,
    fallback: s(defaultLimits.clientTimeoutMs),
    unit: "seconds",
    about: "an operation without progress for this long ends",
  },
  "cluster.secret_file": {
    type: text,
    fallback: undefined,
    about: "file with the cluster secret (gfs secret new FILE)",
    alias: "GFS_SECRET_FILE",
  },
} as const satisfies Record<string, KeySpec>;

export type ConfigKey = keyof typeof configKeys;

type ValueOfType<Type extends KeyType> = Type["kind"] extends "text"
  ? string
  : Type["kind"] extends "text-list"
    ? readonly string[]
    : number;
type Defined<Spec extends KeySpec> = Spec["fallback"] extends undefined ? undefined : never;
/** What a key's value is once it is resolved. */
export type ConfigValue<Key extends ConfigKey> =
  ValueOfType<(typeof configKeys)[Key]["type"]> | Defined<(typeof configKeys)[Key]>;

export const configKeyNames: readonly ConfigKey[] = Object.keys(configKeys).filter(
  (name): name is ConfigKey => name in configKeys,
);

/** `master.chunk_size` → `GFS_MASTER_CHUNK_SIZE`. */
export function environmentName(key: ConfigKey): string {
  return `GFS_${key.replace(".", "_").toUpperCase()}`;
}
