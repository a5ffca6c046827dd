/**
 * Draining (DESIGN §4.5): what is left on servers that are to be emptied, and whether one is safe to stop.
 *
 * Nothing here moves a chunk: replicas on a draining volume don't count towards the goal, so that repair copies each chunk elsewhere (core/repair.ts), after
 * all that is really short; open chunks with a member there are sealed and go on elsewhere; drafts that write there are waited for.
 *
 * Safe to stop is said of a volume when one whole round over the chunk table, begun after its mark was durable, found of every chunk that it holds as many
 * replicas as wanted on other volumes, of which none is being drained: two that are drained at once must not each count on the other. Only volumes that live and
 * have told all that they hold count there (what the log names may have been deleted since), and no chunk that is written, open or being sealed may have it in its
 * chain. A round takes its time: it says nothing when meanwhile a replica that it may have counted was lost, a server that it counted on went, or a mark changed.
 */
import { are, counted } from "../../config/units.ts";
import {
  isHolder,
  replicaCountAt,
  type ReplicaHealth,
  replicaHealthAt,
  replicaVolumeAt,
  replicasAt,
} from "./chunk-replicas.ts";
import type { ChunkView } from "./chunk-scan.ts";
import { chunkAt, handleAt, membersAt, slotOf, stateAt, type VolumeIndex } from "./chunk-table.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import { candidatesOf, tryPlace, whyNoPlace } from "./placement.ts";
import { allVolumes, isCounted, isGone, type Volume, type VolumeTable } from "./volumes.ts";
import type { Limits } from "../../limits.ts";

/** What a round found of one volume. */
export interface DrainLeft {
  /** Sealed chunks that it holds and that have fewer replicas than wanted elsewhere, and their bytes. */
  chunks: number;
  bytes: number;
  /** Chunks being written, open or being sealed, with it in their chain. */
  unsealed: number;
  /** The hardest to move: one that no server can give now; else the sealed one that wants most replicas. */
  hardest: HardChunk | undefined;
}

interface HardChunk {
  readonly handle: ChunkHandle;
  readonly goal: number;
  readonly length: number;
  /** All that have it are dead or retired. */
  readonly unreadable: boolean;
}

/** A round under way, or over. */
export interface DrainRound {
  readonly beganMs: number;
  readonly markChanges: number;
  /** Volumes whose word was taken, and what each had lost when the round began. */
  readonly sure: ReadonlyMap<VolumeIndex, number>;
  readonly left: ReadonlyMap<VolumeIndex, DrainLeft>;
  /** Of chunks that were not sealed after all slots had been looked at: how many each has. */
  readonly unsealed: Map<VolumeIndex, number>;
}

interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

/** Soft state: gone with the process, and known again after a round. */
export interface Drains {
  /** The last whole round. */
  last: DrainRound | undefined;
  /** Bytes left, by volume, as rounds found them, oldest first: for the rate. */
  readonly samples: Map<VolumeIndex, Sample[]>;
  /** What was last told of each in an event: each is told once. */
  readonly told: Map<VolumeIndex, string>;
  /** There may be tails that only forgotten servers had. */
  endsTails: boolean;
}

/** The rate is that of the last so many milliseconds. */
const rateWindowMs = 60_000;

export function createDrains(): Drains {
  return { last: undefined, samples: new Map(), told: new Map(), endsTails: true };
}

export function drainingVolumes(table: VolumeTable): Volume[] {
  return allVolumes(table).filter(({ mark }) => mark === "draining");
}

/** Its word about what it holds is complete, and it is there. */
function isSure(volume: Volume): boolean {
  return isCounted(volume) && volume.liveness === "live" && volume.registration !== undefined && volume.reported;
}

/** Undefined where nothing is drained. Begin it before the first slot is looked at. */
export function beginDrainRound({ chunks, volumes }: ChunkView, nowMs: number): DrainRound | undefined {
  const draining = drainingVolumes(volumes);
  if (draining.length === 0) return undefined;
  const sure = allVolumes(volumes).filter(isSure);
  return {
    beganMs: nowMs,
    markChanges: volumes.markChanges,
    sure: new Map(sure.map(({ index }) => [index, chunks.lost.get(index) ?? 0])),
    left: new Map(draining.map(({ index }) => [index, { chunks: 0, bytes: 0, unsealed: 0, hardest: undefined }])),
    unsealed: new Map(),
  };
}

