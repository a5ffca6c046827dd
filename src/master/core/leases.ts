/**
 * Leases of open chunks, and which of them must be sealed (DESIGN §4.3): judged from heartbeats. A lapse alone seals nothing: a healthy tail goes
 * on when its primary is heard again.
 */
import type { OpenReplica } from "../../wire/control/chunkservers.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import { membersAt, slotOf, stateAt } from "./chunk-table.ts";
import type { ChunkTable, VolumeIndex } from "./chunk-table.ts";

interface Lease {
  /** The latest instant up to which the primary may still order appends, as the master knows it. */
  untilMs: number;
  /** Committed length that the primary told last, in bytes. */
  committed: number;
  /** By member: heartbeats in a row that lacked the chunk. */
  readonly missed: Map<VolumeIndex, number>;
}

export interface LeaseTable {
  readonly leases: Map<ChunkHandle, Lease>;
  /** Open commands that are not answered yet: members need not have the chunk. */
  readonly opening: Set<ChunkHandle>;
}

export interface MustSeal {
  readonly handle: ChunkHandle;
  readonly reason: string;
}

export interface HeardOpen {
  readonly volume: VolumeIndex;
  readonly label: string;
  readonly open: readonly OpenReplica[];
}

/**
 * Heartbeats in a row that must lack a chunk: one of them may have been sent before the open command came.
 */
const missedMax = 2;

export function createLeaseTable(): LeaseTable {
  return { leases: new Map(), opening: new Set() };
}

/** The record `tail-opened` is applied; members are being told. */
export function openingChunk(table: LeaseTable, handle: ChunkHandle): void {
  table.opening.add(handle);
}

/** All members opened it; the primary got a lease with the command, sent before `nowMs`. */
export function openedChunk(table: LeaseTable, handle: ChunkHandle, untilMs: number): void {
  table.opening.delete(handle);
  leaseOf(table, handle).untilMs = untilMs;
}

/** It is being sealed, or gone. */
export function dropLease(table: LeaseTable, handle: ChunkHandle): void {
  table.leases.delete(handle);
  table.opening.delete(handle);
}

/** Whether the chunk's primary may still be ordering appends at `nowMs`. */
export function leaseHolds(table: LeaseTable, handle: ChunkHandle, nowMs: number): boolean {
  return (table.leases.get(handle)?.untilMs ?? -1) > nowMs;
}

/** Committed length of an open chunk that its primary told last; it may have grown since. */
export function heardCommitted(table: LeaseTable, handle: ChunkHandle): number {
  return table.leases.get(handle)?.committed ?? 0;
}

function leaseOf(table: LeaseTable, handle: ChunkHandle): Lease {
  let lease = table.leases.get(handle);
  if (lease === undefined) {
    lease = { untilMs: 0, committed: 0, missed: new Map() };
    table.leases.set(handle, lease);
  }
  return lease;
}

/**
 * What a heartbeat says about open chunks: leases to extend (by `leaseMs` from when it was *sent*, so at most until `nowMs` + `leaseMs` here), and
 * chunks that can't go on. `openOnVolume`: the open chunks that the volume is a member of.
 */
export function hearOpenReplicas(
  state: { readonly leases: LeaseTable; readonly chunks: ChunkTable },
  heard: HeardOpen,
  time: { readonly nowMs: number; readonly leaseMs: number },
): { readonly extended: ChunkHandle[]; readonly mustSeal: MustSeal[] } {
  const extended: ChunkHandle[] = [];
  const mustSeal: MustSeal[] = [];
  const listed = new Set<ChunkHandle>();
  for (const replica of heard.open) {
    listed.add(replica.handle);
    const slot = slotOf(state.chunks, replica.handle);
    // Sealed, being sealed, or let go: no lease, and the fence or delete is on its way.
    if (slot < 0 || stateAt(state.chunks, slot) !== "open") continue;
    const place = membersAt(state.chunks, slot).indexOf(heard.volume);
    const reason = stopReason(replica, { place, version: state.chunks.versions.get(slot), label: heard.label });
    if (reason !== undefined) {
      mustSeal.push({ handle: replica.handle, reason });
      continue;
    }
    if (place < 0) continue;
    const lease = leaseOf(state.leases, replica.handle);
    lease.missed.delete(heard.volume);
    if (place > 0) continue;
    lease.untilMs = Math.max(lease.untilMs, time.nowMs + time.leaseMs);
    lease.committed = Math.max(lease.committed, replica.committed);
    extended.push(replica.handle);
  }
  for (const handle of openChunksOf(state.chunks, heard.volume)) {
    if (listed.has(handle) || state.leases.opening.has(handle)) continue;
    const { missed } = leaseOf(state.leases, handle);
    const count = (missed.get(heard.volume) ?? 0) + 1;
    missed.set(heard.volume, count);
    if (count >= missedMax) mustSeal.push({ handle, reason: `${heard.label} does not have it open` });
  }
  return { extended, mustSeal };
}

function stopReason(
  replica: OpenReplica,
  chunk: { readonly place: number; readonly version: number; readonly label: string },
): string | undefined {
  const { place, label } = chunk;
  if (place < 0) return undefined;
  if (replica.stopped !== undefined) return `${label} stopped: ${replica.stopped}`;
  if (replica.role === "lost") return `${label} restarted and lost its role`;
  if (replica.version !== chunk.version) return `${label} has it at version ${replica.version}, not ${chunk.version}`;
  if ((replica.role === "primary") !== (place === 0)) return `${label} plays ${replica.role}, out of its place`;
  return undefined;
}

/** Open chunks that a volume is a member of. */
export function openChunksOf(chunks: ChunkTable, volume: VolumeIndex): ChunkHandle[] {
  const handles: ChunkHandle[] = [];
  for (const handle of chunks.unsealed) {
    const slot = slotOf(chunks, handle);
    if (stateAt(chunks, slot) === "open" && membersAt(chunks, slot).includes(volume)) handles.push(handle);
  }
  return handles;
}

/** A member died, retired or restarted: no append can be acknowledged any more on its open chunks. */
export function sealForVolume(chunks: ChunkTable, volume: VolumeIndex, reason: string): MustSeal[] {
  return openChunksOf(chunks, volume).map((handle) => ({ handle, reason }));
}

/** Chunks that the log says are being sealed: for new seal machines after a restart. */
export function sealingChunks(chunks: ChunkTable): ChunkHandle[] {
  return [...chunks.unsealed].filter((handle) => stateAt(chunks, slotOf(chunks, handle)) === "sealing");
}
