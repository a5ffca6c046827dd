/** What is so (promise P7): the state of the cluster for `status`, `df` and `/healthz`. */
import { defined } from "../base/assert.ts";
import { are, counted, formatDuration, have } from "../config/units.ts";
import type { Log } from "../log/log-types.ts";
import type { ChunkCounts, ServerStatus, ShortChunk, space, status } from "../wire/control/namespace.ts";
import type { ClusterId, Epoch } from "../wire/ids.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { type MasterContext, nowMs } from "./context.ts";
import { healthOf, noCounts } from "./core/chunk-health.ts";
import { chunkCount } from "./core/chunk-table.ts";
import type { ReplyOf } from "./core/decision.ts";
import { rootSlot } from "./core/inodes.ts";
import { reportPatienceMs } from "./brakes.ts";
import { runningRepairs } from "./core/repair.ts";
import { queuedCount } from "./core/repair-queues.ts";
import { detachedCount } from "./core/reaping.ts";
import { trashTotals } from "./core/trash.ts";
import { spaceSums, usableBytes } from "./core/space-sums.ts";
import { allVolumes, isOverdue, nameAmong, type Volume, unknownAddress, volumeAt } from "./core/volumes.ts";
import type { DataDirectory } from "./data-directory.ts";
import { drainReport } from "./drains.ts";
import { fullWarnings } from "./full-servers.ts";
import type { MetadataCopies } from "./metadata/metadata-copies.ts";
import { pathOfChunk } from "./locating.ts";
import { untilWhole } from "./health.ts";
import { slowWarnings } from "./slow-servers.ts";
import { usageWithTails } from "./tail-bytes.ts";

/** What only the start knows. */
export interface StatusSources {
  readonly version: string;
  readonly secure: boolean;
  readonly insecureBind: boolean;
  readonly log: Log;
  readonly checkpointer: Checkpointer;
  readonly copies: MetadataCopies;
  readonly directories: readonly DataDirectory[];
}

const whyCharsMax = 512;

export function statusOf(ctx: MasterContext, sources: StatusSources): ReplyOf<typeof status> {
  const { state, soft } = ctx;
  const now = nowMs(ctx);
  const sums = usageWithTails(ctx, rootSlot);
  const shift = ctx.world.clock.wallMs() - now;
  return {
    clusterId: clusterIdOf(ctx),
    epoch: epochOf(ctx),
    version: sources.version,
    uptimeMs: now - soft.startedMs,
    health: healthOf(soft.scan.finished?.counts),
    safeMode: { active: soft.safeMode.active, reason: cut(soft.safeMode.reason, whyCharsMax) },
    stopped: {
      ...(soft.mutationsStopped === undefined ? {} : { mutations: cut(soft.mutationsStopped, 1_024) }),
      ...(soft.garbage.stopped === undefined ? {} : { deletions: cut(soft.garbage.stopped, 1_024) }),
    },
    warnings: warningsOf(ctx, sources),
    secure: sources.secure,
    insecureBind: sources.insecureBind,
    files: sums.files,
    directories: sums.directories,
    openFiles: sums.openFiles,
    bytes: sums.bytes,
    trash: trashTotals(state.inodes),
    drafts: state.drafts.byId.size,
    sessions: state.sessions.byId.size,
    clients: [...soft.clients.values()].slice(-1_024).map(({ client, label, location, rack, heardMs }) => ({
      client,
      label,
      lastHeartbeatMs: heardMs + shift,
      ...(location === undefined ? {} : { location }),
      ...(rack === undefined ? {} : { rack }),
    })),
    chunks: countsOf(ctx),
    repair: {
      queued: queuedCount(soft.repair.queues),
      running: runningRepairs(soft.repair),
      done: soft.repair.done,
      doneBytes: soft.repair.doneBytes,
      ...untilWhole(ctx),
    },
    garbage: { waiting: soft.garbage.waiting, deleted: soft.garbage.deleted },
    servers: serversOf(ctx),
    shortChunks: shortChunksOf(ctx),
    dataDirs: sources.directories.map((directory) => ({
      path: directory.path,
      state: sources.log.directories.includes(directory.logPath) ? "in use" : "failed: not written to any more",
    })),
    log: { position: sources.log.durablePosition, checkpoint: sources.checkpointer.position },
    metadataCopies: copiesOf(ctx, sources.copies),
  };
}

export function spaceOf(ctx: MasterContext): ReplyOf<typeof space> {
  return {
    servers: serversOf(ctx),
    ...spaceSums(ctx.state.volumes),
    usableBytes: usableBytes(ctx.state.volumes, ctx.limits.replicas),
    replicas: ctx.limits.replicas,
    trash: trashTotals(ctx.state.inodes),
  };
}

function copiesOf(ctx: MasterContext, copies: MetadataCopies): ReplyOf<typeof status>["metadataCopies"] {
  return {
    wanted: copies.wanted,
    copies: copies.status().map(({ volume, position, checkpoint, behindMs, failure }) => {
      const known = volumeAt(ctx.state.volumes, volume);
      return {
        volume: known.volume,
        label: known.label,
        position,
        checkpoint,
        ...(behindMs === undefined ? {} : { behindMs }),
        ...(failure === undefined ? {} : { failure: cut(failure, whyCharsMax) }),
      };
    }),
  };
}