/** Looks at slots from `from` on and before `end`. */
export function stepDrainRound(view: ChunkView, round: DrainRound, { from, end }: { from: number; end: number }): void {
  for (let slot = from; slot < end; slot++) {
    const state = stateAt(view.chunks, slot);
    if (state === "sealed") visitSealed(view, round, slot);
    else if (state !== undefined) visitUnsealed(view, round, slot);
  }
}

function visitSealed(view: ChunkView, round: DrainRound, slot: number): void {
  const { chunks } = view;
  let leaving = false;
  let sure = 0;
  for (let i = replicaCountAt(chunks, slot) - 1; i >= 0; i--) {
    const health = replicaHealthAt(chunks, slot, i);
    const volume = replicaVolumeAt(chunks, slot, i);
    // An unfinished one holds all the bytes too, and may be the last that does.
    if (round.left.has(volume)) leaving ||= hasAll(health);
    else if (isHolder(health) && round.sure.has(volume)) sure++;
  }
  const goal = chunks.goals.get(slot);
  if (!leaving || sure >= goal) return;
  const length = chunks.lengths.get(slot);
  const chunk = { handle: handleAt(chunks, slot), goal, length, unreadable: isUnreadable(view, slot) };
  for (const { volume, health } of replicasAt(chunks, slot)) {
    const left = round.left.get(volume);
    if (left === undefined || !hasAll(health)) continue;
    left.chunks++;
    left.bytes += length;
    left.hardest = harder(left.hardest, chunk);
  }
}

function visitUnsealed(view: ChunkView, round: DrainRound, slot: number): void {
  const { chunks } = view;
  for (const member of membersAt(chunks, slot)) {
    const left = round.left.get(member);
    if (left === undefined) continue;
    left.unsealed++;
    if (isUnreadable(view, slot))
      left.hardest = harder(left.hardest, { handle: handleAt(chunks, slot), goal: 0, length: 0, unreadable: true });
  }
}

function harder(known: HardChunk | undefined, found: HardChunk): HardChunk {
  if (known === undefined) return found;
  if (known.unreadable !== found.unreadable) return known.unreadable ? known : found;
  return found.goal > known.goal || (found.goal === known.goal && found.length > known.length) ? found : known;
}

/** A replica in this state holds all the bytes. */
function hasAll(health: ReplicaHealth): boolean {
  return isHolder(health) || health === "unfinished";
}

/**
 * Nobody can copy it, or seal it, before a server returns that is dead or retired. One that was not heard of since the master's start may come any moment, and what is unfinished is confirmed
 * soon: neither is told of. What is being written ends by itself, with its draft.
 */
function isUnreadable({ chunks, volumes }: ChunkView, slot: number): boolean {
  const state = stateAt(chunks, slot);
  if (state === "writing") return false;
  const having =
    state === "sealed"
      ? replicasAt(chunks, slot).flatMap(({ volume, health }) => (hasAll(health) ? [volume] : []))
      : membersAt(chunks, slot);
  return having.every((volume) => isGone(volumes.byIndex[volume]));
}

/** After all slots, for each chunk that is not sealed: one that was not sealed when its slot was looked at, or was opened since, in a slot that was free then. */
export function stepDrainUnsealed({ chunks }: ChunkView, round: DrainRound, handle: ChunkHandle): void {
  for (const member of membersAt(chunks, slotOf(chunks, handle)))
    round.unsealed.set(member, (round.unsealed.get(member) ?? 0) + 1);
}

/** All were looked at. A round that something overtook says how much is left all the same, and nothing about safety (`isStillTrue`). */
export function endDrainRound(drains: Drains, { volumes }: ChunkView, round: DrainRound, nowMs: number): void {
  for (const [volume, left] of round.left) {
    left.unsealed = Math.max(left.unsealed, round.unsealed.get(volume) ?? 0);
    const samples = drains.samples.get(volume) ?? [];
    samples.push({ atMs: nowMs, bytes: left.bytes });
    while ((samples[0]?.atMs ?? nowMs) < nowMs - rateWindowMs) samples.shift();
    drains.samples.set(volume, samples);
  }
  for (const volume of drains.samples.keys())
    if (volumes.byIndex[volume]?.mark !== "draining") forgetDrain(drains, volume);
  drains.last = round;
}

