/**
 * Full reports of volumes (DESIGN §4.1): pages in order, entries applied in slices, and after the last page a sliced scan for the replicas that
 * the report lacks. A report knows nothing of what happened to a chunk after its fact mark.
 */
import { unreachable } from "../../base/assert.ts";
import { reportEntryBytes } from "../../wire/control/chunkservers.ts";
import type { ReplicaReport } from "../../wire/control/chunkservers.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";
import { unpackReport } from "../../wire/report.ts";
import { dropReplica, isHolder, putReplica, replicaCountAt, replicaHealthAt, replicaOn } from "./chunk-replicas.ts";
import { replicaSeenAt, replicaVolumeAt } from "./chunk-replicas.ts";
import { handleAt, isStranger, slotOf, stateAt } from "./chunk-table.ts";
import type { ChunkTable, VolumeIndex } from "./chunk-table.ts";
import type { ReportProgress, Volume } from "./volumes.ts";

export interface ReportPage {
  readonly incarnation: string;
  readonly report: number;
  readonly page: number;
  readonly last: boolean;
  readonly factMark: number | undefined;
  readonly entries: Uint8Array;
}

/** accepted: apply its entries. repeated: it was applied before. old: of an earlier report or incarnation, or out of order: it says nothing. */
export type PageVerdict = "accepted" | "repeated" | "old";

/** Takes a page into the volume's report; pages of one report come in order, from 0. */
export function takePage(volume: Volume, page: ReportPage): PageVerdict {
  if (volume.registration?.incarnation !== page.incarnation) return "old";
  const current = volume.report;
  if (current !== undefined && page.report < current.number) return "old";
  if (current === undefined || page.report > current.number) {
    if (page.page !== 0) return "old";
    volume.reportsBegun++;
    volume.report = {
      number: page.report,
      nextPage: 1,
      factMark: page.factMark ?? volume.registration.factMark,
      seen: ((volume.reportsBegun - 1) % 255) + 1,
      tally: { applied: 0, pages: page.last ? 1 : undefined, missed: 0 },
    };
    volume.reportWanted = false;
    return "accepted";
  }
  if (page.page < current.nextPage) return "repeated";
  if (page.page > current.nextPage) return "old";
  volume.report = { ...current, nextPage: current.nextPage + 1 };
  if (page.last) current.tally.pages = page.page + 1;
  return "accepted";
}

/**
 * unknown: of a log that is lost, as an operator accepted: garbage. released: our log let go of it: garbage too, not on the report's word alone. behind: only a newer master can have
 * caused it: our log is an old copy. unfinished: all of a sealed chunk, fenced: finish it. early: corrupt, and its chunk isn't
 * sealed: to be judged again when it is. busy: the chunk isn't sealed, its seal or draft decides. late: the
 * report began before the latest fact about the chunk. late-unfinished: both; the fact may be about another replica, and to finish one twice does no harm.
 */
export type EntryVerdict =
  | "healthy"
  | "unfinished"
  | "late-unfinished"
  | "stale"
  | "corrupt"
  | "unknown"
  | "released"
  | "behind"
  | "early"
  | "busy"
  | "late";

/** What one entry means; changes nothing. */
export function judgeEntry(table: ChunkTable, entry: ReplicaReport, factMark: number): EntryVerdict {
  if (isStranger(table, entry.handle)) return "behind";
  const slot = slotOf(table, entry.handle);
  if (slot < 0) return table.releasedHandles.has(entry.handle) ? "released" : "unknown";
  const version = table.versions.get(slot);
  // What a volume promised or took on at the word of a master stays true, however old the report is.
  if (entry.promisedVersion > version || entry.dataVersion > version) {
    return "behind";
  }
  if (stateAt(table, slot) !== "sealed") return entry.state === "corrupt" ? "early" : "busy";
  const length = table.lengths.get(slot);
  const unfinished = entry.state === "fenced" && entry.promisedVersion === version && entry.length >= length;
  if (table.stamps.get(slot) > factMark) return unfinished ? "late-unfinished" : "late";
  if (entry.state === "corrupt") return "corrupt";
  if (entry.state === "sealed" && entry.dataVersion === version)
    return entry.length === length && entry.crc === table.crcs.get(slot) ? "healthy" : "corrupt";
  return unfinished ? "unfinished" : "stale";
}

/** What the shell must act on; `healthy`, `late` and `busy` entries need nothing. (A late one may be missed: `ReportProgress.tally`.) */
export interface ReportFinding {
  readonly kind: "unfinished" | "stale" | "corrupt" | "unknown" | "released" | "behind" | "early";
  readonly handle: ChunkHandle;
  readonly promisedVersion: ChunkVersion;
  readonly dataVersion: ChunkVersion;
}

/** Entries, or slots of the table, that a step handles in a few milliseconds. */
export const reportEntriesPerSlice = 1_024;
export const absenceSlotsPerSlice = 8_192;

/** A page being applied. */
export interface PageJob {
  readonly volume: VolumeIndex;
  readonly progress: ReportProgress;
  readonly entries: Uint8Array;
  readonly last: boolean;
  at: number;
  finished: boolean;
}

export function pageJob(volume: Volume, page: ReportPage): PageJob | undefined {
  if (volume.report === undefined) return undefined;
  return {
    volume: volume.index,
    progress: volume.report,
    entries: page.entries,
    last: page.last,
    at: 0,
    finished: false,
  };
}

