/**
 * What operators order to be read and checked (DESIGN §4.5): the replicas of an order, one queue a volume, and what became of each. Nothing here is durable: an order is gone with
 * the master's process, and what it found is known by the volumes themselves, which report it in their heartbeats. So an answer is counted, and changes no replica's health: it may be
 * older than a copy that was made since.
 */
import type { ScrubFinding, ScrubOrder, VerifyResult } from "../../wire/control/scrub-orders.ts";
import { findingsMax } from "../../wire/control/scrub-orders.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";
import { isHolder, replicaOn, replicasAt } from "./chunk-replicas.ts";
import { type ChunkView, holderCountAt } from "./chunk-scan.ts";
import { chunkAt, slotOf, type VolumeIndex } from "./chunk-table.ts";
import { isForgotten, isUsable, nameOf, type Volume, volumeAt } from "./volumes.ts";

/** One replica that is to be read. */
export interface ReplicaToRead {
  readonly handle: ChunkHandle;
  readonly volume: VolumeIndex;
  /** Times that it was asked for without an answer. */
  readonly tries: number;
}

interface Finding {
  readonly kind: ScrubFinding["kind"];
  readonly handle: ChunkHandle;
  readonly volume: VolumeIndex;
  readonly why: string;
}

type Counts = Pick<
  ScrubOrder,
  "files" | "chunks" | "totalReplicas" | "totalBytes" | "healthy" | "corrupt" | "missing" | "unverified" | "bytes"
>;

export interface Order {
  readonly id: string;
  /** As the operator named it. */
  readonly target: string;
  readonly beganMs: number;
  state: ScrubOrder["state"];
  endedMs: number | undefined;
  readonly counts: { -readonly [Name in keyof Counts]: Counts[Name] };
  readonly findings: Finding[];
  readonly queues: Map<VolumeIndex, ReplicaToRead[]>;
  /** In all queues. */
  queued: number;
}

export const readItemsMax = 64;
const readBytesMax = 64 * 1_048_576;
/** With a heartbeat's pause between: longer than a server that does not answer is taken for alive. */
const triesMax = 8;

/** @param nowMs monotonic */
export function newOrder(id: string, target: string, nowMs: number): Order {
  const counts: Counts = {
    files: 0,
    chunks: 0,
    totalReplicas: 0,
    totalBytes: 0,
    healthy: 0,
    corrupt: 0,
    missing: 0,
    unverified: 0,
    bytes: 0,
  };
  return {
    id,
    target,
    beganMs: nowMs,
    state: "reading",
    endedMs: undefined,
    counts,
    findings: [],
    queues: new Map(),
    queued: 0,
  };
}

/** Who holds a chunk, or should: its replicas once it is sealed, its members before; and those that are known to be bad while it is short of good ones. */
function holdersAt(view: ChunkView, slot: number): { readonly volume: VolumeIndex; readonly bad: boolean }[] {
  const chunk = chunkAt(view.chunks, slot);
  if (chunk === undefined || chunk.state === "writing") return [];
  if (chunk.state !== "sealed") return chunk.members.map((volume) => ({ volume, bad: false }));
  const short = holderCountAt(view, slot) < chunk.goal;
  return replicasAt(view.chunks, slot)
    .filter(({ volume }) => !isForgotten(view.volumes, volume))
    .filter(({ health }) => isHolder(health) || (short && health === "corrupt"))
    .map(({ volume, health }) => ({ volume, bad: health === "corrupt" }));
}

/** For the total, before anything is read. `only`: of this volume alone. */
export function countChunk(order: Order, view: ChunkView, at: { slot: number; only: VolumeIndex | undefined }): void {
  const holders = holdersAt(view, at.slot).filter(({ volume }) => at.only === undefined || volume === at.only);
  if (holders.length === 0) return;
  order.counts.chunks++;
  order.counts.totalReplicas += holders.length;
  order.counts.totalBytes += holders.length * view.chunks.lengths.get(at.slot);
}

/** Puts the chunk's replicas into the queues of their volumes. What can't be read is counted at once. */
export function queueChunk(order: Order, view: ChunkView, at: { slot: number; only: VolumeIndex | undefined }): void {
  const handle = chunkAt(view.chunks, at.slot)?.handle;
  if (handle === undefined) return;
  for (const { volume, bad } of holdersAt(view, at.slot)) {
    if (at.only !== undefined && volume !== at.only) continue;
    if (bad) note(order, { kind: "corrupt", handle, volume, why: "it was known to be corrupt" });
    else push(order, view, { handle, volume, tries: 0 });
  }
}

function push(order: Order, view: ChunkView, item: ReplicaToRead): void {
  const { volume, handle } = item;
  const why = whyUnreadable(view, volume);
  if (why !== undefined) return note(order, { kind: "unverified", handle, volume, why });
  const queue = order.queues.get(volume) ?? [];
  order.queues.set(volume, queue);
  queue.push(item);
  order.queued++;
}

