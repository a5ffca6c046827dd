/** Clears away what is over: removed trees, expired drafts, sessions and trash, and the replicas of chunks that nobody refers to (DESIGN §4.1, §4.5). */
import { asGfsError } from "../base/errors.ts";
import { deleteReplicas } from "../wire/control/commands.ts";
import type { LogRecord } from "../wire/log-records.ts";
import { failureOf } from "./commands.ts";
import { chunkView, inBackground, type MasterContext, nextTurn, nowMs } from "./context.ts";
import { takeReleased } from "./core/chunk-apply.ts";
import type { VolumeIndex } from "./core/chunk-table.ts";
import { decideExpiry } from "./core/decide-sessions.ts";
import { decideTrashExpiry, decideTrashForSpace } from "./core/decide-trash.ts";
import {
  deleteDone,
  deleteFailed,
  type DeleteItem,
  planDeletes,
  queueGarbage,
  volumesWithGarbage,
} from "./core/garbage.ts";
import { nextToReap } from "./core/reaping.ts";
import { trashTotals } from "./core/trash.ts";
import { allVolumes, isUsable, releaseSpace, volumeAt } from "./core/volumes.ts";

const batchMax = 256;
const releasedMax = 1_024;
const deletesMax = 512;
/** Live volumes with less than this share free for new chunks in all: the trash is purged early, before puts are refused. */
const spaceShortShare = 0.05;
/** Cluster time is kept in the log at least so often while something expires by it. */
const timeLoggedMs = 600_000;

/** Ends what is idle, expired or detached, a batch at a time. */
export async function expire(ctx: MasterContext): Promise<void> {
  const { engine, state } = ctx;
  for (;;) {
    if (ctx.soft.mutationsStopped !== undefined || ctx.stopping.aborted) return;
    const now = engine.now();
    const records: LogRecord[] = [
      ...decideExpiry(state, now, batchMax),
      ...decideTrashExpiry(state, now, batchMax),
      ...trashForSpace(ctx),
    ];
    if (records.length === 0) break;
    engine.apply(dropRepeated(records));
    for (const record of records) {
      if (record.kind === "draft-ended") {
        releaseSpace(state.volumes, record.draft);
        ctx.world.events.emit("info", "draft.expired", { draft: record.draft });
      }
      if (record.kind === "session-closed")
        ctx.world.events.emit("info", "session.expired", { session: record.session });
    }
    await nextTurn(ctx);
  }
  keepTime(ctx);
}

/** Expired trash may also be what makes space: an entry is detached once. */
function dropRepeated(records: readonly LogRecord[]): LogRecord[] {
  const detached = new Set<number>();
  return records.filter((record) => {
    if (record.kind !== "inode-detached") return true;
    if (detached.has(record.inode)) return false;
    detached.add(record.inode);
    return true;
  });
}

function trashForSpace(ctx: MasterContext): LogRecord[] {
  const live = allVolumes(ctx.state.volumes).filter(({ liveness, mark }) => liveness === "live" && mark === "none");
  const total = live.reduce((sum, { space }) => sum + space.totalBytes, 0);
  const free = live.reduce((sum, { space }) => sum + (space.newBytes ?? space.freeBytes), 0);
  const { bytes } = trashTotals(ctx.state.inodes);
  if (total === 0 || bytes === 0 || free >= total * spaceShortShare) return [];
  // What is let go of now is free only after the grace: not the whole trash for one shortage.
  const wanted = (total * spaceShortShare - free) / Math.max(1, ctx.limits.replicas);
  // What lies on servers that are gone makes no room: it is not waited for.
  const waiting = volumesWithGarbage(ctx.soft.garbage).some((index) => isUsable(ctx.state.volumes.byIndex[index]));
  return waiting ? [] : decideTrashForSpace(ctx.state, wanted, batchMax);
}

function keepTime(ctx: MasterContext): void {
  const { state, engine } = ctx;
  const expiring = state.sessions.byId.size + state.drafts.byId.size + trashTotals(state.inodes).entries;
  if (expiring > 0 && engine.now().clusterMs - state.cluster.clusterMs >= timeLoggedMs) engine.apply([]);
}

/** Lets go of the inodes of removed trees, and queues the replicas of chunks that are free then. */
export async function reap(ctx: MasterContext): Promise<void> {
  const { engine, state } = ctx;
  for (;;) {
    if (ctx.stopping.aborted) return;
    const released = takeReleased(state.chunks, releasedMax);
    for (const { handle, volumes } of released)
      for (const volume of volumes)
        queueGarbage(
          ctx.soft.garbage,
          { handle, volume, cause: "released" },
          { nowMs: nowMs(ctx), limits: ctx.limits },
        );
    const inodes = ctx.soft.mutationsStopped === undefined ? nextToReap(state.inodes, batchMax) : [];
    if (inodes.length > 0) engine.apply([{ kind: "inodes-reaped", inodes }]);
    if (released.length === 0 && inodes.length === 0) return;
    await nextTurn(ctx);
  }
}

/** Tells volumes what to delete, one command a volume at a time. */
export function startDeletions(ctx: MasterContext): void {
  const { garbage, mutationsStopped } = ctx.soft;
  if (mutationsStopped !== undefined) return;
  for (const volume of volumesWithGarbage(garbage)) {
    if (garbage.underWay.has(volume)) continue;
    const stopped = garbage.stopped;
    const plan = { volume, max: deletesMax, nowMs: nowMs(ctx), limits: ctx.limits, repair: ctx.soft.repair };
    const items = planDeletes(garbage, chunkView(ctx), plan);
    if (garbage.stopped !== undefined && stopped === undefined)
      ctx.world.events.emit("error", "deletions.stopped", { reason: garbage.stopped });
    if (items.length === 0) continue;
    garbage.underWay.add(volume);
    const run = async (): Promise<void> => {
      try {
        await runDeletes(ctx, volume, items);
      } finally {
        garbage.underWay.delete(volume);
      }
    };
    inBackground(ctx, "delete replicas", run());
  }
}

async function runDeletes(ctx: MasterContext, volume: VolumeIndex, items: readonly DeleteItem[]): Promise<void> {
  const { garbage } = ctx.soft;
  const failedOnes = (failed: readonly DeleteItem[], outcome: "refused" | "unknown"): void => {
    deleteFailed(garbage, { volume, items: failed, outcome }, { nowMs: nowMs(ctx), limits: ctx.limits });
    // What is surplus counts for nothing since it was told to go: whether it is still there, the volume knows.
    if (failed.some(({ cause }) => cause === "surplus")) volumeAt(ctx.state.volumes, volume).reportWanted = true;
  };
  const body = {
    items: items.map(({ handle, below }) => (below === undefined ? { handle } : { handle, below })),
  };
  try {
    const { results } = await ctx.commands.send(volume, deleteReplicas, body, ctx.limits.putStallMs);
    const done = items.filter((_, index) => results[index]?.kind === "ok");
    const failed = items.filter((_, index) => results[index]?.kind !== "ok");
    deleteDone(garbage, chunkView(ctx), { volume, items: done });
    failedOnes(failed, "refused");
    if (done.length > 0) ctx.world.events.emit("debug", "replicas.deleted", { volume, count: done.length });
  } catch (error) {
    const isBug = asGfsError(error).code === "Bug";
    failedOnes(items, isBug || failureOf(error).kind === "unknown" ? "unknown" : "refused");
    if (isBug) throw error;
  }
}
