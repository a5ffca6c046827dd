/**
 * Soft state of the chunk table: which volume holds which replica, as facts and reports tell (DESIGN §4.1). Never logged.
 *
 * The fact clock orders facts (a logged seal or commit, a clone that was answered, a replica found bad) against reports. A volume gets a
 * fact mark with each answer to its registration and heartbeats, and sends with a report the last mark it had when the report began: what
 * happened to a chunk after that mark, the report does not know, and can't undo.
 */
import { assert } from "../../base/assert.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import { inlineEntries, reportedBit, slotOf, stateAt } from "./chunk-table.ts";
import type { ChunkTable, VolumeIndex } from "./chunk-table.ts";

/**
 * named: a logged record says so; a holder until a full report that began later lacks it. healthy: the volume itself said so since this
 * start, or answered the copy or finish. unfinished: holds all of it, fenced, its finish not confirmed. stale, corrupt: garbage once enough
 * others are healthy.
 */
export type ReplicaHealth = "named" | "healthy" | "unfinished" | "stale" | "corrupt";
const healths: readonly ReplicaHealth[] = ["named", "healthy", "unfinished", "stale", "corrupt"];

export interface Replica {
  readonly volume: VolumeIndex;
  readonly health: ReplicaHealth;
}

/** A named or healthy replica may be read. */
export function isHolder(health: ReplicaHealth): boolean {
  return health === "named" || health === "healthy";
}

const volumeOf = (packed: number): VolumeIndex => packed & 0xffff;
const healthCodeOf = (packed: number): number => (packed >>> 16) & 0xff;
const seenOf = (packed: number): number => packed >>> 24;

function packedAt(table: ChunkTable, slot: number, i: number): number {
  if (i < inlineEntries) return table.replicas.get(slot * inlineEntries + i);
  return table.replicaOverflow.get(slot)?.[i - inlineEntries] ?? 0;
}

function setPackedAt(table: ChunkTable, place: { slot: number; i: number }, packed: number): void {
  const { slot, i } = place;
  if (i < inlineEntries) {
    table.replicas.set(slot * inlineEntries + i, packed);
    return;
  }
  const more = table.replicaOverflow.get(slot) ?? [];
  more[i - inlineEntries] = packed;
  table.replicaOverflow.set(slot, more);
}

function indexOfVolume(table: ChunkTable, slot: number, volume: VolumeIndex): number {
  const count = table.replicaCounts.get(slot);
  for (let i = 0; i < count; i++) if (volumeOf(packedAt(table, slot, i)) === volume) return i;
  return -1;
}

export function replicaCountAt(table: ChunkTable, slot: number): number {
  return table.replicaCounts.get(slot);
}

/** Of replica `i` < `replicaCountAt`: for scans that make no object an entry. */
export function replicaVolumeAt(table: ChunkTable, slot: number, i: number): VolumeIndex {
  return volumeOf(packedAt(table, slot, i));
}

export function replicaHealthAt(table: ChunkTable, slot: number, i: number): ReplicaHealth {
  return healths[healthCodeOf(packedAt(table, slot, i))] ?? "named";
}

/** The report (1 to 255, of its volume) that listed this replica last; 0: none since the latest fact. */
export function replicaSeenAt(table: ChunkTable, slot: number, i: number): number {
  return seenOf(packedAt(table, slot, i));
}

export function replicasAt(table: ChunkTable, slot: number): Replica[] {
  const replicas: Replica[] = [];
  for (let i = 0; i < table.replicaCounts.get(slot); i++)
    replicas.push({ volume: replicaVolumeAt(table, slot, i), health: replicaHealthAt(table, slot, i) });
  return replicas;
}

/** Replicas known of a chunk; none for an unknown one. */
export function replicasOf(table: ChunkTable, handle: ChunkHandle): Replica[] {
  const slot = slotOf(table, handle);
  return slot < 0 ? [] : replicasAt(table, slot);
}

/** What one volume holds of a chunk, or undefined. */
export function replicaOn(table: ChunkTable, slot: number, volume: VolumeIndex): ReplicaHealth | undefined {
  const i = indexOfVolume(table, slot, volume);
  return i < 0 ? undefined : replicaHealthAt(table, slot, i);
}

