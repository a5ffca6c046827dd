/**
 * Which volumes take a new replica, and in which order readers try them (DESIGN §2). Lower is better:
 * `distanceWeight × distance / farthest candidate's distance + spaceWeight × (1 − free / total)`.
 */
import { type ErrorCode, type ErrorDetails, GfsError } from "../../base/errors.ts";
import { hashNumber } from "../../base/hash-index.ts";
import { are, counted, formatSize } from "../../config/units.ts";
import type { Limits } from "../../limits.ts";
import type { Location, Whereabouts } from "../../wire/control/common.ts";
import type { VolumeIndex } from "./chunk-table.ts";
import type { Liveness } from "./liveness.ts";
import { allVolumes, nameOf, newChunkBytes, unreservedBytes } from "./volumes.ts";
import type { Volume, VolumeTable } from "./volumes.ts";

export interface Candidate {
  readonly volume: VolumeIndex;
  /** For messages. */
  readonly name: string;
  readonly location: Location | undefined;
  readonly rack: string | undefined;
  readonly totalBytes: number;
  /** Not yet promised to others. */
  readonly freeBytes: number;
  /** The part of it that new chunks may take. */
  readonly newBytes: number;
  /** Streams and placements in flight. */
  readonly load: number;
  readonly liveness: Liveness | "unregistered" | "draining";
  /** Chosen last, by placement and by readers. */
  readonly slow: boolean;
}

export interface PlacementRequest {
  readonly replicas: number;
  readonly minReplicas: number;
  /** Free space that each replica needs. */
  readonly bytes: number;
  /** Clones may take what a volume keeps from new chunks. */
  readonly use: "new" | "clone";
  readonly from: Whereabouts;
  /** Avoided if it can be helped: they failed the client. */
  readonly excluded: ReadonlySet<VolumeIndex>;
  /** Never chosen: they hold the chunk already. Their racks count. */
  readonly holders?: readonly VolumeIndex[];
  /** Never chosen, for now. Their racks count. */
  readonly unfit?: ReadonlySet<VolumeIndex>;
  readonly weights: Pick<Limits, "distanceWeight" | "spaceWeight">;
  /** What is placed, for the error's text: "chunk of /a/b". */
  readonly what: string;
}

export interface PlacementResult {
  /** Nearest first, slow ones last: the chain. At least `minReplicas`, at most `replicas`. */
  readonly chosen: readonly VolumeIndex[];
  /** More replicas share a rack than ⌈replicas / racks⌉. */
  readonly rackBreached: boolean;
  /** Fewer than asked for. */
  readonly short: boolean;
}

/** Distance between two points; undefined where either is unknown or not finite. */
export function distanceBetween(a: Location | undefined, b: Location | undefined): number | undefined {
  if (a === undefined || b === undefined) return undefined;
  const distance = Math.hypot(a.x - b.x, a.y - b.y);
  return Number.isFinite(distance) ? distance : undefined;
}

/** Free share of a volume, 0 to 1; 0 where the total is 0 or a number is not finite. */
export function freeShare(candidate: { readonly freeBytes: number; readonly totalBytes: number }): number {
  const share = candidate.freeBytes / candidate.totalBytes;
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}

interface Scored {
  readonly candidate: Candidate;
  readonly distance: number | undefined;
  readonly score: number;
}

/**
 * Best first. Where the requester has no location distance counts nothing; a candidate without one counts as the farthest. With all at the
 * same point distance is 0 for all. Ties: least load, then most free bytes, then the index, so that the order is always defined.
 */
function ranked(
  candidates: readonly Candidate[],
  from: Location | undefined,
  weights: PlacementRequest["weights"],
): Scored[] {
  const distances = candidates.map((candidate) => distanceBetween(from, candidate.location));
  const farthest = Math.max(0, ...distances.map((distance) => distance ?? 0));
  const known = distances.some((distance) => distance !== undefined);
  return candidates
    .map((candidate, i) => {
      const distance = distances[i];
      const relative = distance === undefined ? (known ? 1 : 0) : farthest === 0 ? 0 : distance / farthest;
      const score = weights.distanceWeight * relative + weights.spaceWeight * (1 - freeShare(candidate));
      return { candidate, distance, score };
    })
    .sort(
      (a, b) =>
        a.score - b.score ||
        a.candidate.load - b.candidate.load ||
        b.candidate.freeBytes - a.candidate.freeBytes ||
        a.candidate.volume - b.candidate.volume,
    );
}

