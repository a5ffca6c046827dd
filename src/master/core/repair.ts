/**
 * Plain repair (DESIGN §4.5): sealed chunks with fewer holders than wanted are cloned from a healthy replica, those with one copy left first, at most
 * `repairStreamsPerServer` clones a server as source or target. A corrupt replica is replaced in its place where enough others are surely healthy; else
 * placement chooses the volume.
 */
import type { Limits } from "../../limits.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";
import { isHolder, noteReplicaFact, replicasAt } from "./chunk-replicas.ts";
import { countedHoldersAt, holderCountAt, type ScanStep } from "./chunk-scan.ts";
import { enoughToReplace, type Garbage, isBeingDeleted, sureHolders } from "./garbage.ts";
import type { ChunkView } from "./chunk-scan.ts";
import { chunkAt, slotOf, stateAt } from "./chunk-table.ts";
import type { Chunk, VolumeIndex } from "./chunk-table.ts";
import { candidateOf, candidatesOf, rankForReader, tryPlace, whyNoPlace } from "./placement.ts";
import type { Candidate, PlacementRequest } from "./placement.ts";
import { isCounted, isUsable, volumeAt } from "./volumes.ts";

interface Failures {
  readonly count: number;
  readonly retryAtMs: number;
  readonly targets: ReadonlySet<VolumeIndex>;
  readonly why: string;
}

interface Clone {
  readonly source: VolumeIndex;
  readonly target: VolumeIndex;
}

export interface Repair {
  /** By copies left: one, two, more; last those that are whole, and only to be moved off a volume that is being drained. */
  readonly queues: readonly [Set<ChunkHandle>, Set<ChunkHandle>, Set<ChunkHandle>, Set<ChunkHandle>];
  readonly running: Map<ChunkHandle, Clone>;
  readonly streams: Map<VolumeIndex, number>;
  readonly failures: Map<ChunkHandle, Failures>;
  /** Only their corrupt replicas' own servers could take a copy, and of the other replicas nobody has said yet that they are healthy: have them verified. */
  readonly unsure: Set<ChunkHandle>;
  /** A queue was full: the next round of the scan brings the rest. */
  overflowed: boolean;
  done: number;
  doneBytes: number;
  /** Why nothing could be planned for the first chunk in the queue, for status. */
  blocked: string;
}

/** Master → target: `clone`; tell with `repairEnded`. */
export interface RepairCommand {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly length: number;
  readonly crc: number;
  readonly target: VolumeIndex;
  /** Healthy replicas, nearest to the target first. */
  readonly sources: readonly VolumeIndex[];
}

const queueMax = 10_000;
/** Chunks looked at in one plan: a queue of blocked ones must not stall the master. */
const lookedAtMax = 256;
const retryMs = 1_000;
const retryMsMax = 60_000;

export function createRepair(): Repair {
  return {
    queues: [new Set(), new Set(), new Set(), new Set()],
    running: new Map(),
    streams: new Map(),
    failures: new Map(),
    unsure: new Set(),
    overflowed: false,
    done: 0,
    doneBytes: 0,
    blocked: "",
  };
}

export function queuedRepairs(repair: Repair): number {
  return repair.queues.reduce((sum, queue) => sum + queue.size, 0);
}

/** What the scan found, or a report of a bad or missing replica. `holders` >= 1: without any there is nothing to copy. */
export function queueRepair(repair: Repair, short: ScanStep["short"][number]): void {
  const [one, two, more, moves] = repair.queues;
  const queue = short.moving === true ? moves : short.holders <= 1 ? one : short.holders === 2 ? two : more;
  for (const other of repair.queues) if (other !== queue) other.delete(short.handle);
  if (queue.size >= queueMax && !queue.has(short.handle)) repair.overflowed = true;
  else queue.add(short.handle);
}

export interface RepairTime {
  readonly nowMs: number;
  readonly limits: Limits;
  readonly max: number;
  /** Of deletions (garbage.ts): what volumes were told to delete. */
  readonly garbage: Pick<Garbage, "sent">;
}

