/**
 * The volumes of the cluster: durably an index, id, label and mark each; softly where they are, how full, whether alive (DESIGN §2, §4.1, §4.5).
 * Few enough for an object each.
 */
import { defined, fail } from "../../base/assert.ts";
import type { VolumeSpace } from "../../wire/control/chunkservers.ts";
import type { Location, VolumeAddress } from "../../wire/control/common.ts";
import type { ScrubReport } from "../../wire/control/scrub.ts";
import type { DraftId, VolumeId } from "../../wire/ids.ts";
import type { VolumeMark } from "../../wire/log-records.ts";
import type { VolumeIndex } from "./chunk-table.ts";
import { nextLiveness } from "./liveness.ts";
import type { Liveness, LivenessLimits } from "./liveness.ts";
import { newPace, type Pace } from "./pace.ts";

/** What a volume told when it registered. */
export interface Registration {
  readonly incarnation: string;
  readonly label: string;
  readonly control: string;
  readonly data: string;
  readonly location: Location | undefined;
  readonly rack: string | undefined;
  readonly space: VolumeSpace;
  /** Fact mark at the registration: facts up to it precede every report of this incarnation. */
  readonly factMark: number;
}

export interface ReportProgress {
  readonly number: number;
  readonly nextPage: number;
  readonly factMark: number;
  /** Marks the replicas that this report lists: 1 to 255. */
  readonly seen: number;
  /**
   * Pages applied whole, and how many there are, known with the last one: pages may be applied side by side. `missed`: it tells of good replicas that nobody else has told of, of chunks that
   * something happened to after it began: only the next report counts for those.
   */
  readonly tally: { applied: number; pages: number | undefined; missed: number };
}

export interface Volume {
  readonly index: VolumeIndex;
  readonly volume: VolumeId;
  label: string;
  /** An operator's will (core/drain.ts). A forgotten one is dead for ever, and left out by `allVolumes`. */
  mark: VolumeMark;
  registration: Registration | undefined;
  liveness: Liveness;
  retiredReason: string | undefined;
  /** Of the last heartbeat or registration; of the master's start before the first. */
  heardMs: number;
  space: VolumeSpace;
  streams: number;
  scrub: ScrubReport | undefined;
  /** Chunks placed here and not finished, by this master: breaks ties before the next heartbeat tells. */
  placements: number;
  reservedBytes: number;
  report: ReportProgress | undefined;
  /** Reports begun, of all incarnations: gives each its `seen`. */
  reportsBegun: number;
  /** A full report of this incarnation is complete, its absences resolved. */
  reported: boolean;
  /**
   * Known from the log, and has not told this master all that it holds: replicas made since the log named the members of their chunks are known by its report alone. Awaited until then, but
   * not while it is gone, and not for ever (`endWaits`).
   */
  expected: boolean;
  /** When it first registered with this start of the master; 0 before. */
  firstRegisteredMs: number;
  /** When this incarnation registered; 0 before. */
  registeredMs: number;
  /** The master wants a report: said in the next heartbeat's answer. */
  reportWanted: boolean;
  readonly pace: Pace;
  /** Takes no new chunks for want of space. */
  full: boolean;
}

export interface VolumeTable {
  readonly byIndex: (Volume | undefined)[];
  readonly byId: Map<VolumeId, Volume>;
  readonly reservations: Map<DraftId, Map<VolumeIndex, number>>;
  /** Marks changed since the start. */
  markChanges: number;
}

export interface LivenessChange {
  readonly volume: Volume;
  readonly from: Liveness;
  readonly to: Liveness;
  /** Since it was heard of before. */
  readonly silentMs: number;
}

const noSpace: VolumeSpace = { totalBytes: 0, freeBytes: 0, usedBytes: 0 };

export function createVolumeTable(): VolumeTable {
  return { byIndex: [], byId: new Map(), reservations: new Map(), markChanges: 0 };
}

/** Log record `volume-added`. */
export function applyVolumeAdded(
  table: VolumeTable,
  added: { readonly index: VolumeIndex; readonly volume: VolumeId; readonly label: string },
): void {
  if (table.byIndex[added.index] !== undefined) fail(`volume index ${added.index} is taken`);
  if (table.byId.has(added.volume)) fail(`volume ${added.volume} has an index already`);
  const volume: Volume = {
    ...added,
    mark: "none",
    registration: undefined,
    liveness: "suspect",
    retiredReason: undefined,
    heardMs: 0,
    space: noSpace,
    streams: 0,
    scrub: undefined,
    placements: 0,
    reservedBytes: 0,
    report: undefined,
    reportsBegun: 0,
    reported: false,
    expected: false,
    firstRegisteredMs: 0,
    registeredMs: 0,
    reportWanted: false,
    pace: newPace(),
    full: false,
  };
  table.byIndex[added.index] = volume;
  table.byId.set(added.volume, volume);
}