/** Why a volume can't take a replica, or undefined: the rule, in words for the error. */
function refusalOf(candidate: Candidate, request: PlacementRequest): string | undefined {
  if (request.holders?.includes(candidate.volume) === true) return "holds a replica already";
  if (request.unfit?.has(candidate.volume) === true) return "can't take it now";
  if (candidate.liveness === "unregistered") return "has not registered since the master started";
  if (candidate.liveness !== "live") return `is ${candidate.liveness}`;
  const room = roomFor(candidate, request);
  if (room >= request.bytes) return undefined;
  const kept = room < candidate.freeBytes ? " for new chunks, besides what is kept for repair" : "";
  return `has ${formatSize(room)} free${kept}, not the ${formatSize(request.bytes)} needed`;
}

function roomFor(candidate: Candidate, { use }: PlacementRequest): number {
  const room = use === "new" ? candidate.newBytes : candidate.freeBytes;
  return Number.isFinite(room) ? Math.max(0, room) : 0;
}

/** Replicas of one chunk that may share a rack: ⌈replicas / racks⌉; volumes without a rack are each a rack of their own. */
export function rackShareMax(replicas: number, racks: number): number {
  return Math.ceil(replicas / Math.max(1, racks));
}

function rackOf(candidate: Candidate): string {
  return candidate.rack === undefined || candidate.rack === "" ? `\0${candidate.volume}` : candidate.rack;
}

/**
 * Volumes for the replicas of a chunk.
 *
 * @throws GfsError("TooFewServers") with fewer than `minReplicas` live volumes; GfsError("Unavailable") where those that have yet to register
 * with a master that has just started would do; GfsError("NoSpace") where there are enough live ones but too few have the space; each says
 * which rule refused which server.
 */
export function place(candidates: readonly Candidate[], request: PlacementRequest): PlacementResult {
  const placed = tryPlace(candidates, request);
  if (placed !== undefined) return placed;
  const { code, message, details } = whyNoPlace(candidates, request);
  throw new GfsError(code, message, { details });
}

/** The same for whoever asks again and again: undefined where `place` throws; `whyNoPlace` tells why. */
export function tryPlace(candidates: readonly Candidate[], request: PlacementRequest): PlacementResult | undefined {
  const able = candidates.filter((candidate) => refusalOf(candidate, request) === undefined);
  if (able.length < request.minReplicas || able.length === 0) return undefined;

  const order = ranked(able, request.from.location, request.weights);
  const preferred = slowLast(order.filter((each) => !request.excluded.has(each.candidate.volume)));
  const lastResort = slowLast(order.filter((each) => request.excluded.has(each.candidate.volume)));
  const holders = candidates.filter((candidate) => request.holders?.includes(candidate.volume));
  const picked = new Map<Scored, undefined>();
  const perRack = new Map<string, number>();
  for (const holder of holders) perRack.set(rackOf(holder), (perRack.get(rackOf(holder)) ?? 0) + 1);

  const take = (from: readonly Scored[], shareMax: number, countMax: number): void => {
    for (const each of from) {
      if (picked.size >= countMax) return;
      const inRack = perRack.get(rackOf(each.candidate)) ?? 0;
      if (picked.has(each) || inRack >= shareMax) continue;
      picked.set(each, undefined);
      perRack.set(rackOf(each.candidate), inRack + 1);
    }
  };
  const live = candidates.filter((candidate) => candidate.liveness === "live");
  const racks = new Set([...live, ...holders].map((candidate) => rackOf(candidate))).size;
  const shareMax = rackShareMax(request.replicas + holders.length, racks);
  take(preferred, shareMax, request.replicas);
  // A whole rack out of space or excluded: rather two in a rack than too few.
  take(preferred, Infinity, request.replicas);
  take(lastResort, shareMax, request.minReplicas);
  take(lastResort, Infinity, request.minReplicas);
  const chosen = chainOrder([...picked.keys()]);
  return {
    chosen: chosen.map((each) => each.candidate.volume),
    rackBreached: Math.max(0, ...perRack.values()) > shareMax,
    short: chosen.length < request.replicas,
  };
}

/** A rack of its own counts for more than speed: a slow server is taken before two share a rack. */
function slowLast(order: readonly Scored[]): Scored[] {
  return [...order.filter((each) => !each.candidate.slow), ...order.filter((each) => each.candidate.slow)];
}

/** Nearest first; of equal or unknown distance the better score first. Slow ones last: they hold up nobody behind them. */
function chainOrder(picked: readonly Scored[]): Scored[] {
  return [...picked].sort((a, b) => {
    if (a.candidate.slow !== b.candidate.slow) return a.candidate.slow ? 1 : -1;
    const [near, far] = [a.distance ?? Infinity, b.distance ?? Infinity];
    return near === far ? a.score - b.score || a.candidate.volume - b.candidate.volume : near - far;
  });
}

