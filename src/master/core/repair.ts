/**
 * Repair (DESIGN §4.5): sealed chunks with fewer holders than wanted are cloned, and those that crowd a rack are cloned to a better one, whereupon a crowded replica is surplus.
 * What waits is in the order of repair-queues.ts; how much is copied at a time is bounded by repair-pace.ts; where from and where to, repair-choice.ts says. A clone that has
 * become unnecessary, because a server came back or the chunk was let go, is stopped.
 */
import type { Limits } from "../../limits.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";
import { isHolder, noteReplicaFact, replicaOn, replicasAt } from "./chunk-replicas.ts";
import { isUsable } from "./volumes.ts";
import { awaitsTelling, type ChunkView, countedHoldersAt, holderCountAt } from "./chunk-scan.ts";
import { type Chunk, chunkAt, slotOf, stateAt, type VolumeIndex } from "./chunk-table.ts";
import type { Garbage } from "./garbage.ts";
import { candidatesOf } from "./placement.ts";
import { crowding, rackTable } from "./rack-spread.ts";
import { type ChoiceContext, chooseClone, type Want } from "./repair-choice.ts";
import {
  beginTransfer,
  createRepairPace,
  endTransfer,
  hasRoom,
  mayBegin,
  type PaceLimits,
  rateOfOne,
  type RepairPace,
} from "./repair-pace.ts";
import { createRepairQueues, putLast, queueShort, type RepairQueues, takeOut } from "./repair-queues.ts";

interface Failures {
  readonly count: number;
  readonly retryAtMs: number;
  readonly targets: ReadonlySet<VolumeIndex>;
  readonly why: string;
}

/** Master → target: `clone`; tell with `repairEnded`. */
export interface RepairCommand {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly length: number;
  readonly crc: number;
  readonly target: VolumeIndex;
  /** Healthy replicas, nearest to the target first. */
  readonly sources: readonly [VolumeIndex, ...VolumeIndex[]];
  /** Undefined: as fast as it goes. */
  readonly bytesPerSecond: number | undefined;
}

export interface RunningClone {
  readonly command: RepairCommand;
  readonly want: Want;
  readonly trashed: boolean;
  readonly startedMs: number;
  /** It is not needed any more, and its target is told. */
  stopping: boolean;
}

/** One pass over the queues, in steps: each level from its beginning, so that what was looked at in vain does not keep others waiting. */
interface Round {
  level: number;
  left: number;
  blocked: string;
  readonly unsure: Set<ChunkHandle>;
}

export interface Repair {
  readonly queues: RepairQueues;
  readonly pace: RepairPace;
  readonly running: Map<ChunkHandle, RunningClone>;
  readonly failures: Map<ChunkHandle, Failures>;
  round: Round | undefined;
  /** As of the last whole round: why nothing could be planned for the first chunk in the queues, for status. */
  blocked: string;
  /** Only their corrupt or stale replicas' own servers could take a copy, and of the other replicas nobody has said yet that they are healthy: have them verified. */
  unsure: ReadonlySet<ChunkHandle>;
  /** Why nothing is begun; undefined: it is. */
  held: string | undefined;
  done: number;
  doneBytes: number;
}

/** Of one level in one round: those that can't be helped now must not stall the master. */
const lookedAtMax = 64;
/** Of one step. */
const stepMax = 16;
const retryMs = 1_000;
const retryMsMax = 60_000;

export function createRepair(): Repair {
  return {
    queues: createRepairQueues(),
    pace: createRepairPace(),
    running: new Map(),
    failures: new Map(),
    round: undefined,
    blocked: "",
    unsure: new Set(),
    held: undefined,
    done: 0,
    doneBytes: 0,
  };
}

export interface RepairTime {
  readonly nowMs: number;
  readonly limits: Limits;
  readonly pace: PaceLimits;
  readonly garbage: Pick<Garbage, "sent">;
  /** Whether the file that a chunk belongs to lies in the trash. */
  readonly isTrashed: (chunk: Chunk) => boolean;
}

export interface PlanStep {
  /** Clones to start now; they count as running until `repairEnded`. */
  readonly commands: readonly RepairCommand[];
  /** The round goes on with another step. */
  readonly more: boolean;
}

/** The next step of a round over the queues. Nothing is begun in safe mode, before all servers that the log knows have told what they hold, or are dead, while repair is held, and where the same chunk is being deleted. */
export function planRepairs(repair: Repair, view: ChunkView, time: RepairTime): PlanStep {
  const commands: RepairCommand[] = [];
  if (awaitsTelling(view) || repair.held !== undefined) return ended(repair, commands);
  const { levels } = repair.queues;
  const round = (repair.round ??= { level: -1, left: 0, blocked: "", unsure: new Set() });
  const by = contextOf(repair, view, time);
  for (let lookedAt = 0; lookedAt < stepMax; lookedAt++) {
    while (round.left === 0) {
      round.level++;
      const queue = levels[round.level];
      if (queue === undefined) return ended(repair, commands);
      round.left = Math.min(lookedAtMax, queue.size);
    }
    if (!mayBegin(repair.pace, time.pace, time.nowMs)) return ended(repair, commands);
    round.left--;
    const [handle] = levels[round.level] ?? [];
    if (handle === undefined) {
      round.left = 0;
      continue;
    }
    const command = planOne(repair, view, { handle, by, time });
    if (command === undefined) continue;
    commands.push(command);
    const busy = [command.target, command.sources[0]].some(
      (volume) => !hasRoom(repair.pace, volume, { limits: time.pace, nowMs: time.nowMs }),
    );
    if (busy && !anybodyHasRoom(repair, by)) return ended(repair, commands);
  }
  return { commands, more: true };
}