/** Clones to start now, at most `max`; none in safe mode, and none to where the same chunk is being deleted. They count as running until `repairEnded`. */
export function planRepairs(repair: Repair, view: ChunkView, time: RepairTime): RepairCommand[] {
  const commands: RepairCommand[] = [];
  if (view.safeMode) return commands;
  repair.blocked = "";
  repair.unsure.clear();
  const free = candidatesOf(view.volumes).filter((each) => hasRoom(repair, each.volume, time.limits));
  let lookedAt = 0;
  for (const queue of repair.queues) {
    for (const handle of queue) {
      if (commands.length >= time.max || lookedAt++ >= lookedAtMax) return commands;
      // To the end of its queue: a chunk that can't be helped now does not keep the others waiting.
      queue.delete(handle);
      const slot = slotOf(view.chunks, handle);
      const chunk = slot < 0 ? undefined : chunkAt(view.chunks, slot);
      if (chunk?.state !== "sealed" || repair.running.has(handle)) continue;
      const holders = holderCountAt(view, slot);
      if (countedHoldersAt(view, slot) >= chunk.goal) {
        repair.failures.delete(handle);
        continue;
      }
      const command = holders === 0 ? undefined : planOne(repair, view, { chunk, slot, time, free });
      if (command === undefined) {
        if (holders > 0) queue.add(handle);
        continue;
      }
      commands.push(command);
      begin(repair, command);
      for (const busy of [command.target, command.sources[0]])
        if (busy !== undefined && !hasRoom(repair, busy, time.limits)) removeCandidate(free, busy);
    }
  }
  return commands;
}

function removeCandidate(free: Candidate[], volume: VolumeIndex): void {
  const at = free.findIndex((each) => each.volume === volume);
  if (at >= 0) free.splice(at, 1);
}

function hasRoom(repair: Repair, volume: VolumeIndex, limits: Limits): boolean {
  return (repair.streams.get(volume) ?? 0) < limits.repairStreamsPerServer;
}

function planOne(
  repair: Repair,
  view: ChunkView,
  of: { chunk: Chunk; slot: number; time: RepairTime; free: readonly Candidate[] },
): RepairCommand | undefined {
  const { chunk, slot, time } = of;
  const free = of.free.filter((each) => !isBeingDeleted(time.garbage, each.volume, chunk.handle));
  const failures = repair.failures.get(chunk.handle);
  if (failures !== undefined && failures.retryAtMs > time.nowMs) {
    repair.blocked ||= failures.why;
    return undefined;
  }
  const replicas = replicasAt(view.chunks, slot);
  const readable = replicas.filter((each) => isHolder(each.health) && isUsable(view.volumes.byIndex[each.volume]));
  const sources = readable.filter((each) => hasRoom(repair, each.volume, time.limits));
  const [first] = sources;
  // Nothing can be a target while every server has its share of clones; that is no reason to complain.
  if (first === undefined || free.length === 0) return undefined;
  const from = candidateOf(volumeAt(view.volumes, first.volume));
  const avoid = failures?.targets ?? new Set();
  const corrupt = replicas.find(
    ({ volume, health }) =>
      health === "corrupt" &&
      !avoid.has(volume) &&
      isUsable(view.volumes.byIndex[volume]) &&
      isCounted(view.volumes.byIndex[volume]) &&
      free.some((each) => each.volume === volume),
  );
  const needed = enoughToReplace(chunk.goal, time.limits.minReplicas);
  const elsewhere = replicas.filter(
    ({ volume }) => volume !== corrupt?.volume && isUsable(view.volumes.byIndex[volume]),
  );
  // Bad ones count as well, for something could be saved from them: else a healthy, a stale and a corrupt replica on three servers would stay so for ever.
  const told = elsewhere.filter(({ health }) => health === "healthy" || health === "stale" || health === "corrupt");
  const inPlace = corrupt !== undefined && told.length >= needed && sureHolders(view, slot, corrupt.volume) > 0;
  const target = inPlace
    ? corrupt.volume
    : chooseTarget(repair, free, {
        chunk,
        // A stale or corrupt replica is in the way too, until it is deleted. One that is to leave crowds no rack.
        holders: replicas.map(({ volume }) => volume).filter((volume) => isCounted(view.volumes.byIndex[volume])),
        from,
        limits: time.limits,
        avoid,
      });
  if (target === undefined) {
    if (corrupt !== undefined && elsewhere.length >= needed) repair.unsure.add(chunk.handle);
    return undefined;
  }
  const to = candidateOf(volumeAt(view.volumes, target));
  const candidates = sources.map((each) => candidateOf(volumeAt(view.volumes, each.volume)));
  const ranked = rankForReader(candidates, { location: to.location, rack: to.rack }, chunk.handle);
  const others = readable.filter((each) => !sources.includes(each)).map((each) => each.volume);
  const { handle, version, length, crc } = chunk;
  return { handle, version, length, crc, target, sources: [...ranked.map((each) => each.volume), ...others] };
}