/** Of the last whole round over the chunk table; before the first, nothing is known to be healthy. */
function countsOf(ctx: MasterContext): ChunkCounts {
  const finished = ctx.soft.scan.finished?.counts;
  if (finished !== undefined) return { ...finished };
  const total = chunkCount(ctx.state.chunks);
  return { ...noCounts(), total, pending: total };
}

function shortChunksOf(ctx: MasterContext): ShortChunk[] {
  const ones = ctx.soft.scan.finished?.shortOnes ?? [];
  return ones.map(({ handle, version, inode, healthy, wanted, state, why }) => ({
    handle,
    version,
    ...(inode === undefined ? {} : { inode }),
    path: pathOfChunk(ctx, inode),
    healthy,
    wanted,
    state,
    why: cut(ctx.soft.seals.get(handle)?.machine.waitsFor ?? why, whyCharsMax),
  }));
}

function serversOf(ctx: MasterContext): ServerStatus[] {
  const now = nowMs(ctx);
  const shift = ctx.world.clock.wallMs() - now;
  const held = ctx.soft.replicaTally;
  return allVolumes(ctx.state.volumes).map((volume) =>
    serverOf(volume, { now, shift, replicas: held.get(volume.index) ?? 0 }),
  );
}

function serverOf(
  volume: Volume,
  { now, shift, replicas }: { now: number; shift: number; replicas: number },
): ServerStatus {
  const { registration, retiredReason, space: held, pace } = volume;
  return {
    volume: volume.volume,
    label: volume.label,
    control: registration?.control ?? unknownAddress,
    data: registration?.data ?? unknownAddress,
    ...(registration?.rack === undefined ? {} : { rack: registration.rack }),
    ...(registration?.location === undefined ? {} : { location: registration.location }),
    liveness: volume.liveness,
    ...(volume.mark === "draining" ? { draining: true as const } : {}),
    ...(retiredReason === undefined ? {} : { retiredReason }),
    lastHeartbeatMs: volume.heardMs + shift,
    silentMs: Math.max(0, now - volume.heardMs),
    streams: volume.streams,
    totalBytes: held.totalBytes,
    freeBytes: held.freeBytes,
    usedBytes: held.usedBytes,
    ...(held.disk === undefined ? {} : { fileSystem: held.disk.fileSystem }),
    replicas,
    ...(volume.scrub === undefined ? {} : { scrub: volume.scrub }),
    ...(volume.full ? { full: true } : {}),
    ...(pace.slow === undefined ? {} : { slow: cut(pace.slow, 256) }),
    ...(pace.times === undefined ? {} : { times: pace.times }),
  };
}

function warningsOf(ctx: MasterContext, sources: StatusSources): string[] {
  const warnings = [...ctx.soft.warnings.values()];
  if (sources.insecureBind)
    warnings.push("no cluster secret is set, and the master listens beyond this machine (--insecure)");
  const { failure } = sources.checkpointer;
  if (failure !== undefined) warnings.push(`checkpoints fail, the log grows: ${failure}`);
  for (const { volume, failure } of sources.copies.status())
    if (failure !== undefined)
      warnings.push(`the copy of the metadata on ${volumeAt(ctx.state.volumes, volume).label} is not kept: ${failure}`);
  const counts = ctx.soft.scan.finished?.counts;
  if (counts !== undefined && counts.misplaced > 0)
    warnings.push(`${counted(counts.misplaced, "chunk")} ${have(counts.misplaced)} too many replicas in one rack`);
  warnings.push(
    ...drainWarnings(ctx),
    ...overdueWarnings(ctx),
    ...fullWarnings(ctx),
    ...slowWarnings(allVolumes(ctx.state.volumes)),
  );
  if (ctx.soft.repair.held !== undefined)
    warnings.push(`repair is held back: ${ctx.soft.repair.held}; if they won't be back: gfs repair resume`);
  if (ctx.soft.repair.blocked !== "") warnings.push(`repair waits: ${ctx.soft.repair.blocked}`);
  const detached = detachedCount(ctx.state.inodes);
  if (detached > 0) warnings.push(`${counted(detached, "removed tree")} ${are(detached)} being cleared away`);
  return warnings.slice(0, 64).map((warning) => cut(warning, 1_024));
}

/** What an operator who has begun a drain has to do. */
function drainWarnings(ctx: MasterContext): string[] {
  const { volumes } = ctx.state;
  return allVolumes(volumes).flatMap((volume) => {
    if (volume.mark !== "draining") return [];
    const name = nameAmong(volumes, volume);
    const { state, why } = drainReport(ctx, volume);
    if (state === "stuck") return [`the drain of ${name} is stuck: ${why}`];
    return state === "safe" ? [`${name} is drained, and safe to stop: gfs decommission forgets it`] : [];
  });
}

function overdueWarnings(ctx: MasterContext): string[] {
  const { volumes } = ctx.state;
  const now = nowMs(ctx);
  return allVolumes(volumes)
    .filter((volume) => isOverdue(volume, now, reportPatienceMs(ctx.limits)))
    .map(
      (volume) =>
        `${nameAmong(volumes, volume)} has not told all that it holds, though it registered ${formatDuration(now - volume.registeredMs)} ago: what only it has is called missing`,
    );
}

export function clusterIdOf(ctx: MasterContext): ClusterId {
  return defined(ctx.state.cluster.clusterId, "the cluster's id");
}

export function epochOf(ctx: MasterContext): Epoch {
  return defined(ctx.state.cluster.epoch, "the epoch");
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