/** Sets what a report (`seen` > 0) or a fact (0) says of a volume's replica. */
export function putReplica(
  table: ChunkTable,
  slot: number,
  replica: { readonly volume: VolumeIndex; readonly health: ReplicaHealth; readonly seen: number },
): void {
  const { volume, health, seen } = replica;
  assert(volume >= 0 && volume <= 0xffff && seen >= 0 && seen <= 0xff, "replica out of range");
  const packed = (volume | (healths.indexOf(health) << 16) | (seen << 24)) >>> 0;
  const i = indexOfVolume(table, slot, volume);
  if (i >= 0) {
    if (!isHolder(health)) noteLost(table, slot, i);
    setPackedAt(table, { slot, i }, packed);
  } else {
    const count = table.replicaCounts.get(slot);
    assert(count < 0xff, "too many replicas of one chunk");
    setPackedAt(table, { slot, i: count }, packed);
    table.replicaCounts.set(slot, count + 1);
    table.replicaTotal++;
  }
  if (table.live && isHolder(health)) markReported(table, slot);
}

function markReported(table: ChunkTable, slot: number): void {
  const state = table.states.get(slot);
  if ((state & reportedBit) !== 0 || stateAt(table, slot) !== "sealed") return;
  table.states.set(slot, state | reportedBit);
  table.sealedReportedCount++;
}

/** Replica `i` is about to go, or to be good no more. */
function noteLost(table: ChunkTable, slot: number, i: number): void {
  if (!isHolder(replicaHealthAt(table, slot, i))) return;
  const volume = replicaVolumeAt(table, slot, i);
  table.lost.set(volume, (table.lost.get(volume) ?? 0) + 1);
}

export function dropReplica(table: ChunkTable, slot: number, volume: VolumeIndex): void {
  const i = indexOfVolume(table, slot, volume);
  if (i < 0) return;
  noteLost(table, slot, i);
  const last = table.replicaCounts.get(slot) - 1;
  if (i !== last) setPackedAt(table, { slot, i }, packedAt(table, slot, last));
  table.replicaCounts.set(slot, last);
  table.replicaTotal--;
  const more = table.replicaOverflow.get(slot);
  if (more === undefined) return;
  more.length = Math.max(0, last - inlineEntries);
  if (more.length === 0) table.replicaOverflow.delete(slot);
}

/** A chunk's replicas become exactly the volumes named by a log record. */
export function nameReplicas(table: ChunkTable, slot: number, volumes: readonly VolumeIndex[]): void {
  table.replicaTotal -= table.replicaCounts.get(slot);
  table.replicaCounts.set(slot, 0);
  table.replicaOverflow.delete(slot);
  let count = 0;
  for (const volume of volumes) {
    if (indexOfVolume(table, slot, volume) >= 0) continue;
    // A volume alone: health `named` and a report of none are 0.
    setPackedAt(table, { slot, i: count++ }, volume);
    table.replicaCounts.set(slot, count);
  }
  table.replicaTotal += count;
  if (table.live && count > 0) markReported(table, slot);
  stampFact(table, slot);
}

/** A report that began before now can't say anything about this chunk any more. */
export function stampFact(table: ChunkTable, slot: number): void {
  table.stamps.set(slot, table.live ? table.factClock : 0);
}

/**
 * A fact about one replica: a clone or finish was answered (healthy), a volume or reader found it bad, a delete was answered (gone).
 * False where the chunk isn't known (any more).
 */
export function noteReplicaFact(
  table: ChunkTable,
  handle: ChunkHandle,
  fact: { readonly volume: VolumeIndex; readonly health: ReplicaHealth | "gone" },
): boolean {
  const slot = slotOf(table, handle);
  if (slot < 0) return false;
  if (fact.health === "gone") dropReplica(table, slot, fact.volume);
  else putReplica(table, slot, { volume: fact.volume, health: fact.health, seen: 0 });
  stampFact(table, slot);
  return true;
}

/** Facts are dated to this many milliseconds: a replica made shortly before a report began waits for the next one. */
const factTickMs = 1_000;

/** The mark for an answer to a registration or heartbeat: every fact dated up to it came before the answer. */
export function handFactMark(table: ChunkTable, nowMs: number): number {
  if (nowMs - table.factClockMs >= factTickMs || table.factClockMs === 0) {
    table.factClock++;
    table.factClockMs = nowMs;
  }
  return table.factClock - 1;
}
