/** Full reports of volumes: taken page by page in slices, and what they prove is acted on (DESIGN §4.1, §4.5). */
import { unreachable } from "../base/assert.ts";
import type { report } from "../wire/control/chunkservers.ts";
import { type ChunkHandle, chunkVersion } from "../wire/ids.ts";
import { hearBad } from "./bad-replica.ts";
import { inBackground, inSlices, isAccepted, type MasterContext, nowMs, stopMutations } from "./context.ts";
import { noteReplicaFact } from "./core/chunk-replicas.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { findChunk, type VolumeIndex } from "./core/chunk-table.ts";
import type { RequestOf } from "./core/decision.ts";
import { queueGarbage } from "./core/garbage.ts";
import {
  absenceSlotsPerSlice,
  pageJob,
  reportComplete,
  reportEntriesPerSlice,
  type ReportFinding,
  reportSuperseded,
  stepAbsences,
  stepPage,
  takePage,
} from "./core/reports.ts";
import { findVolume, noteReported, type Volume, volumeAt } from "./core/volumes.ts";
import { finishReplica } from "./seal-messages.ts";

/** Of one page: each of them is a sync on the volume's disk. */
const finishesAtOnceMax = 512;

/** Returns when the page is applied. Pages of an older report or incarnation say nothing. @throws GfsError("ProtocolError") */
export async function takeReportPage(ctx: MasterContext, page: RequestOf<typeof report>): Promise<void> {
  const volume = findVolume(ctx.state.volumes, page.volume);
  if (volume === undefined) return;
  if (takePage(volume, { ...page, factMark: page.factMark }) !== "accepted") return;
  if (page.page === 0) reportSuperseded(ctx.soft.absences, volume.index);
  const job = pageJob(volume, { ...page, factMark: page.factMark });
  if (job === undefined) return;
  const unfinished: ChunkHandle[] = [];
  let whole = false;
  await inSlices(ctx, () => {
    // Another report, or another process, has taken its place.
    if (volume.report?.seen !== job.progress.seen) return "done";
    const step = stepPage(ctx.state.chunks, job, reportEntriesPerSlice);
    for (const finding of step.findings) {
      if (finding.kind === "unfinished") unfinished.push(finding.handle);
      else takeFinding(ctx, volume, finding);
    }
    whole = step.done;
    return step.done ? "done" : "more";
  });
  if (unfinished.length > 0) inBackground(ctx, "finish replicas", finishReplicas(ctx, volume.index, unfinished));
  if (!whole || !page.last) return;
  reportComplete(ctx.soft.absences, volume);
}

function takeFinding(ctx: MasterContext, volume: Volume, finding: ReportFinding): void {
  const { handle, kind } = finding;
  switch (kind) {
    case "unfinished":
      return;
    case "stale":
    case "corrupt":
    case "unknown":
    case "released":
      queueGarbage(
        ctx.soft.garbage,
        { handle, volume: volume.index, cause: kind },
        { nowMs: nowMs(ctx), limits: ctx.limits },
      );
      if (kind === "stale" || kind === "corrupt") wantScan(ctx.soft.scan);
      return;
    case "early":
      hearBad(ctx, volume.index, [{ handle, version: finding.dataVersion, reason: "corrupt" }]);
      return;
    case "behind": {
      const version = chunkVersion(Math.max(finding.promisedVersion, finding.dataVersion));
      if (isAccepted(ctx, handle, version)) return;
      ctx.soft.highestHandle = Math.max(ctx.soft.highestHandle, handle);
      ctx.soft.higherVersions.set(handle, chunkVersion(Math.max(version, ctx.soft.higherVersions.get(handle) ?? 0)));
      stopMutations(ctx, {
        kind: "version",
        // One stands for all: there may be as many as chunks.
        rank: 0,
        why: `${volume.label === "" ? volume.volume : volume.label} holds chunk ${handle} at version ${version}, which this master's log does not know: its data directory is an old copy`,
      });
      return;
    }
    default:
      unreachable(kind);
  }
}

/** Replicas that hold all of a sealed chunk but were never told that it is sealed. After a failure a new report tells where they stand. */
async function finishReplicas(ctx: MasterContext, volume: VolumeIndex, handles: readonly ChunkHandle[]): Promise<void> {
  for (let at = 0; at < handles.length; at += finishesAtOnceMax)
    await Promise.all(handles.slice(at, at + finishesAtOnceMax).map((handle) => finishOne(ctx, volume, handle)));
  wantScan(ctx.soft.scan);
}

async function finishOne(ctx: MasterContext, volume: VolumeIndex, handle: ChunkHandle): Promise<void> {
  const chunk = findChunk(ctx.state.chunks, handle);
  // Of a seal under way its machine sends the finishes.
  if (chunk?.state !== "sealed" || ctx.soft.seals.has(handle)) return;
  const { version, length, crc } = chunk;
  const { kind } = await finishReplica(ctx, { volume, handle, version, length, crc });
  if (kind !== "done") volumeAt(ctx.state.volumes, volume).reportWanted = true;
  else if (findChunk(ctx.state.chunks, handle)?.version === version)
    noteReplicaFact(ctx.state.chunks, handle, { volume, health: "healthy" });
}

/** Resolves what complete reports lack. */
export async function resolveAbsences(ctx: MasterContext): Promise<void> {
  await inSlices(ctx, () => {
    const { absent, resolved, idle } = stepAbsences(ctx.state.chunks, ctx.soft.absences, absenceSlotsPerSlice);
    for (const index of resolved) {
      const volume = volumeAt(ctx.state.volumes, index);
      if (!noteReported(volume)) continue;
      ctx.world.events.emit("info", "volume.reported", { volume: volume.volume, label: volume.label });
    }
    if (absent.length > 0 || resolved.length > 0) wantScan(ctx.soft.scan);
    return idle ? "done" : "more";
  });
}
