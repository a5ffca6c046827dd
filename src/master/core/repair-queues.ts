/**
 * Chunks that wait for repair, by how badly they need it: those with the fewest copies left first; of these, those that a client waits for; then what is in the tree before
 * what lies in the trash. Behind all that is short come chunks that have their copies: those with some on a volume that is being drained, and those with too many in one rack.
 *
 * A queue is only a memory of what to look at: what a chunk needs is judged anew when its turn comes. Each level is bounded; where one was full the next round of the scan
 * brings the rest.
 */
import type { ChunkHandle } from "../../wire/ids.ts";

export interface ShortChunk {
  readonly handle: ChunkHandle;
  /** At least 1: without any there is nothing to copy. */
  readonly holders: number;
  /** Its file was removed, and can still be restored. */
  readonly trashed: boolean;
  /** It has all its copies, some of them on volumes that are being drained. */
  readonly moving?: boolean | undefined;
}

/** Copies left that have levels of their own: one, two, more. */
const copyLevels = 3;
const waits = ["client", "tree", "trash"] as const;
const movingLevel = copyLevels * waits.length;
/** The last level. */
const misplacedLevel = movingLevel + 1;

export interface RepairQueues {
  /** The first is the most urgent. A chunk is in one of them at most. */
  readonly levels: readonly Set<ChunkHandle>[];
  readonly levelOf: Map<ChunkHandle, number>;
  /** Chunks that a client met too few replicas of, oldest first, and when. */
  readonly waitedFor: Map<ChunkHandle, number>;
  /** Something found no room. */
  overflowed: boolean;
}

const queueMax = 10_000;
const waitedForMax = 4_096;
/** A client that came for it so long ago has given up, or come again. */
const waitsMs = 60_000;

export function createRepairQueues(): RepairQueues {
  const levels = Array.from({ length: misplacedLevel + 1 }, () => new Set<ChunkHandle>());
  return { levels, levelOf: new Map(), waitedFor: new Map(), overflowed: false };
}

function levelOf(queues: RepairQueues, { handle, holders, trashed, moving }: ShortChunk, nowMs: number): number {
  if (moving === true) return movingLevel;
  const atMs = queues.waitedFor.get(handle);
  const wait = atMs !== undefined && nowMs - atMs < waitsMs ? "client" : trashed ? "trash" : "tree";
  return (Math.min(copyLevels, Math.max(1, holders)) - 1) * waits.length + waits.indexOf(wait);
}

function put(queues: RepairQueues, handle: ChunkHandle, level: number): void {
  const before = queues.levelOf.get(handle);
  if (before === level) return;
  takeOut(queues, handle);
  const queue = queues.levels[level];
  if (queue === undefined) return;
  if (queue.size >= queueMax) {
    queues.overflowed = true;
    return;
  }
  queue.add(handle);
  queues.levelOf.set(handle, level);
}

/** Short: to the level that it has now. */
export function queueShort(queues: RepairQueues, short: ShortChunk, nowMs: number): void {
  put(queues, short.handle, levelOf(queues, short, nowMs));
}

/** It has all its copies, too many of them in one rack. What is short stays so. */
export function queueMisplaced(queues: RepairQueues, handle: ChunkHandle): void {
  if (!queues.levelOf.has(handle)) put(queues, handle, misplacedLevel);
}

/** A client came for a chunk and met too few good replicas: where it is short it goes before others with as many copies left. */
export function noteWaitedFor(queues: RepairQueues, handle: ChunkHandle, nowMs: number): void {
  queues.waitedFor.delete(handle);
  queues.waitedFor.set(handle, nowMs);
  const [oldest] = queues.waitedFor.keys();
  if (queues.waitedFor.size > waitedForMax && oldest !== undefined) queues.waitedFor.delete(oldest);
  const level = queues.levelOf.get(handle);
  if (level !== undefined && level < movingLevel) put(queues, handle, level - (level % waits.length));
}

export function takeOut(queues: RepairQueues, handle: ChunkHandle): void {
  const level = queues.levelOf.get(handle);
  if (level === undefined) return;
  queues.levels[level]?.delete(handle);
  queues.levelOf.delete(handle);
}

/** To the end of its level: one that can't be helped now does not keep the others waiting. */
export function putLast(queues: RepairQueues, handle: ChunkHandle, level: number): void {
  takeOut(queues, handle);
  put(queues, handle, level);
}

/** What waits as a round over the chunk table begins: to be dropped after it where the round did not find that it needs something. */
export function waitingNow(queues: RepairQueues): Set<ChunkHandle> {
  return new Set(queues.levelOf.keys());
}

/** True, once, when a level overflowed and there is room again: the scan should bring the rest. */
export function wantsMore(queues: RepairQueues): boolean {
  if (!queues.overflowed || queues.levels.some(({ size }) => size > queueMax / 2)) return false;
  queues.overflowed = false;
  return true;
}

export function queuedCount(queues: RepairQueues): number {
  return queues.levelOf.size;
}