/** Servers named one by one in an error. */
const namedMax = 16;

/** Of a request that `tryPlace` can't place. */
export function whyNoPlace(
  candidates: readonly Candidate[],
  request: PlacementRequest,
): { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails } {
  const reasons = candidates.flatMap((candidate) => {
    const why = refusalOf(candidate, request);
    return why === undefined ? [] : [`${candidate.name} ${why}`];
  });
  const named = reasons.slice(0, namedMax);
  if (reasons.length > namedMax) named.push(`and ${reasons.length - namedMax} more`);
  const others = candidates.filter((candidate) => request.holders?.includes(candidate.volume) !== true);
  const live = others.filter((candidate) => candidate.liveness === "live");
  const coming = others.filter((candidate) => candidate.liveness === "unregistered");
  const wanted = Math.max(1, request.minReplicas);
  const because = named.length === 0 ? "no server is known" : named.join("; ");
  if (live.length < wanted) {
    return {
      code: live.length + coming.length < wanted ? "TooFewServers" : "Unavailable",
      message: `Cannot place ${request.what}: ${live.length} of ${counted(wanted, "server")} needed can take it (${because})`,
      details: { wanted, live: live.length, servers: named },
    };
  }
  const free = live.reduce((sum, candidate) => sum + roomFor(candidate, request), 0);
  // Of a chunk that some hold already only the others are asked.
  const those = `${others.length < candidates.length ? "other " : ""}live server`;
  const full = live.filter((candidate) => roomFor(candidate, request) < request.bytes).length;
  return {
    code: "NoSpace",
    message: `Cannot place ${request.what}: ${formatSize(request.bytes)} wanted on ${wanted === 1 ? "a server" : `each of ${wanted} servers`}, ${full} of ${counted(live.length, those)} ${are(full)} full, ${formatSize(free)} free in all (${because})`,
    details: { wantedBytes: request.bytes, freeBytes: free, servers: named },
  };
}

/** The volumes of the cluster as placement sees them. */
export function candidatesOf(table: VolumeTable): Candidate[] {
  return allVolumes(table).map((volume) => candidateOf(volume));
}

export function candidateOf(volume: Volume): Candidate {
  return {
    volume: volume.index,
    name: nameOf(volume),
    location: volume.registration?.location,
    rack: volume.registration?.rack,
    totalBytes: volume.space.totalBytes,
    freeBytes: unreservedBytes(volume),
    newBytes: newChunkBytes(volume),
    load: volume.streams + volume.placements,
    liveness: placeable(volume),
    slow: volume.pace.slow !== undefined,
  };
}

function placeable({ registration, liveness, mark }: Volume): Candidate["liveness"] {
  if (registration === undefined && liveness !== "dead") return "unregistered";
  return mark === "draining" && liveness === "live" ? "draining" : liveness;
}

function readRank({ liveness, slow }: Candidate): number {
  return (liveness === "live" ? 0 : liveness === "draining" ? 1 : 4) + (slow ? 2 : 0);
}

export interface RankedReader {
  readonly volume: VolumeIndex;
  readonly distance: number | undefined;
}

/**
 * Replicas in the order in which a reader tries them: live ones, those on servers that are being drained, slow ones, suspect ones; then nearest first. Without locations, and among equals, same
 * rack first, then least load, then spread by `spread` (the chunk's handle), so that readers of many chunks share the servers and each asks
 * again in the same order.
 */
export function rankForReader(replicas: readonly Candidate[], from: Whereabouts, spread: number): RankedReader[] {
  const chunk = hashNumber(spread);
  const turn = (candidate: Candidate): number => hashNumber((chunk ^ candidate.volume) >>> 0);
  return replicas
    .map((candidate) => ({ candidate, distance: distanceBetween(from.location, candidate.location) }))
    .sort((a, b) => {
      const rank = readRank(a.candidate) - readRank(b.candidate);
      const [near, far] = [a.distance ?? Infinity, b.distance ?? Infinity];
      const foreign = (candidate: Candidate): number => Number(from.rack === undefined || candidate.rack !== from.rack);
      return (
        rank ||
        (near === far ? 0 : near - far) ||
        foreign(a.candidate) - foreign(b.candidate) ||
        a.candidate.load - b.candidate.load ||
        turn(a.candidate) - turn(b.candidate) ||
        a.candidate.volume - b.candidate.volume
      );
    })
    .map(({ candidate, distance }) => ({ volume: candidate.volume, distance }));
}
