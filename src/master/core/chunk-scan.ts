/**
 * The round over the chunk table, in slices, that finds what is short, lost, surplus or misplaced: for repair, garbage and status. Deaths,
 * reports and returns ask for another round.
 */
import type { ChunkHandle, ChunkVersion, InodeId } from "../../wire/ids.ts";
import { countLost, countShort, countUnsealed, noCounts, type ScanCounts } from "./chunk-health.ts";
import { isHolder, replicaCountAt, replicaHealthAt, replicasAt, replicaVolumeAt } from "./chunk-replicas.ts";
import type { Replica } from "./chunk-replicas.ts";
import { chunkAt, handleAt, membersAt, stateAt } from "./chunk-table.ts";
import type { ChunkTable, VolumeIndex } from "./chunk-table.ts";
import { candidateOf, freeShare } from "./placement.ts";
import { crowding, type RackTable, rackTable } from "./rack-spread.ts";
import { awaitsReports, isCounted, isGone, nameAmong, volumeAt } from "./volumes.ts";
import type { VolumeTable } from "./volumes.ts";

export interface ChunkView {
  readonly chunks: ChunkTable;
  readonly volumes: VolumeTable;
  /** What isn't reported yet is pending, not lost. */
  readonly safeMode: boolean;
}

export interface ShortOne {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly inode: InodeId | undefined;
  readonly healthy: number;
  readonly wanted: number;
  readonly state: "sealed" | "open" | "sealing";
  /** One line for people. For a sealing chunk its machine knows better: `waitsFor`. */
  readonly why: string;
  /** Lower is worse: 0 lost, then copies left. */
  readonly rank: number;
}

export interface ChunkScan {
  slot: number;
  running: boolean;
  wanted: boolean;
  counts: ScanCounts;
  shortOnes: ShortOne[];
  /** Of the last whole round; undefined before the first. */
  finished: { readonly counts: ScanCounts; readonly shortOnes: readonly ShortOne[]; readonly atMs: number } | undefined;
}

const shortOnesMax = 100;
/** Slots that a step visits in a few milliseconds, also when every chunk is short. */
export const scanSlotsPerSlice = 2_048;

export function createChunkScan(): ChunkScan {
  return { slot: 0, running: false, wanted: true, counts: noCounts(), shortOnes: [], finished: undefined };
}

/** Something changed: a round under way is followed by another. */
export function wantScan(scan: ChunkScan): void {
  scan.wanted = true;
}

/** Holders on volumes that aren't dead or retired. One that the master has not heard of since its start still counts. */
export function holderCountAt(view: ChunkView, slot: number): number {
  let count = 0;
  for (let i = 0; i < replicaCountAt(view.chunks, slot); i++) {
    if (!isHolder(replicaHealthAt(view.chunks, slot, i))) continue;
    if (!isGone(view.volumes.byIndex[replicaVolumeAt(view.chunks, slot, i)])) count++;
  }
  return count;
}

/** Of the holders those that count towards the goal: not on a volume that is being drained. */
export function countedHoldersAt(view: ChunkView, slot: number): number {
  let count = 0;
  for (let i = 0; i < replicaCountAt(view.chunks, slot); i++) {
    const volume = view.volumes.byIndex[replicaVolumeAt(view.chunks, slot, i)];
    if (isHolder(replicaHealthAt(view.chunks, slot, i)) && !isGone(volume) && isCounted(volume)) count++;
  }
  return count;
}

/** A replica that nobody told of yet may still be reported: until then nothing is called short or lost. */
export function awaitsTelling(view: Pick<ChunkView, "safeMode" | "volumes">): boolean {
  return view.safeMode || awaitsReports(view.volumes);
}

/** Too few of its holders have registered since the master's start to say that the goal is reached. */
export function awaitsHolders(view: ChunkView, slot: number): boolean {
  let heard = 0;
  for (let i = 0; i < replicaCountAt(view.chunks, slot); i++) {
    const volume = view.volumes.byIndex[replicaVolumeAt(view.chunks, slot, i)];
    if (volume?.registration !== undefined && !isGone(volume) && isHolder(replicaHealthAt(view.chunks, slot, i)))
      heard++;
  }
  return heard < view.chunks.goals.get(slot);
}