/** Log record `volume-marked`. What is forgotten has no way back. */
export function applyVolumeMarked(table: VolumeTable, index: VolumeIndex, mark: VolumeMark): void {
  const volume = volumeAt(table, index);
  if (volume.mark === "forgotten") fail(`volume ${volume.volume} is forgotten already`);
  volume.mark = mark;
  table.markChanges++;
  if (mark !== "forgotten") return;
  Object.assign(volume, { registration: undefined, liveness: "dead", space: noSpace, report: undefined });
}

/** The index for the next `volume-added`. */
export function nextVolumeIndex(table: VolumeTable): VolumeIndex {
  return table.byIndex.length;
}

export function volumeAt(table: VolumeTable, index: VolumeIndex): Volume {
  return defined(table.byIndex[index], `volume with index ${index}`);
}

export function findVolume(table: VolumeTable, volume: VolumeId): Volume | undefined {
  return table.byId.get(volume);
}

/** Of a replica: nobody is to be told of one that lies on a server which the cluster has forgotten. */
export function isForgotten(table: VolumeTable, index: VolumeIndex): boolean {
  return table.byIndex[index]?.mark === "forgotten";
}

/** All but those that are forgotten. */
export function allVolumes(table: VolumeTable): Volume[] {
  return table.byIndex.filter((volume): volume is Volume => volume !== undefined && volume.mark !== "forgotten");
}

/** Its replicas count towards the goal of their chunks, where they are good and it is not gone. */
export function isCounted(volume: Volume | undefined): boolean {
  return volume?.mark === "none";
}

/** For people. */
export function nameOf(volume: Volume): string {
  return volume.label === "" ? volume.volume.slice(0, 8) : volume.label;
}

/** For people, where a disk that was replaced may have left two of one label: told apart as by `gfs servers`. */
export function nameAmong(table: VolumeTable, volume: Volume): string {
  const { label } = volume;
  const isTwin = (other: Volume | undefined): boolean =>
    other !== undefined && other !== volume && other.label === label && other.mark !== "forgotten";
  const twin = label !== "" && table.byIndex.some(isTwin);
  return twin ? `${nameOf(volume)} (volume ${volume.volume.slice(0, 12)})` : nameOf(volume);
}

/** Stands for the address of one that has not registered since the master's start. */
export const unknownAddress = "127.0.0.1:0";

/** As others reach it; undefined until it registered with this master. */
export function addressOf(volume: Volume): VolumeAddress | undefined {
  const { registration } = volume;
  if (registration === undefined) return undefined;
  const { control, data, rack, label } = registration;
  return { volume: volume.volume, label, control, data, ...(rack === undefined ? {} : { rack }) };
}

/** The master begins to serve: volumes that were known are given until dead to come back, and to tell what they hold. */
export function expectVolumes(table: VolumeTable, nowMs: number): void {
  for (const volume of allVolumes(table)) Object.assign(volume, { heardMs: nowMs, expected: true });
}

/** A full report of its incarnation is complete, its absences resolved. True where the volume has told all that it holds; else the next report will. */
export function noteReported(volume: Volume): boolean {
  if (!volume.reported && (volume.report?.tally.missed ?? 0) > 0) {
    volume.reportWanted = true;
    return false;
  }
  volume.reported = true;
  volume.expected = false;
  return true;
}

/** Live, and has not told all that it holds though it registered `patienceMs` ago, or longer. */
export function isOverdue(volume: Volume, nowMs: number, patienceMs: number): boolean {
  const { liveness, reported, registeredMs, registration } = volume;
  return registration !== undefined && liveness === "live" && !reported && nowMs - registeredMs >= patienceMs;
}

/** Those that first registered so long ago are expected no longer, however often they have begun anew: they keep nothing waiting for good. True where there were some. */
export function endWaits(table: VolumeTable, nowMs: number, patienceMs: number): boolean {
  const overdue = allVolumes(table).filter(
    ({ expected, registration, firstRegisteredMs }) =>
      expected && registration !== undefined && nowMs - firstRegisteredMs >= patienceMs,
  );
  for (const volume of overdue) volume.expected = false;
  return overdue.length > 0;
}

/** Some volume that may still come has not told this master all that it holds. */
export function awaitsReports(table: VolumeTable): boolean {
  return table.byIndex.some((volume) => volume?.expected === true && !isGone(volume));
}

/** What registering meant; a restart (another incarnation) ends its leases and reports. */
export type Registered = { readonly kind: "new" | "restarted" | "again"; readonly change: LivenessChange | undefined };