function chooseTarget(
  repair: Repair,
  free: readonly Candidate[],
  want: {
    chunk: Chunk;
    holders: readonly VolumeIndex[];
    from: Candidate;
    limits: Limits;
    avoid: ReadonlySet<VolumeIndex>;
  },
): VolumeIndex | undefined {
  const { chunk, holders, from, limits, avoid } = want;
  const request: PlacementRequest = {
    replicas: 1,
    minReplicas: 1,
    bytes: chunk.length,
    from: { location: from.location, rack: from.rack },
    excluded: avoid,
    holders,
    weights: limits,
    what: `another replica of chunk ${chunk.handle}`,
  };
  const placed = tryPlace(free, request);
  // Of all that wait for a place one reason is told; no errors are made, for a long queue asks at every plan.
  if (placed === undefined) repair.blocked ||= whyNoPlace(free, request).message;
  return placed?.chosen[0];
}

function addStream(repair: Repair, volume: VolumeIndex, delta: number): void {
  const count = (repair.streams.get(volume) ?? 0) + delta;
  if (count > 0) repair.streams.set(volume, count);
  else repair.streams.delete(volume);
}

function begin(repair: Repair, command: RepairCommand): void {
  const source = command.sources[0] ?? command.target;
  repair.running.set(command.handle, { source, target: command.target });
  addStream(repair, source, 1);
  addStream(repair, command.target, 1);
}

/**
 * A clone was answered, failed, or has no known outcome (a replica that it made then is found by a report).
 *
 * healed: the target is a holder now. orphan: the chunk was let go or changed meanwhile: what was made is garbage. failed: it is tried again later, rather
 * on another target.
 */
export function repairEnded(
  repair: Repair,
  view: ChunkView,
  ended: {
    readonly command: RepairCommand;
    readonly failure: string | undefined;
    readonly nowMs: number;
  },
): "healed" | "orphan" | "failed" {
  const { command, failure, nowMs } = ended;
  const { handle } = command;
  const clone = repair.running.get(handle);
  if (clone !== undefined && clone.target === command.target) {
    repair.running.delete(handle);
    addStream(repair, clone.source, -1);
    addStream(repair, clone.target, -1);
  }
  const slot = slotOf(view.chunks, handle);
  const same =
    slot >= 0 && stateAt(view.chunks, slot) === "sealed" && view.chunks.versions.get(slot) === command.version;
  if (!same) {
    repair.failures.delete(handle);
    return "orphan";
  }
  if (failure === undefined) {
    repair.failures.delete(handle);
    repair.done++;
    repair.doneBytes += command.length;
    noteReplicaFact(view.chunks, handle, { volume: command.target, health: "healthy" });
  } else {
    const before = repair.failures.get(handle);
    const count = (before?.count ?? 0) + 1;
    repair.failures.set(handle, {
      count,
      retryAtMs: nowMs + Math.min(retryMsMax, retryMs * 2 ** Math.min(10, count - 1)),
      targets: new Set([...(before?.targets ?? []), command.target]),
      why: `the last attempt to copy chunk ${handle} failed: ${failure}`,
    });
  }
  const holders = holderCountAt(view, slot);
  const goal = view.chunks.goals.get(slot);
  if (holders > 0 && countedHoldersAt(view, slot) < goal)
    queueRepair(repair, { handle, holders, moving: holders >= goal });
  return failure === undefined ? "healed" : "failed";
}
