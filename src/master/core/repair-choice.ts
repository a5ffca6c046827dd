/**
 * Where one chunk is copied from and to (DESIGN §4.5): from the nearest healthy replica to where placement would put it, by servers that have room for another clone. No
 * server is given more than twice what those beside it were given lately, so that all of them take part. A corrupt replica is replaced in its place where enough others are
 * left to save from; where nobody else can take the copy a stale one is too, or one where that has failed. What would crowd a rack waits while a better one is only busy.
 */
import type { Limits } from "../../limits.ts";
import { isHolder, replicasAt } from "./chunk-replicas.ts";
import type { Replica } from "./chunk-replicas.ts";
import type { ChunkView } from "./chunk-scan.ts";
import type { Chunk, VolumeIndex } from "./chunk-table.ts";
import { enoughToReplace, type Garbage, isBeingDeleted, sureHolders } from "./garbage.ts";
import {
  type Candidate,
  candidateOf,
  type PlacementRequest,
  rankForReader,
  tryPlace,
  whyNoPlace,
} from "./placement.ts";
import { hasRackRoom, type RackTable } from "./rack-spread.ts";
import { hasRoom, type PaceLimits, type RepairPace, workOf } from "./repair-pace.ts";
import { isCounted, isGone, isUsable, volumeAt } from "./volumes.ts";

/** What is the same for all chunks of one step of a plan. */
export interface ChoiceContext {
  readonly nowMs: number;
  readonly limits: Limits;
  readonly paceLimits: PaceLimits;
  readonly pace: RepairPace;
  /** Of deletions: what volumes were told to delete. */
  readonly garbage: Pick<Garbage, "sent">;
  readonly racks: RackTable;
  /** All volumes. */
  readonly candidates: readonly Candidate[];
}

/** short: a replica is wanted. moving: its copies on volumes that are being drained are to leave. misplaced: one is wanted in a rack with room for it. balance: on an emptier disk (balance.ts). */
export type Want = "short" | "moving" | "misplaced" | "balance";

export interface ChunkToCopy {
  readonly chunk: Chunk;
  readonly slot: number;
  readonly want: Want;
  /** Where copies have failed. */
  readonly avoid: ReadonlySet<VolumeIndex>;
}

export type Choice =
  | {
      readonly kind: "clone";
      readonly target: VolumeIndex;
      /** Healthy replicas, nearest to the target first; those that are busy last. */
      readonly sources: readonly [VolumeIndex, ...VolumeIndex[]];
    }
  /** Its servers are busy: it is looked at again. */
  | { readonly kind: "wait" }
  /** Only a corrupt or stale replica's own server could take a copy, and nobody has said yet that the other replicas are healthy: have them verified. */
  | { readonly kind: "unsure"; readonly why: string }
  | { readonly kind: "blocked"; readonly why: string };

export function chooseClone(view: ChunkView, by: ChoiceContext, of: ChunkToCopy): Choice {
  const { chunk, slot } = of;
  const replicas = replicasAt(view.chunks, slot);
  const readable = replicas.filter((each) => isHolder(each.health) && isUsable(view.volumes.byIndex[each.volume]));
  const ready = readable.filter((each) => hasRoomNow(by, each.volume));
  const sources = withoutOverworked(by, ready, { volumeOf: (each) => each.volume, bytes: chunk.length });
  const [first] = sources;
  if (first === undefined) return { kind: "wait" };
  const target = targetFor(view, by, { ...of, replicas, from: candidateOf(volumeAt(view.volumes, first.volume)) });
  if (typeof target !== "number") return target;
  const to = candidateOf(volumeAt(view.volumes, target));
  const near = rankForReader(
    sources.map((each) => candidateOf(volumeAt(view.volumes, each.volume))),
    { location: to.location, rack: to.rack },
    chunk.handle,
  );
  const ranked = byWorkWhereEqual(by, near);
  const others = readable.map((each) => each.volume).filter((volume) => !ranked.includes(volume));
  const [source = first.volume, ...rest] = [...ranked, ...others];
  return { kind: "clone", target, sources: [source, ...rest] };
}

function hasRoomNow({ pace, paceLimits: limits, nowMs }: ChoiceContext, volume: VolumeIndex): boolean {
  return hasRoom(pace, volume, { limits, nowMs });
}

/** Those that were not given more than twice as much as the one that was given least; at least that one. */
function withoutOverworked<Each>(
  by: ChoiceContext,
  from: readonly Each[],
  of: { readonly volumeOf: (each: Each) => VolumeIndex; readonly bytes: number },
): Each[] {
  const works = from.map((each) => workOf(by.pace, of.volumeOf(each), by.nowMs));
  const max = 2 * (Math.min(...works) + of.bytes);
  return from.filter((_, i) => (works[i] ?? 0) + of.bytes <= max);
}

/** As near ones: who did less first. */
function byWorkWhereEqual(
  by: ChoiceContext,
  ranked: readonly { readonly volume: VolumeIndex; readonly distance: number | undefined }[],
): VolumeIndex[] {
  const work = new Map(ranked.map(({ volume }) => [volume, workOf(by.pace, volume, by.nowMs)]));
  const far = (distance: number | undefined): number => distance ?? Infinity;
  return ranked
    .toSorted((a, b) =>
      far(a.distance) === far(b.distance)
        ? (work.get(a.volume) ?? 0) - (work.get(b.volume) ?? 0)
        : far(a.distance) - far(b.distance),
    )
    .map(({ volume }) => volume);
}