function ended(repair: Repair, commands: readonly RepairCommand[]): PlanStep {
  repair.blocked = repair.round?.blocked ?? "";
  repair.unsure = repair.round?.unsure ?? new Set();
  repair.round = undefined;
  return { commands, more: false };
}

function contextOf(repair: Repair, view: ChunkView, time: RepairTime): ChoiceContext {
  const { nowMs, limits, pace: paceLimits, garbage } = time;
  const candidates = candidatesOf(view.volumes);
  return { nowMs, limits, paceLimits, pace: repair.pace, garbage, racks: rackTable(view.volumes), candidates };
}

/** Two servers are needed for a clone. */
function anybodyHasRoom(repair: Repair, { candidates, paceLimits: limits, nowMs }: ChoiceContext): boolean {
  let count = 0;
  for (const { volume, liveness } of candidates)
    if (liveness === "live" && hasRoom(repair.pace, volume, { limits, nowMs })) count++;
  return count > 1;
}

function planOne(
  repair: Repair,
  view: ChunkView,
  of: { readonly handle: ChunkHandle; readonly by: ChoiceContext; readonly time: RepairTime },
): RepairCommand | undefined {
  const { handle, by, time } = of;
  const { queues, round, running, failures } = repair;
  const level = round?.level ?? 0;
  const slot = slotOf(view.chunks, handle);
  const chunk = slot < 0 ? undefined : chunkAt(view.chunks, slot);
  const want = chunk === undefined || running.has(handle) ? undefined : wantOf(view, slot, by);
  if (chunk === undefined || want === undefined) {
    takeOut(queues, handle);
    if (!running.has(handle)) failures.delete(handle);
    return undefined;
  }
  putLast(queues, handle, level);
  const failed = failures.get(handle);
  if (failed !== undefined && failed.retryAtMs > time.nowMs) {
    if (round !== undefined && want !== "misplaced") round.blocked ||= failed.why;
    return undefined;
  }
  const choice = chooseClone(view, by, { chunk, slot, want, avoid: failed?.targets ?? new Set() });
  if (choice.kind !== "clone") {
    if (choice.kind !== "wait" && want !== "misplaced" && round !== undefined) round.blocked ||= choice.why;
    if (choice.kind === "unsure") round?.unsure.add(handle);
    return undefined;
  }
  takeOut(queues, handle);
  const { version, length, crc } = chunk;
  const { target, sources } = choice;
  const command = { handle, version, length, crc, target, sources, bytesPerSecond: rateOfOne(time.pace) };
  const { nowMs } = time;
  running.set(handle, { command, want, trashed: time.isTrashed(chunk), startedMs: nowMs, stopping: false });
  beginTransfer(repair.pace, { source: sources[0], target, bytes: length }, { limits: time.pace, nowMs });
  return command;
}

/** What a sealed chunk needs now. One without a copy can't be helped; one with too many waits until the surplus is gone. */
function wantOf(view: ChunkView, slot: number, { racks }: Pick<ChoiceContext, "racks">): Want | undefined {
  if (stateAt(view.chunks, slot) !== "sealed") return undefined;
  const holders = holderCountAt(view, slot);
  const goal = view.chunks.goals.get(slot);
  if (holders > 0 && holders < goal) return "short";
  if (holders > 0 && countedHoldersAt(view, slot) < goal) return "moving";
  return holders === goal && crowding(view.chunks, slot, racks) > 0 ? "misplaced" : undefined;
}

/** A whole round over the chunk table found that none of these needs anything. */
export function dropUnfounded({ queues, running, failures }: Repair, handles: Iterable<ChunkHandle>): void {
  for (const handle of handles) {
    takeOut(queues, handle);
    if (!running.has(handle)) failures.delete(handle);
  }
}

/** Clones under way that are not balance's. */
export function runningRepairs({ running }: Pick<Repair, "running">): number {
  let count = 0;
  for (const { want } of running.values()) if (want !== "balance") count++;
  return count;
}

/**
 * A clone that balance wants: one of repair's as any other, but that it is no repair when it is done. Undefined where the chunk is being copied already, or has changed.
 */