/** Of a sealed chunk. pending: too little was told since the master's start to know. */
export function verdictAt(
  view: ChunkView,
  slot: number,
  { holders = holderCountAt(view, slot), awaiting }: { holders?: number; awaiting?: boolean } = {},
): "healthy" | "pending" | "short" | "lost" {
  if (holders >= view.chunks.goals.get(slot)) return awaitsHolders(view, slot) ? "pending" : "healthy";
  if (awaiting ?? awaitsTelling(view)) return "pending";
  if (holders > 0) return "short";
  return replicasAt(view.chunks, slot).some((replica) => mayCome(view, replica)) ? "pending" : "lost";
}

/** Chunks that were copied elsewhere by balance (balance.ts), each with the volume whose replica is to go for it. */
export type MovedOff = ReadonlyMap<ChunkHandle, { readonly source: VolumeIndex }>;

export interface ScanStep {
  /** Sealed chunks with fewer holders than wanted, and at least one. `moving`: whole, but not without those on volumes that are being drained. */
  readonly short: { readonly handle: ChunkHandle; readonly holders: number; readonly moving?: boolean }[];
  /** Replicas too many: the goal is reached without them, by what volumes reported. */
  readonly surplus: { readonly handle: ChunkHandle; readonly volume: VolumeIndex }[];
  /** Live volumes that have not said that they hold a chunk of which there are too many, as the log alone knows: some with every such chunk. */
  readonly unreported: VolumeIndex[];
  /** Sealed chunks with as many holders as wanted, too many of them in one rack. */
  readonly misplaced: ChunkHandle[];
}

/** Visits at most `slotsMax` slots; begins a round where one is wanted. The round is complete when `scan.running` is false. */
export function stepScan(
  view: ChunkView,
  scan: ChunkScan,
  { slotsMax, nowMs, movedOff }: { slotsMax: number; nowMs: number; movedOff?: MovedOff },
): ScanStep {
  const step: ScanStep = { short: [], surplus: [], unreported: [], misplaced: [] };
  if (!scan.running) {
    if (!scan.wanted) return step;
    Object.assign(scan, { slot: 0, running: true, wanted: false, counts: noCounts(), shortOnes: [] });
  }
  const round = { racks: rackTable(view.volumes), awaiting: awaitsTelling(view), step, movedOff };
  const end = Math.min(view.chunks.slotEnd, scan.slot + slotsMax);
  for (let slot = scan.slot; slot < end; slot++) visit(view, scan, { ...round, slot });
  scan.slot = end;
  if (end < view.chunks.slotEnd) return step;
  scan.running = false;
  scan.finished = { counts: scan.counts, shortOnes: scan.shortOnes, atMs: nowMs };
  return step;
}

function visit(
  view: ChunkView,
  scan: ChunkScan,
  at: { slot: number; racks: RackTable; awaiting: boolean; step: ScanStep; movedOff: MovedOff | undefined },
): void {
  const { slot, racks, awaiting, step, movedOff } = at;
  const state = stateAt(view.chunks, slot);
  if (state === undefined || state === "writing") return;
  const { counts } = scan;
  counts.total++;
  if (state !== "sealed") {
    counts[state]++;
    countUnsealed(view, counts, slot);
    if (state === "sealing") noteShort(view, scan, { slot, healthy: 0 });
    return;
  }
  const holders = holderCountAt(view, slot);
  const goal = view.chunks.goals.get(slot);
  const bytes = view.chunks.lengths.get(slot);
  counts.totalBytes += bytes;
  // With one too many that is the one to go.
  const misplaced = holders <= goal && crowding(view.chunks, slot, racks) > 0;
  if (misplaced) counts.misplaced++;
  const verdict = verdictAt(view, slot, { holders, awaiting });
  if (verdict === "short") countShort(counts, { holders, goal, bytes });
  else if (verdict === "lost") countLost(view, counts, slot);
  else counts[verdict]++;
  if (verdict === "short" || verdict === "lost") noteShort(view, scan, { slot, healthy: holders });
  if (holders < goal) {
    if (holders > 0 && !awaiting) step.short.push({ handle: handleAt(view.chunks, slot), holders });
  } else if (countedHoldersAt(view, slot) < goal)
    step.short.push({ handle: handleAt(view.chunks, slot), holders, moving: true });
  else if (holders > goal) findSurplus(view, slot, { racks, step, movedOff });
  else if (misplaced) step.misplaced.push(handleAt(view.chunks, slot));
}

/** A replica that holds all of it, to be finished as soon as its volume is told. */
function mayCome(view: ChunkView, replica: Replica): boolean {
  return replica.health === "unfinished" && !isGone(view.volumes.byIndex[replica.volume]);
}