/** It is drained no more. */
export function forgetDrain(drains: Drains, volume: VolumeIndex): void {
  drains.samples.delete(volume);
  drains.told.delete(volume);
}

/** Nothing that the round rests on has changed since it began. */
function isStillTrue({ chunks, volumes }: ChunkView, round: DrainRound): boolean {
  if (volumes.markChanges !== round.markChanges) return false;
  for (const [index, lost] of round.sure) {
    const volume = volumes.byIndex[index];
    if (volume === undefined || !isSure(volume) || (chunks.lost.get(index) ?? 0) !== lost) return false;
  }
  return true;
}

export interface DrainProgress {
  /** Safe to stop: no chunk needs it. */
  readonly safe: boolean;
  /** Undefined before the first round since the mark or the master's start. */
  readonly left: Omit<DrainLeft, "hardest"> | undefined;
  /** Of the last minute; 0 where nothing moved. */
  readonly bytesPerSecond: number;
  /** Undefined where nothing tells. */
  readonly estimateMs: number | undefined;
  /** Why it can't be finished as things are, for people; undefined where it can. */
  readonly stuck: string | undefined;
}

/** How far a volume is that is being drained. */
export function drainProgress(
  drains: Drains,
  view: ChunkView,
  of: { readonly volume: VolumeIndex; readonly limits: Limits },
): DrainProgress {
  const round = drains.last?.markChanges === view.volumes.markChanges ? drains.last : undefined;
  const found = round?.left.get(of.volume);
  if (round === undefined || found === undefined || view.safeMode)
    return { safe: false, left: undefined, bytesPerSecond: 0, estimateMs: undefined, stuck: undefined };
  const { hardest, ...left } = found;
  const bytesPerSecond = rateOf(drains.samples.get(of.volume) ?? []);
  return {
    safe: left.chunks === 0 && left.unsealed === 0 && isStillTrue(view, round),
    left,
    bytesPerSecond,
    estimateMs: left.chunks === 0 ? 0 : bytesPerSecond > 0 ? (left.bytes / bytesPerSecond) * 1_000 : undefined,
    stuck: hardest === undefined ? undefined : whyStuck(view, round, hardest.handle, of.limits),
  };
}

function rateOf(samples: readonly Sample[]): number {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
  return Math.max(0, ((first.bytes - last.bytes) * 1_000) / (last.atMs - first.atMs));
}

/** Undefined where somebody can give it and one more replica can be placed, and where the last one that was wanted came after the round. */
function whyStuck(view: ChunkView, round: DrainRound, handle: ChunkHandle, limits: Limits): string | undefined {
  const slot = slotOf(view.chunks, handle);
  const chunk = slot < 0 ? undefined : chunkAt(view.chunks, slot);
  if (chunk === undefined) return undefined;
  if (isUnreadable(view, slot))
    return chunk.state === "sealed"
      ? `chunk ${handle} has no replica that can be read now`
      : `chunk ${handle} can't be sealed: all of its servers are dead or retired`;
  if (chunk.state !== "sealed") return undefined;
  const replicas = replicasAt(view.chunks, slot);
  if (replicas.filter(({ volume, health }) => isHolder(health) && round.sure.has(volume)).length >= chunk.goal)
    return undefined;
  const others = allVolumes(view.volumes).filter((volume) => isCounted(volume) && volume.liveness === "live").length;
  if (others < chunk.goal)
    return `chunk ${handle} wants ${counted(chunk.goal, "replica")}, and ${counted(others, "other server")} ${are(others)} live and not being drained`;
  const candidates = candidatesOf(view.volumes);
  const request = {
    replicas: 1,
    minReplicas: 1,
    bytes: chunk.length,
    use: "new" as const,
    from: {},
    excluded: new Set<VolumeIndex>(),
    // A bad one is in nobody's way for good.
    holders: replicas.filter(({ health }) => hasAll(health)).map(({ volume }) => volume),
    weights: limits,
    what: `another replica of chunk ${handle}`,
  };
  return tryPlace(candidates, request) === undefined ? whyNoPlace(candidates, request).message : undefined;
}