export function registerVolume(volume: Volume, registration: Registration, nowMs: number): Registered {
  const before = volume.registration?.incarnation;
  const silentMs = nowMs - volume.heardMs;
  const again = before === registration.incarnation;
  volume.registration = again
    ? { ...registration, factMark: volume.registration?.factMark ?? registration.factMark }
    : registration;
  volume.label = registration.label;
  volume.space = registration.space;
  volume.heardMs = nowMs;
  if (before === undefined) volume.firstRegisteredMs = nowMs;
  if (!again) {
    volume.registeredMs = nowMs;
    volume.report = undefined;
    volume.reported = false;
    volume.streams = 0;
    volume.scrub = undefined;
    // A directory that failed may have been repaired: only the running process knows that it retired.
    volume.retiredReason = undefined;
  }
  const from = volume.liveness;
  if (!again || from !== "retired") volume.liveness = "live";
  const to = volume.liveness;
  const kind = again ? "again" : before === undefined ? "new" : "restarted";
  return { kind, change: from === to ? undefined : { volume, from, to, silentMs } };
}

/** False: the volume must register first (unknown incarnation). */
export function heartbeatVolume(
  volume: Volume,
  beat: {
    readonly incarnation: string;
    readonly space: VolumeSpace;
    readonly streams: number;
    readonly retired?: string | undefined;
    readonly scrub?: ScrubReport | undefined;
  },
  time: { readonly nowMs: number; readonly limits: LivenessLimits },
): { readonly known: boolean; readonly change: LivenessChange | undefined } {
  if (volume.registration?.incarnation !== beat.incarnation) return { known: false, change: undefined };
  const silentMs = time.nowMs - volume.heardMs;
  volume.heardMs = time.nowMs;
  volume.space = beat.space;
  volume.streams = beat.streams;
  volume.scrub = beat.scrub;
  const from = volume.liveness;
  if (beat.retired !== undefined) volume.retiredReason = beat.retired;
  const event = beat.retired === undefined ? ({ kind: "heartbeat" } as const) : ({ kind: "retired" } as const);
  volume.liveness = nextLiveness(from, event, time.limits);
  const to = volume.liveness;
  return { known: true, change: from === to ? undefined : { volume, from, to, silentMs } };
}

/** Silence makes volumes suspect and dead; the changes, for whoever must act on them. */
export function tickLiveness(table: VolumeTable, nowMs: number, limits: LivenessLimits): LivenessChange[] {
  const changes: LivenessChange[] = [];
  for (const volume of allVolumes(table)) {
    const from = volume.liveness;
    const silentMs = nowMs - volume.heardMs;
    volume.liveness = nextLiveness(from, { kind: "silent", sinceMs: silentMs }, limits);
    if (from !== volume.liveness) changes.push({ volume, from, to: volume.liveness, silentMs });
  }
  return changes;
}

/** Its replicas may be read and count: it registered with this master, and is neither dead nor retired. */
export function isUsable(volume: Volume | undefined): volume is Volume {
  return volume?.registration !== undefined && (volume.liveness === "live" || volume.liveness === "suspect");
}

/** Whether it won't answer for now: dead or retired. A volume that wasn't heard of yet is not gone. */
export function isGone(volume: Volume | undefined): boolean {
  return volume === undefined || volume.liveness === "dead" || volume.liveness === "retired";
}

/** Space for new chunks, not promised to drafts yet, in bytes; never below 0. */
export function newChunkBytes({ space, reservedBytes }: Volume): number {
  return Math.max(0, (space.newBytes ?? space.freeBytes) - reservedBytes);
}

/** Free space not promised to drafts yet, in bytes; never below 0. The server's own reserve is not part of `freeBytes`. */
export function unreservedBytes(volume: Volume): number {
  return Math.max(0, volume.space.freeBytes - volume.reservedBytes);
}

/** A draft will put `bytes` on each of the volumes. Replaces what it had reserved. */
export function reserveSpace(table: VolumeTable, draft: DraftId, volumes: ReadonlyMap<VolumeIndex, number>): void {
  releaseSpace(table, draft);
  table.reservations.set(draft, new Map(volumes));
  for (const [index, bytes] of volumes) volumeAt(table, index).reservedBytes += bytes;
}

/** Adds one chunk of a draft to what it has reserved. */
export function reserveMore(table: VolumeTable, draft: DraftId, volumes: readonly VolumeIndex[], bytes: number): void {
  const held = new Map(table.reservations.get(draft) ?? []);
  for (const index of volumes) held.set(index, (held.get(index) ?? 0) + bytes);
  reserveSpace(table, draft, held);
}

/** The draft ended: what it wrote shows in the next heartbeats. */
export function releaseSpace(table: VolumeTable, draft: DraftId): void {
  for (const [index, bytes] of table.reservations.get(draft) ?? []) volumeAt(table, index).reservedBytes -= bytes;
  table.reservations.delete(draft);
}
