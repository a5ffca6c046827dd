/**
 * Replicas to delete, and the brakes (DESIGN §4.5). What readers may still be using, and what the log does not know, waits `deleteGraceMs`; a stale
 * replica goes at once, for it keeps repair from using its volume; a corrupt one when repair has the chunk whole without it, or could not replace it in its place. Entries are judged again when they are due: a queue is only a memory of what
 * to look at, the tables decide.
 */
import { unreachable } from "../../base/assert.ts";
import { counted } from "../../config/units.ts";
import type { Limits } from "../../limits.ts";
import { chunkHandle, chunkVersion } from "../../wire/ids.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";
import { noteReplicaFact, replicaOn, replicasAt } from "./chunk-replicas.ts";
import type { ChunkView } from "./chunk-scan.ts";
import { chunkCount, isStranger, slotOf, stateAt } from "./chunk-table.ts";
import type { VolumeIndex } from "./chunk-table.ts";
import { type GarbageCause, GarbageQueue } from "./garbage-queue.ts";
import { isCounted, isUsable } from "./volumes.ts";

export interface Garbage {
  /** By volume, one for what waits and one for what does not, so that each is in order of `dueMs`. */
  readonly queues: Map<number, GarbageQueue>;
  /** Chunks whose deletion rests on reports: waiting, and deleted since `windowMs`. */
  readonly evidence: Set<number>;
  /** Handles of sealed chunks, by volume, that it was told to delete and has neither done nor refused: a clone there could meet the delete. */
  readonly sent: Map<VolumeIndex, Set<number>>;
  /** Volumes with a delete command under way: one at a time. */
  readonly underWay: Set<VolumeIndex>;
  windowMs: number;
  waiting: number;
  deleted: number;
  /** Why nothing is deleted until `confirmDeletions`. */
  stopped: string | undefined;
  /** Up to here an operator accepted it. */
  accepted: number;
}

export interface DeleteItem {
  readonly handle: ChunkHandle;
  /** Only a replica whose dataVersion is lower. */
  readonly below: ChunkVersion | undefined;
  readonly cause: GarbageCause;
}

/** What was deleted on reports' evidence counts against the share for this long. */
const evidenceWindowMs = 86_400_000;

export function createGarbage(): Garbage {
  return {
    queues: new Map(),
    evidence: new Set(),
    sent: new Map(),
    underWay: new Set(),
    windowMs: 0,
    waiting: 0,
    deleted: 0,
    stopped: undefined,
    accepted: 0,
  };
}

/** To be looked at after the grace. What is queued already keeps its place. */
export function queueGarbage(
  garbage: Garbage,
  found: { readonly handle: ChunkHandle; readonly volume: VolumeIndex; readonly cause: GarbageCause },
  time: { readonly nowMs: number; readonly limits: Pick<Limits, "deleteGraceMs"> },
): void {
  const waits = found.cause !== "stale" && found.cause !== "corrupt";
  const key = found.volume * 2 + (waits ? 1 : 0);
  let queue = garbage.queues.get(key);
  if (queue === undefined) {
    queue = new GarbageQueue(found.volume);
    garbage.queues.set(key, queue);
  }
  if (queue.has(found.handle)) return;
  const dueMs = time.nowMs + (waits ? time.limits.deleteGraceMs : 0);
  queue.push({ handle: found.handle, cause: found.cause, dueMs });
  garbage.waiting++;
  if (restsOnReports(found.cause)) garbage.evidence.add(found.handle);
}

/** Deleting a surplus replica leaves the goal whole by what others reported, and what the log let go of is the users' own doing. */
function restsOnReports(cause: GarbageCause): boolean {
  return cause === "unknown" || cause === "stale" || cause === "corrupt";
}

/** A volume told something that only a newer log explains: nothing is deleted until confirmed. */
export function stopDeletions(garbage: Garbage, why: string): void {
  garbage.stopped ??= why;
}

/** `gfs master confirm`: what stopped is accepted, and so is all the evidence gathered so far. The reason that was accepted. */
export function confirmDeletions(garbage: Garbage): string | undefined {
  const accepted = garbage.stopped;
  garbage.stopped = undefined;
  garbage.accepted = garbage.evidence.size;
  return accepted;
}