/** The worst first: lost ones, then by copies left. Of those that are being sealed it is not known. */
function noteShort(view: ChunkView, scan: ChunkScan, found: { slot: number; healthy: number }): void {
  const ones = scan.shortOnes;
  const { slot, healthy } = found;
  const rank = stateAt(view.chunks, slot) === "sealed" ? healthy : Number.MAX_SAFE_INTEGER;
  if (ones.length >= shortOnesMax && rank >= (ones.at(-1)?.rank ?? 0)) return;
  const chunk = chunkAt(view.chunks, slot);
  if (chunk === undefined || chunk.state === "writing") return;
  const { handle, version, state, goal: wanted, owner } = chunk;
  const inode = owner.kind === "inode" ? owner.inode : undefined;
  const why = state === "sealed" ? whyShort(view, slot) : state === "sealing" ? "it is being sealed" : "it is open";
  const better = ones.findIndex((other) => other.rank > rank);
  ones.splice(better < 0 ? ones.length : better, 0, { handle, version, inode, healthy, wanted, state, why, rank });
  ones.length = Math.min(ones.length, shortOnesMax);
}

/** What became of each volume that should hold it. One that is forgotten, or has it no longer, is named where nothing else tells: its copy was made elsewhere since, or it is why. */
export function whyShort(view: ChunkView, slot: number): string {
  const replicas = new Map(replicasAt(view.chunks, slot).map((replica) => [replica.volume, replica.health]));
  const volumes = new Set([...membersAt(view.chunks, slot), ...replicas.keys()]);
  const parts: string[] = [];
  /** May be long ago, and have been made good since. */
  const once: string[] = [];
  for (const index of volumes) {
    const volume = volumeAt(view.volumes, index);
    const health = replicas.get(index);
    const name = nameAmong(view.volumes, volume);
    if (volume.mark === "forgotten") once.push(`${name} is forgotten`);
    else if (health === undefined) once.push(`${name} no longer has it`);
    else if (isGone(volume)) parts.push(`${name} is ${volume.liveness}`);
    else if (!isHolder(health)) parts.push(`its replica on ${name} is ${health}`);
  }
  const goal = view.chunks.goals.get(slot);
  const holders = holderCountAt(view, slot);
  const made = membersAt(view.chunks, slot).length;
  if (holders + parts.length < goal) {
    if (holders > 0 && made < goal) parts.push(`it was made with ${made}, and ${goal} are wanted`);
    else parts.push(...once);
  }
  if (parts.length > 0) return parts.join("; ");
  return holders > 0 ? "more replicas are wanted than it has" : "no server that is known has it";
}

/**
 * Only replicas that live volumes themselves reported count, and only above the goal. Removed are those on volumes that are being drained, for the goal is
 * reached without them; of the others first the one that balance moved off its volume, then those of the rack that has most, then those on the fullest volumes.
 */
function findSurplus(
  view: ChunkView,
  slot: number,
  into: { racks: RackTable; step: Pick<ScanStep, "surplus" | "unreported">; movedOff: MovedOff | undefined },
): void {
  const goal = view.chunks.goals.get(slot);
  const { surplus } = into.step;
  const live = replicasAt(view.chunks, slot).filter(({ volume }) => view.volumes.byIndex[volume]?.liveness === "live");
  for (const { volume, health } of live) if (health === "named") into.step.unreported.push(volume);
  const reported = live.filter(({ health }) => health === "healthy").map(({ volume }) => volume);
  const sure = reported.filter((volume) => isCounted(view.volumes.byIndex[volume]));
  if (sure.length < goal) return;
  for (const volume of reported)
    if (!sure.includes(volume)) surplus.push({ handle: handleAt(view.chunks, slot), volume });
  const rackOf = (index: VolumeIndex): number => into.racks.of[index] ?? -1;
  const moved = into.movedOff?.get(handleAt(view.chunks, slot))?.source;
  while (sure.length > goal) {
    const together = (index: VolumeIndex): number => sure.filter((other) => rackOf(other) === rackOf(index)).length;
    const free = (index: VolumeIndex): number => freeShare(candidateOf(volumeAt(view.volumes, index)));
    const [worst] = sure.toSorted(
      (a, b) => Number(b === moved) - Number(a === moved) || together(b) - together(a) || free(a) - free(b) || b - a,
    );
    if (worst === undefined) return;
    sure.splice(sure.indexOf(worst), 1);
    surplus.push({ handle: handleAt(view.chunks, slot), volume: worst });
  }
}