function whyUnreadable(view: ChunkView, index: VolumeIndex): string | undefined {
  const volume = volumeAt(view.volumes, index);
  if (isUsable(volume)) return undefined;
  return volumeStates(volume);
}

function volumeStates(volume: Volume): string {
  const { liveness } = volume;
  const gone = liveness === "dead" || liveness === "retired";
  return `${nameOf(volume)} ${gone ? `is ${liveness}` : "has not registered since the master started"}`;
}

function note(order: Order, finding: Finding): void {
  order.counts[finding.kind]++;
  if (order.findings.length < findingsMax) order.findings.push(finding);
}

export interface Batch {
  readonly items: readonly (ReplicaToRead & { readonly version: ChunkVersion })[];
  readonly bytes: number;
}

/** The next replicas of a volume that one command asks for; undefined where none wait. Those of chunks that are gone meanwhile are left out; of a volume that is gone all are unverified. */
export function takeBatch(order: Order, view: ChunkView, volume: VolumeIndex): Batch | undefined {
  const queue = order.queues.get(volume);
  const why = whyUnreadable(view, volume);
  if (why !== undefined) {
    for (const { handle } of queue ?? []) note(order, { kind: "unverified", handle, volume, why });
    order.queued -= queue?.length ?? 0;
    order.queues.delete(volume);
    return undefined;
  }
  const items: (ReplicaToRead & { version: ChunkVersion })[] = [];
  let bytes = 0;
  for (let next = queue?.[0]; next !== undefined && items.length < readItemsMax; next = queue?.[0]) {
    const chunk = chunkAt(view.chunks, slotOf(view.chunks, next.handle));
    const length = chunk?.length ?? 0;
    if (items.length > 0 && bytes + length > readBytesMax) break;
    queue?.shift();
    order.queued--;
    if (chunk === undefined || chunk.state === "writing") continue;
    const { version } = chunk;
    items.push({ ...next, version });
    bytes += length;
  }
  if (items.length > 0) return { items, bytes };
  order.queues.delete(volume);
  return undefined;
}

/** What the volume answered of one replica. True: it is asked again, a little later. */
export function takeResult(
  order: Order,
  view: ChunkView,
  { item, result }: { readonly item: Batch["items"][number]; readonly result: VerifyResult },
): boolean {
  const { handle, volume } = item;
  const slot = slotOf(view.chunks, handle);
  const chunk = slot < 0 ? undefined : chunkAt(view.chunks, slot);
  switch (result) {
    case "healthy":
      order.counts.healthy++;
      order.counts.bytes += chunk?.length ?? 0;
      return false;
    case "corrupt":
      note(order, { kind: "corrupt", handle, volume, why: "its bytes are not those that were written" });
      return false;
    case "gone":
      note(order, { kind: "missing", handle, volume, why: "its file is gone" });
      return false;
    case "missing": {
      // Sealed anew, moved, or let go of while it was asked for: what is so now is looked at.
      if (chunk === undefined) return false;
      const health = replicaOn(view.chunks, slot, volume);
      if (chunk.state === "sealed" && (health === undefined || !isHolder(health))) return false;
      const certain = chunk.state === "sealed" && chunk.version === item.version && item.tries > 0;
      if (!certain) return takeFailure(order, view, { item, why: "it changed again and again" });
      note(order, { kind: "missing", handle, volume, why: "its server does not have it" });
      return false;
    }
    case "unsettled":
      return takeFailure(order, view, { item, why: "it is not settled there yet" });
    default:
      return result satisfies never;
  }
}

/** Nobody answered for the replica, or not yet. True: it is asked again, a little later. */
export function takeFailure(
  order: Order,
  view: ChunkView,
  { item, why }: { readonly item: ReplicaToRead; readonly why: string },
): boolean {
  const { handle, volume, tries } = item;
  if (tries + 1 < triesMax && whyUnreadable(view, volume) === undefined) {
    push(order, view, { handle, volume, tries: tries + 1 });
    return true;
  }
  note(order, { kind: "unverified", handle, volume, why: (whyUnreadable(view, volume) ?? why).slice(0, 512) });
  return false;
}

/** Whether what was found bad is mended: its chunk is gone, or has as many good replicas as it wants. */
export function findingState(view: ChunkView, { kind, handle }: Finding): ScrubFinding["state"] {
  if (kind === "unverified") return "unverified";
  const slot = slotOf(view.chunks, handle);
  if (slot < 0) return "repaired";
  const holders = holderCountAt(view, slot);
  if (holders >= view.chunks.goals.get(slot)) return "repaired";
  return holders === 0 && chunkAt(view.chunks, slot)?.state === "sealed" ? "lost" : "repairing";
}