/** Looks at the share brake; true when it stops deletions now. */
export function brakeDeletions(
  garbage: Garbage,
  view: ChunkView,
  time: { readonly nowMs: number; readonly limits: Pick<Limits, "deleteShareMax" | "deleteCountFree"> },
): boolean {
  if (time.nowMs - garbage.windowMs >= evidenceWindowMs) {
    garbage.windowMs = time.nowMs;
    garbage.accepted = 0;
    garbage.evidence.clear();
    for (const queue of garbage.queues.values())
      for (const { handle, cause } of queue) if (restsOnReports(cause)) garbage.evidence.add(handle);
  }
  if (garbage.stopped !== undefined) return false;
  const count = garbage.evidence.size - garbage.accepted;
  const chunks = chunkCount(view.chunks);
  const { deleteShareMax, deleteCountFree } = time.limits;
  if (count <= deleteCountFree || count <= deleteShareMax * chunks) return false;
  garbage.stopped =
    `servers report ${counted(count, "chunk")} that would be deleted, of ${chunks} in the log: ` +
    `more than ${deleteShareMax * 100} % and more than ${deleteCountFree}`;
  return true;
}

/** What is stale or corrupt, and may not go yet, is looked at again after this. */
const laterMs = 1_000;

/** Entries of a forgotten volume that are dropped in one turn. */
const droppedAtOnceMax = 16_384;

/** Of repair (repair.ts): clones under way, and where others have failed. */
export interface RepairState {
  readonly running: ReadonlyMap<ChunkHandle, { readonly command: { readonly target: VolumeIndex } }>;
  readonly failures: ReadonlyMap<ChunkHandle, { readonly targets: ReadonlySet<VolumeIndex> }>;
}

export interface DeleteTime {
  readonly nowMs: number;
  readonly limits: Pick<Limits, "deleteShareMax" | "deleteCountFree" | "minReplicas">;
}

/**
 * What one volume may be told to delete now, at most `max` items; they leave the queue, surplus replicas the table too: tell with `deleteDone` or
 * `deleteFailed`. None in safe mode, while a brake holds, or where the volume can't be reached.
 */
export function planDeletes(
  garbage: Garbage,
  view: ChunkView,
  of: DeleteTime & { readonly volume: VolumeIndex; readonly max: number; readonly repair: RepairState },
): DeleteItem[] {
  const items: DeleteItem[] = [];
  if (view.volumes.byIndex[of.volume]?.mark === "forgotten") dropGarbage(garbage, of.volume);
  if (view.safeMode || !isUsable(view.volumes.byIndex[of.volume])) return items;
  brakeDeletions(garbage, view, of);
  if (garbage.stopped !== undefined) return items;
  for (const queue of [garbage.queues.get(of.volume * 2), garbage.queues.get(of.volume * 2 + 1)]) {
    if (queue === undefined) continue;
    while (items.length < of.max) {
      const first = queue.first();
      if (first === undefined || first.dueMs > of.nowMs) break;
      const { handle: number, cause } = first;
      queue.shift();
      const verdict = judge(view, { handle: chunkHandle(number), volume: of.volume, cause }, of);
      if (verdict === "later") {
        queue.push({ handle: number, cause, dueMs: of.nowMs + laterMs });
        continue;
      }
      garbage.waiting--;
      if (verdict !== undefined) {
        items.push(verdict);
        noteSent(garbage, of.volume, number);
        // From here on nobody may count on it: two that are surplus must not each go on the word of the other. Where it stays after all, a report tells.
        if (cause === "surplus") noteReplicaFact(view.chunks, verdict.handle, { volume: of.volume, health: "gone" });
      } else {
        noteSettled(garbage, of.volume, number);
        if (restsOnReports(cause)) garbage.evidence.delete(number);
      }
    }
  }
  return items;
}

/** Of a volume that never returns: nothing waits for it; a part at a time, where there is much. */
function dropGarbage(garbage: Garbage, volume: VolumeIndex): void {
  garbage.sent.delete(volume);
  let left = droppedAtOnceMax;
  for (const queue of [garbage.queues.get(volume * 2), garbage.queues.get(volume * 2 + 1)]) {
    for (let first = queue?.first(); first !== undefined && left > 0; left--) {
      queue?.shift();
      garbage.waiting--;
      if (restsOnReports(first.cause)) garbage.evidence.delete(first.handle);
      first = queue?.first();
    }
  }
}

function noteSent(garbage: Garbage, volume: VolumeIndex, number: number): void {
  const sent = garbage.sent.get(volume) ?? new Set();
  garbage.sent.set(volume, sent.add(number));
}

function noteSettled(garbage: Garbage, volume: VolumeIndex, number: number): void {
  const sent = garbage.sent.get(volume);
  sent?.delete(number);
  if (sent?.size === 0) garbage.sent.delete(volume);
}

/** The volume may yet delete its replica of the chunk: what is copied there now could go with it. */
export function isBeingDeleted(garbage: Pick<Garbage, "sent">, volume: VolumeIndex, handle: ChunkHandle): boolean {
  return garbage.sent.get(volume)?.has(handle) === true;
}