/**
 * Applies at most `entriesMax` entries of the page; `done` after its last. A newer report of the volume stops an older one's page by itself.
 *
 * @throws GfsError("ProtocolError") for entries that no volume can have written.
 */
export function stepPage(
  table: ChunkTable,
  job: PageJob,
  entriesMax: number,
): { readonly findings: ReportFinding[]; readonly late: number; readonly done: boolean } {
  const findings: ReportFinding[] = [];
  let late = 0;
  const end = Math.min(job.entries.length, job.at + entriesMax * reportEntryBytes);
  const { volume, progress } = job;
  for (const entry of unpackReport(job.entries.subarray(job.at, end))) {
    const verdict = judgeEntry(table, entry, progress.factMark);
    switch (verdict) {
      case "late":
        late++;
        if (isUntold(table, volume, entry)) progress.tally.missed++;
        break;
      case "late-unfinished":
        late++;
        findings.push({ ...entry, kind: "unfinished" });
        break;
      case "busy":
        break;
      case "healthy":
        putReplica(table, slotOf(table, entry.handle), { volume, health: "healthy", seen: progress.seen });
        break;
      case "unfinished":
      case "stale":
      case "corrupt":
        putReplica(table, slotOf(table, entry.handle), { volume, health: verdict, seen: progress.seen });
        findings.push({ ...entry, kind: verdict });
        break;
      case "unknown":
      case "released":
      case "behind":
      case "early":
        findings.push({ ...entry, kind: verdict });
        break;
      default:
        unreachable(verdict);
    }
  }
  job.at = end;
  const done = end === job.entries.length;
  if (done && !job.finished) {
    job.finished = true;
    progress.tally.applied++;
  }
  return { findings, late, done };
}

/** A good replica that the table does not have. */
function isUntold(table: ChunkTable, volume: VolumeIndex, entry: ReplicaReport): boolean {
  const slot = slotOf(table, entry.handle);
  const isGood = entry.state === "sealed" && entry.dataVersion === table.versions.get(slot);
  return isGood && replicaOn(table, slot, volume) === undefined;
}

/** Complete reports whose absences are resolved together by one pass over the table. */
export interface AbsenceScan {
  readonly waiting: Map<VolumeIndex, ReportProgress>;
  readonly resolving: Map<VolumeIndex, ReportProgress>;
  slot: number;
}

export function createAbsenceScan(): AbsenceScan {
  return { waiting: new Map(), resolving: new Map(), slot: 0 };
}

/** The last page of a report is applied whole; its absences are resolved once every other page is, too. */
export function reportComplete(scan: AbsenceScan, volume: Volume): void {
  if (volume.report !== undefined) scan.waiting.set(volume.index, volume.report);
}

/** The volume began another report or incarnation: what the earlier one lacked is not resolved any more. */
export function reportSuperseded(scan: AbsenceScan, volume: VolumeIndex): void {
  scan.waiting.delete(volume);
  scan.resolving.delete(volume);
}

function isApplied({ tally }: ReportProgress): boolean {
  return tally.applied === tally.pages;
}

export interface AbsenceStep {
  /** Replicas that counted and are gone. */
  readonly absent: { readonly handle: ChunkHandle; readonly volume: VolumeIndex }[];
  /** Volumes whose report is resolved: set `reported`. */
  readonly resolved: VolumeIndex[];
  readonly idle: boolean;
}

/** Visits at most `slotsMax` slots. */
export function stepAbsences(table: ChunkTable, scan: AbsenceScan, slotsMax: number): AbsenceStep {
  const absent: { handle: ChunkHandle; volume: VolumeIndex }[] = [];
  const resolved: VolumeIndex[] = [];
  if (scan.resolving.size === 0) {
    for (const [volume, progress] of scan.waiting) {
      if (!isApplied(progress)) continue;
      scan.resolving.set(volume, progress);
      scan.waiting.delete(volume);
    }
    scan.slot = 0;
  }
  if (scan.resolving.size === 0) return { absent, resolved, idle: true };
  const end = Math.min(table.slotEnd, scan.slot + slotsMax);
  for (let slot = scan.slot; slot < end; slot++) {
    // Backwards: the last replica takes the place of a dropped one.
    for (let i = replicaCountAt(table, slot) - 1; i >= 0; i--) {
      const volume = replicaVolumeAt(table, slot, i);
      const progress = scan.resolving.get(volume);
      if (progress === undefined || replicaSeenAt(table, slot, i) === progress.seen) continue;
      const health = replicaHealthAt(table, slot, i);
      // The next report may carry the number that this replica was seen by long ago.
      if (table.stamps.get(slot) > progress.factMark) putReplica(table, slot, { volume, health, seen: 0 });
      else {
        dropReplica(table, slot, volume);
        if (isHolder(health)) absent.push({ handle: handleAt(table, slot), volume });
      }
    }
  }
  scan.slot = end;
  if (end < table.slotEnd) return { absent, resolved, idle: false };
  resolved.push(...scan.resolving.keys());
  scan.resolving.clear();
  return { absent, resolved, idle: ![...scan.waiting.values()].some((progress) => isApplied(progress)) };
}
