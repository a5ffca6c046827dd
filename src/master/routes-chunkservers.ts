/** What chunkservers tell: who they are, that they live, what they hold (wire/control/chunkservers.ts; DESIGN §4.5). */
import { GfsError } from "../base/errors.ts";
import { type Route, route } from "../net/control-server.ts";
import { heartbeat, register, report } from "../wire/control/chunkservers.ts";
import { hearBad } from "./bad-replica.ts";
import { type MasterContext, nowMs, requireNotStopped, stopMutations } from "./context.ts";
import { handFactMark } from "./core/chunk-replicas.ts";
import { isStranger } from "./core/chunk-table.ts";
import { wantScan } from "./core/chunk-scan.ts";
import type { ReplyOf, RequestOf } from "./core/decision.ts";
import { settleRestarted } from "./core/garbage.ts";
import { hearOpenReplicas, sealForVolume } from "./core/leases.ts";
import { scrubTerms } from "./core/runtime-settings.ts";
import { findVolume, heartbeatVolume, nextVolumeIndex, registerVolume, type Volume, volumeAt } from "./core/volumes.ts";
import { noteFullness } from "./full-servers.ts";
import { takeReportPage } from "./reports.ts";
import { chunkHandle } from "../wire/ids.ts";
import { hearScrub } from "./scrub-news.ts";
import { sealAll } from "./sealer.ts";
import { clusterIdOf, epochOf } from "./status.ts";
import { livenessChanged } from "./volume-changes.ts";

type Registering = RequestOf<typeof register>;

/** Incarnations that another one of the same volume has taken the place of; so many are remembered a volume. */
const supersededMax = 64;

export function chunkserverRoutes(ctx: MasterContext): Route[] {
  const superseded = new Map<number, Set<string>>();
  return [
    route(register, async (request) => ctx.engine.release(registerServer(ctx, request, superseded))),
    route(heartbeat, async (request) => ctx.engine.release(hearHeartbeat(ctx, request))),
    route(report, async (request) => {
      await takeReportPage(ctx, request);
      return ctx.engine.release({});
    }),
  ];
}

function registerServer(
  ctx: MasterContext,
  request: Registering,
  superseded: Map<number, Set<string>>,
): ReplyOf<typeof register> {
  const { state, engine, limits } = ctx;
  const name = request.label === "" ? request.volume : request.label;
  const clusterId = clusterIdOf(ctx);
  if (request.clusterId !== undefined && request.clusterId !== clusterId) {
    throw new GfsError(
      "WrongCluster",
      `Cannot register ${name} at ${request.control}: it belongs to cluster ${request.clusterId}, this is ${clusterId}`,
    );
  }
  const known = findVolume(state.volumes, request.volume);
  if (known?.mark === "forgotten") {
    throw new GfsError(
      "Denied",
      `Cannot register ${name} at ${request.control}: this cluster has forgotten volume ${request.volume} (gfs decommission); with an empty data directory it joins as a new one`,
    );
  }
  if (known !== undefined) refuseSecond(ctx, known, { request, superseded });
  noteWhatItKnows(ctx, request, name);
  if (known !== undefined) ctx.soft.volumesAwaitedUntilMs = undefined;
  else {
    requireNotStopped(ctx);
    const index = nextVolumeIndex(state.volumes);
    engine.apply([{ kind: "volume-added", index, volume: request.volume, label: request.label }]);
  }
  const volume = known ?? volumeAt(state.volumes, nextVolumeIndex(state.volumes) - 1);
  const before = volume.registration?.incarnation;
  const now = nowMs(ctx);
  const factMark = handFactMark(state.chunks, now);
  const { incarnation, label, control, data, location, rack, space } = request;
  const registration = { incarnation, label, control, data, location, rack, space, factMark };
  const { kind, change } = registerVolume(volume, registration, now);
  if (request.metadata === undefined) ctx.soft.heldMetadata.delete(volume.index);
  else ctx.soft.heldMetadata.set(volume.index, request.metadata);
  if (before !== undefined && before !== incarnation) supersede(superseded, volume.index, before);
  const joining = known === undefined ? "joined" : kind;
  ctx.world.events.emit("info", "volume.registered", { volume: request.volume, label, control, data, kind: joining });
  // That it was not heard of before the master's start is no silence.
  if (change !== undefined && !(kind === "new" && change.from === "suspect")) livenessChanged(ctx, change);
  if (kind !== "again") settleRestarted(ctx.soft.garbage, volume.index);
  noteFullness(ctx, volume);
  // Its roles ended with its process.
  if (kind === "restarted") sealAll(ctx, sealForVolume(state.chunks, volume.index, `${name} restarted`));
  wantScan(ctx.soft.scan);
  const { heartbeatMs, leaseMs, reportIntervalMs } = limits;
  return { clusterId, epoch: epochOf(ctx), heartbeatMs, leaseMs, reportIntervalMs, factMark };
}