/**
 * The volume's process is a new one: what the one before was told is done, or never will be. With a command under way to the volume that command decides, for the new process
 * may be the one that got it.
 */
export function settleRestarted(garbage: Garbage, volume: VolumeIndex): void {
  if (!garbage.underWay.has(volume)) garbage.sent.delete(volume);
}

/** Volumes that have anything waiting. */
export function volumesWithGarbage(garbage: Garbage): VolumeIndex[] {
  return [...new Set([...garbage.queues.values()].flatMap((queue) => (queue.size > 0 ? [queue.volume] : [])))];
}

/** Whether the tables, as they are now, let the replica go; `later`: not yet, but it is what it was found to be. */
function judge(
  view: ChunkView,
  found: { readonly handle: ChunkHandle; readonly volume: VolumeIndex; readonly cause: GarbageCause },
  by: { readonly limits: DeleteTime["limits"]; readonly repair: RepairState },
): DeleteItem | "later" | undefined {
  const { handle, volume, cause } = found;
  const { chunks } = view;
  if (isStranger(chunks, handle)) return undefined;
  // A clone may be on its way to replace just this replica: a delete could meet the new one.
  if (by.repair.running.get(handle)?.command.target === volume) return "later";
  const slot = slotOf(chunks, handle);
  // A handle is never given twice: what the log let go of stays garbage, by whatever it was found.
  if (slot < 0) return { handle, below: undefined, cause };
  if (stateAt(chunks, slot) !== "sealed") return undefined;
  const others = sureHolders(view, slot, volume);
  const goal = chunks.goals.get(slot);
  const enough = enoughToReplace(goal, by.limits.minReplicas);
  const health = replicaOn(chunks, slot, volume);
  switch (cause) {
    case "stale":
      if (health !== "stale") return undefined;
      return others < enough ? "later" : { handle, below: chunkVersion(chunks.versions.get(slot)), cause };
    case "corrupt": {
      if (health !== "corrupt") return undefined;
      const irreplaceable = by.repair.failures.get(handle)?.targets.has(volume) === true;
      return others < (irreplaceable ? enough : goal) ? "later" : { handle, below: undefined, cause };
    }
    case "surplus":
      return health === "healthy" && countedOthers(view, slot, volume) >= goal
        ? { handle, below: undefined, cause }
        : undefined;
    case "released":
    case "unknown":
      return undefined;
    default:
      return unreachable(cause);
  }
}

/**
 * Healthy replicas elsewhere without which a stale or corrupt one is kept, as the last that something could be saved from. Not the whole goal:
 * with as many servers as replicas the bad one must go before a good one can take its place.
 */
export function enoughToReplace(goal: number, minReplicas: number): number {
  return Math.max(1, Math.min(goal - 1, minReplicas));
}

/** Other replicas that live volumes themselves said are healthy. */
export function sureHolders(view: ChunkView, slot: number, except: VolumeIndex): number {
  return replicasAt(view.chunks, slot).filter(
    (each) =>
      each.volume !== except && each.health === "healthy" && view.volumes.byIndex[each.volume]?.liveness === "live",
  ).length;
}

/** Of these those that are to stay: a copy on a volume that is being drained is no reason to let another one go. */
function countedOthers(view: ChunkView, slot: number, except: VolumeIndex): number {
  return replicasAt(view.chunks, slot).filter(({ volume, health }) => {
    const held = view.volumes.byIndex[volume];
    return volume !== except && health === "healthy" && held?.liveness === "live" && isCounted(held);
  }).length;
}

/** The volume confirmed that these are gone. */
export function deleteDone(
  garbage: Garbage,
  view: ChunkView,
  of: { readonly volume: VolumeIndex; readonly items: readonly DeleteItem[] },
): void {
  for (const item of of.items) {
    garbage.deleted++;
    noteSettled(garbage, of.volume, item.handle);
    noteReplicaFact(view.chunks, item.handle, { volume: of.volume, health: "gone" });
  }
}

/** They wait once more. refused: nothing was deleted, and nothing will be. unknown: it may still be. */
export function deleteFailed(
  garbage: Garbage,
  of: { readonly volume: VolumeIndex; readonly items: readonly DeleteItem[]; readonly outcome: "refused" | "unknown" },
  time: { readonly nowMs: number; readonly limits: Pick<Limits, "deleteGraceMs"> },
): void {
  for (const { handle, cause } of of.items) {
    if (of.outcome === "refused") noteSettled(garbage, of.volume, handle);
    queueGarbage(garbage, { handle, volume: of.volume, cause }, time);
  }
}