type Targeting = ChunkToCopy & { readonly replicas: readonly Replica[]; readonly from: Candidate };

function targetFor(
  view: ChunkView,
  by: ChoiceContext,
  of: Targeting,
): VolumeIndex | Exclude<Choice, { kind: "clone" }> {
  const bad = of.want === "short" ? badInPlace(view, by, of) : [];
  const [first] = bad;
  if (first === undefined) return placeReplica(view, by, of);
  const needed = enoughToReplace(of.chunk.goal, by.limits.minReplicas);
  const usable = of.replicas.filter(({ volume }) => isUsable(view.volumes.byIndex[volume]));
  const named = usable.filter(({ health }) => health === "named").length;
  // The one that is replaced is not left to save from. Bad ones are: else a healthy, a stale and a corrupt replica on three servers would stay so for ever.
  const left = usable.length - named - 1;
  const sure = sureHolders(view, of.slot, first.volume);
  const mayReplace = sure > 0 && left >= needed;
  const corrupt = bad.find(({ health, failed }) => health === "corrupt" && !failed);
  if (corrupt !== undefined && mayReplace) return corrupt.volume;
  const chosen = placeReplica(view, by, of);
  if (typeof chosen === "number" || chosen.kind !== "blocked") return chosen;
  // With so many healthy ones bad ones may be deleted, which makes room. With fewer all would wait for each other for ever: no copy before a delete, no delete before a copy.
  if (sure >= needed) return chosen;
  if (mayReplace) return first.volume;
  return named > 0 && left + named >= needed ? { kind: "unsure", why: chosen.why } : chosen;
}

/** Corrupt and stale replicas whose servers could take a copy in their place now; those where one has failed come last. */
function badInPlace(
  view: ChunkView,
  by: ChoiceContext,
  { chunk, replicas, avoid }: Targeting,
): (Replica & { readonly failed: boolean })[] {
  return replicas
    .filter(
      ({ volume, health }) =>
        (health === "corrupt" || health === "stale") &&
        isUsable(view.volumes.byIndex[volume]) &&
        isCounted(view.volumes.byIndex[volume]) &&
        hasRoomNow(by, volume) &&
        !isBeingDeleted(by.garbage, volume, chunk.handle),
    )
    .map((replica) => ({ ...replica, failed: avoid.has(replica.volume) }))
    .toSorted((a, b) => Number(a.failed) - Number(b.failed));
}

function staysOn(view: ChunkView, index: VolumeIndex): boolean {
  const volume = view.volumes.byIndex[index];
  return !isGone(volume) && isCounted(volume);
}

function placeReplica(
  view: ChunkView,
  by: ChoiceContext,
  of: Targeting,
): VolumeIndex | { readonly kind: "wait" } | { readonly kind: "blocked"; readonly why: string } {
  const { chunk, slot, replicas, from, avoid } = of;
  const good = replicas.filter((each) => isHolder(each.health) && isUsable(view.volumes.byIndex[each.volume])).length;
  const unfit = new Set<VolumeIndex>();
  for (const { volume } of by.candidates) {
    if (isBeingDeleted(by.garbage, volume, chunk.handle)) unfit.add(volume);
    if (of.want === "misplaced" && !hasRackRoom(view.chunks, slot, { racks: by.racks, volume })) unfit.add(volume);
  }
  const request: PlacementRequest = {
    replicas: 1,
    minReplicas: 1,
    bytes: chunk.length,
    // What volumes keep is for chunks that the next failure may lose, not for whatever is a replica short.
    use: good < Math.max(2, by.limits.minReplicas) ? "clone" : "new",
    from: { location: from.location, rack: from.rack },
    excluded: avoid,
    // A stale or corrupt replica is in the way too, until it is deleted. One that is to leave crowds no rack.
    holders: replicas.map(({ volume }) => volume).filter((volume) => staysOn(view, volume)),
    unfit,
    weights: by.limits,
    what: `another replica of chunk ${chunk.handle}`,
  };
  const ideal = tryPlace(by.candidates, request);
  // Of all that wait for a place one reason is told; no errors are made, for a long queue asks at every plan.
  if (ideal === undefined) return { kind: "blocked", why: whyNoPlace(by.candidates, request).message };
  const able = by.candidates.filter(({ volume, liveness }) => liveness === "live" && !unfit.has(volume));
  const ready = able.filter(({ volume }) => hasRoomNow(by, volume) && request.holders?.includes(volume) !== true);
  const fresh = withoutOverworked(by, ready, { volumeOf: (each) => each.volume, bytes: chunk.length });
  for (const among of [fresh, ready]) {
    const only = new Set(among.map(({ volume }) => volume));
    const others = by.candidates.filter(({ volume }) => !only.has(volume)).map(({ volume }) => volume);
    const placed = tryPlace(by.candidates, { ...request, unfit: new Set([...unfit, ...others]) });
    const [target] = placed?.chosen ?? [];
    if (target === undefined || (placed?.rackBreached === true && !ideal.rackBreached)) continue;
    // Where copies failed before is a last resort: not because all others are busy.
    if (avoid.has(target) && !avoid.has(ideal.chosen[0] ?? target)) continue;
    return target;
  }
  return { kind: "wait" };
}