/** @throws GfsError("Denied") where another process answers for the volume */
function refuseSecond(
  ctx: MasterContext,
  known: Volume,
  { request, superseded }: { readonly request: Registering; readonly superseded: Map<number, Set<string>> },
): void {
  const { registration } = known;
  if (registration === undefined || registration.incarnation === request.incarnation) return;
  const silentMs = nowMs(ctx) - known.heardMs;
  const recent = silentMs < ctx.limits.heartbeatMs * ctx.limits.suspectHeartbeats;
  const elsewhere = hostOf(registration.control) !== hostOf(request.control);
  const older = superseded.get(known.index)?.has(request.incarnation) === true;
  if (!older && !(recent && elsewhere)) return;
  throw new GfsError(
    "Denied",
    `Cannot register volume ${request.volume} at ${request.control}: the server at ${registration.control} has it; is this a copy of its directory?`,
  );
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

function supersede(superseded: Map<number, Set<string>>, index: number, incarnation: string): void {
  const known = superseded.get(index) ?? new Set();
  superseded.set(index, known.add(incarnation));
  const [oldest] = known;
  if (known.size > supersededMax && oldest !== undefined) known.delete(oldest);
}

/** A volume that knows a later epoch or handle than our log proves that we are an old copy (DESIGN §4.1). */
function noteWhatItKnows(ctx: MasterContext, request: Registering, name: string): void {
  const { state, soft } = ctx;
  const ours = epochOf(ctx);
  const { highestHandle } = request;
  if (highestHandle > 0 && isStranger(state.chunks, chunkHandle(highestHandle))) {
    soft.highestHandle = Math.max(soft.highestHandle, highestHandle);
    stopMutations(ctx, {
      kind: "handle",
      rank: highestHandle,
      why: `${name} knows chunk ${highestHandle}, which this master has not given out: its data directory is an old copy`,
    });
  }
  const entry = request.metadata?.last ?? 0;
  if (entry > ctx.engine.position && entry > soft.acceptedEntry) {
    soft.highestEntry = Math.max(soft.highestEntry, entry);
    stopMutations(ctx, {
      kind: "copy",
      rank: entry,
      why: `${name} keeps a copy of the log up to entry ${entry}, and this master's ends at ${ctx.engine.position}: its data directory is an old copy (the later one is taken by gfs master restore --force --data-dir DIR --from ${request.control})`,
    });
  }
  const theirs = request.epoch;
  if (theirs === undefined) return;
  if (theirs.number > ours.number || (theirs.number === ours.number && theirs.startId !== ours.startId)) {
    soft.highestEpoch = Math.max(soft.highestEpoch, theirs.number);
    stopMutations(ctx, {
      kind: "start",
      rank: theirs.number,
      why: `${name} has obeyed start ${theirs.number} of the master, and this is start ${ours.number}: its data directory is an old copy, or another master runs on one`,
    });
  }
}

function hearHeartbeat(ctx: MasterContext, request: RequestOf<typeof heartbeat>): ReplyOf<typeof heartbeat> {
  const { state, limits, soft } = ctx;
  const now = nowMs(ctx);
  const volume = findVolume(state.volumes, request.volume);
  const { incarnation, space, streams, retired, scrub } = request;
  const scrubBefore = volume?.registration?.incarnation === incarnation ? volume.scrub : undefined;
  const heard =
    volume === undefined
      ? undefined
      : heartbeatVolume(volume, { incarnation, space, streams, retired, scrub }, { nowMs: now, limits });
  const epoch = epochOf(ctx);
  if (volume === undefined || heard?.known !== true) return { known: false, epoch, leases: [], report: false };
  volume.placements = 0;
  volume.pace.times = request.times;
  noteFullness(ctx, volume);
  if (heard.change !== undefined) livenessChanged(ctx, heard.change);
  hearBad(ctx, volume.index, request.bad);
  hearScrub(ctx, volume, scrubBefore);
  const label = volume.label === "" ? volume.volume : volume.label;
  const { extended, mustSeal } = hearOpenReplicas(
    { leases: soft.leases, chunks: state.chunks },
    { volume: volume.index, label, open: request.open },
    { nowMs: now, leaseMs: limits.leaseMs },
  );
  sealAll(ctx, mustSeal);
  const leases = soft.mutationsStopped === undefined ? extended.slice(0, 16_384) : [];
  const factMark = handFactMark(state.chunks, now);
  return { known: true, epoch, leases, report: volume.reportWanted, factMark, scrub: scrubTerms(state) };
}
