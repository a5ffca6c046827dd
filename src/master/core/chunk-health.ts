/**
 * How well chunks are kept, in counts and in one word (promise P7): `healthy` is said only when every chunk has as many good replicas as wanted, and a chunk is `lost` only
 * when no server that can be reached has one. Counted by the round over the chunk table (chunk-scan.ts).
 */
import { isHolder, type Replica, replicasAt } from "./chunk-replicas.ts";
import type { ChunkView } from "./chunk-scan.ts";
import { membersAt } from "./chunk-table.ts";
import { isGone, type Volume } from "./volumes.ts";

/**
 * Chunks in writing are not counted. `misplaced` ones are healthy, short or pending too. `pending`: too few servers have told, since the master's start, to know. Of the short
 * ones `atRisk` have one copy left, as have those of `unsealedAtRisk`: open or being sealed, with one server of their chain left; `unsealedShort` are all that have fewer than wanted. Of the
 * lost ones `away` have a good replica on a server that is dead: they are back when it is. `missingBytes` are to be copied until every chunk has all its replicas.
 */
export interface ScanCounts {
  total: number;
  healthy: number;
  short: number;
  lost: number;
  pending: number;
  open: number;
  sealing: number;
  misplaced: number;
  atRisk: number;
  away: number;
  unsealedShort: number;
  unsealedAtRisk: number;
  totalBytes: number;
  shortBytes: number;
  atRiskBytes: number;
  lostBytes: number;
  missingBytes: number;
}

export function noCounts(): ScanCounts {
  return {
    total: 0,
    healthy: 0,
    short: 0,
    lost: 0,
    pending: 0,
    open: 0,
    sealing: 0,
    misplaced: 0,
    atRisk: 0,
    away: 0,
    unsealedShort: 0,
    unsealedAtRisk: 0,
    totalBytes: 0,
    shortBytes: 0,
    atRiskBytes: 0,
    lostBytes: 0,
    missingBytes: 0,
  };
}

/** A sealed chunk with at least one holder, and fewer than wanted. */
export function countShort(counts: ScanCounts, of: { holders: number; goal: number; bytes: number }): void {
  const { holders, goal, bytes } = of;
  counts.short++;
  counts.shortBytes += bytes;
  counts.missingBytes += (goal - holders) * bytes;
  if (holders > 1) return;
  counts.atRisk++;
  counts.atRiskBytes += bytes;
}

/** A sealed chunk without a holder that could be read. */
export function countLost(view: ChunkView, counts: ScanCounts, slot: number): void {
  counts.lost++;
  counts.lostBytes += view.chunks.lengths.get(slot);
  const away = replicasAt(view.chunks, slot).some(({ volume: index, health }) => {
    const volume = view.volumes.byIndex[index];
    return isHolder(health) && volume?.liveness === "dead" && volume.mark !== "forgotten";
  });
  if (away) counts.away++;
}

/** No server that is not retired has a good replica of a sealed chunk, dead or alive, or could have one that it has not reported since the master's start. */
export function isLostForGood(view: ChunkView, slot: number): boolean {
  if (view.safeMode) return false;
  const { byIndex } = view.volumes;
  const counts = (volume: Volume | undefined): boolean =>
    volume?.mark !== "forgotten" && volume?.liveness !== "retired";
  const isGood = ({ health }: Replica): boolean => isHolder(health) || health === "unfinished";
  if (replicasAt(view.chunks, slot).some((replica) => isGood(replica) && counts(byIndex[replica.volume]))) return false;
  return byIndex.every((volume) => volume === undefined || !counts(volume) || volume.reported);
}

/** An open or sealing chunk: what its chain has left. */
export function countUnsealed(view: ChunkView, counts: ScanCounts, slot: number): void {
  const members = membersAt(view.chunks, slot);
  const left = members.filter((index) => !isGone(view.volumes.byIndex[index])).length;
  if (left >= view.chunks.goals.get(slot)) return;
  counts.unsealedShort++;
  if (left <= 1) counts.unsealedAtRisk++;
}

/** From the best to the worst. starting: of some chunks too little is known yet. */
export type Health = "healthy" | "starting" | "degraded" | "at-risk" | "lost";

/** `counts`: of a whole round; undefined before the first. */
export function healthOf(counts: Readonly<ScanCounts> | undefined): Health {
  if (counts === undefined) return "starting";
  if (counts.lost > 0) return "lost";
  if (counts.atRisk + counts.unsealedAtRisk > 0) return "at-risk";
  if (counts.short + counts.unsealedShort > 0) return "degraded";
  return counts.pending > 0 ? "starting" : "healthy";
}