export function beginMove(
  repair: Repair,
  view: ChunkView,
  move: {
    readonly handle: ChunkHandle;
    readonly source: VolumeIndex;
    readonly target: VolumeIndex;
    readonly rate: number;
  },
  { nowMs, pace: limits }: Pick<RepairTime, "nowMs" | "pace">,
): RepairCommand | undefined {
  const { handle, source, target } = move;
  const slot = slotOf(view.chunks, handle);
  const chunk = slot < 0 ? undefined : chunkAt(view.chunks, slot);
  if (chunk?.state !== "sealed" || repair.running.has(handle)) return undefined;
  const { version, length, crc } = chunk;
  const others = replicasAt(view.chunks, slot)
    .filter(({ volume, health }) => volume !== source && isHolder(health) && isUsable(view.volumes.byIndex[volume]))
    .map(({ volume }) => volume);
  const rate = Math.min(rateOfOne(limits) ?? Infinity, move.rate > 0 ? move.rate : Infinity);
  const bytesPerSecond = rate === Infinity ? undefined : rate;
  const command: RepairCommand = { handle, version, length, crc, target, sources: [source, ...others], bytesPerSecond };
  repair.running.set(handle, { command, want: "balance", trashed: false, startedMs: nowMs, stopping: false });
  beginTransfer(repair.pace, { source, target, bytes: length }, { limits, nowMs });
  return command;
}

/** Clones under way that nobody needs any more, each once: their targets should stop them. */
export function stopUnneeded(repair: Repair, view: ChunkView): RepairCommand[] {
  const unneeded: RepairCommand[] = [];
  if (repair.running.size === 0) return unneeded;
  const racks = rackTable(view.volumes);
  for (const clone of repair.running.values()) {
    const { command, want } = clone;
    if (clone.stopping) continue;
    const slot = sameChunk(view, command);
    const needs = slot === undefined ? undefined : wantOf(view, slot, { racks });
    // What balance moves needs nothing, as long as it is there.
    if (want === "balance" && slot !== undefined) continue;
    // What became short meanwhile needs the copy all the more, and so does what is to leave a volume.
    if (needs === "short" || needs === "moving" || needs === want) continue;
    const health = slot === undefined ? undefined : replicaOn(view.chunks, slot, command.target);
    // A report was quicker than the answer: it is there already.
    if (health !== undefined && isHolder(health)) continue;
    clone.stopping = true;
    unneeded.push(command);
  }
  return unneeded;
}

/** Its slot, if the chunk is still what was to be copied. */
function sameChunk({ chunks }: ChunkView, { handle, version }: RepairCommand): number | undefined {
  const slot = slotOf(chunks, handle);
  return slot >= 0 && stateAt(chunks, slot) === "sealed" && chunks.versions.get(slot) === version ? slot : undefined;
}

/**
 * A clone was answered, failed, or has no known outcome (a replica that it made then is found by a report).
 *
 * healed: the target is a holder now. orphan: the chunk was let go or changed meanwhile: what was made is garbage. stopped: as was wished. failed: it is tried again later,
 * rather on another target.
 */
export function repairEnded(
  repair: Repair,
  view: ChunkView,
  end: {
    readonly command: RepairCommand;
    readonly failure: string | undefined;
    readonly nowMs: number;
    readonly pace: PaceLimits;
  },
): "healed" | "orphan" | "stopped" | "failed" {
  const { command, failure, nowMs, pace: limits } = end;
  const { handle, target, sources, length } = command;
  const clone = repair.running.get(handle);
  if (clone?.command === command) {
    repair.running.delete(handle);
    const copied = ((command.bytesPerSecond ?? 0) * (nowMs - clone.startedMs)) / 1_000;
    const unused = failure === undefined ? 0 : Math.max(0, length - copied);
    endTransfer(repair.pace, { source: sources[0], target, bytes: length }, { unused, limits, nowMs });
  }
  const slot = sameChunk(view, command);
  if (slot === undefined) {
    repair.failures.delete(handle);
    return "orphan";
  }
  const stopped = failure !== undefined && clone?.stopping === true;
  if (failure === undefined) {
    repair.failures.delete(handle);
    if (clone?.want !== "balance") {
      repair.done++;
      repair.doneBytes += length;
    }
    noteReplicaFact(view.chunks, handle, { volume: target, health: "healthy" });
  } else if (!stopped && clone?.want !== "balance") noteFailure(repair, command, { failure, nowMs });
  const holders = holderCountAt(view, slot);
  const goal = view.chunks.goals.get(slot);
  const trashed = clone?.trashed === true;
  if (holders > 0 && countedHoldersAt(view, slot) < goal)
    queueShort(repair.queues, { handle, holders, trashed, moving: holders >= goal }, nowMs);
  return failure === undefined ? "healed" : stopped ? "stopped" : "failed";
}

function noteFailure(repair: Repair, { handle, target }: RepairCommand, of: { failure: string; nowMs: number }): void {
  const before = repair.failures.get(handle);
  const count = (before?.count ?? 0) + 1;
  repair.failures.set(handle, {
    count,
    retryAtMs: of.nowMs + Math.min(retryMsMax, retryMs * 2 ** Math.min(10, count - 1)),
    // One that comes a second time begins a new turn: else, of those that have all failed once, only the first would ever be tried again.
    targets: before?.targets.has(target) === true ? new Set([target]) : new Set([...(before?.targets ?? []), target]),
    why: `the last attempt to copy chunk ${handle} failed: ${of.failure}`,
  });
}
