/**
 * How the replicas of a chunk are spread over racks (DESIGN §2): at most ⌈replicas / racks⌉ share one. A volume without a rack is one of its own. For rounds over the
 * chunk table: nothing is allocated for a chunk.
 */
import { isHolder, replicaCountAt, replicaHealthAt, replicaVolumeAt } from "./chunk-replicas.ts";
import type { ChunkTable, VolumeIndex } from "./chunk-table.ts";
import { rackShareMax } from "./placement.ts";
import { allVolumes, isCounted, isGone, isUsable } from "./volumes.ts";
import type { VolumeTable } from "./volumes.ts";

export interface RackTable {
  /** Racks with a volume that serves. One that is expected to come, and has not told where it is, is not counted. */
  readonly count: number;
  /** Some volumes share a rack, and there is more than one: else nothing can be crowded. */
  readonly shared: boolean;
  /** Number of the rack by volume; -1 for one that is gone, and one that is being drained: its replicas are to leave. */
  readonly of: Int32Array;
}

/** As things are now: good for one turn. */
export function rackTable(volumes: VolumeTable): RackTable {
  const numbers = new Map<string, number>();
  const of = new Int32Array(volumes.byIndex.length).fill(-1);
  let serving = 0;
  const racks = new Set<number>();
  for (const volume of allVolumes(volumes)) {
    if (isGone(volume) || !isCounted(volume)) continue;
    const { rack } = volume.registration ?? {};
    const name = rack === undefined || rack === "" ? `\0${volume.index}` : rack;
    const number = numbers.get(name) ?? numbers.size;
    numbers.set(name, number);
    of[volume.index] = number;
    if (!isUsable(volume)) continue;
    serving++;
    racks.add(number);
  }
  return { count: racks.size, shared: racks.size > 1 && racks.size < serving, of };
}

/** Holders of the chunk in the same rack as this volume, itself among them where it is one. */
export function holdersInRack(chunks: ChunkTable, slot: number, of: { racks: RackTable; rack: number }): number {
  let count = 0;
  for (let i = replicaCountAt(chunks, slot) - 1; i >= 0; i--) {
    if (of.racks.of[replicaVolumeAt(chunks, slot, i)] !== of.rack) continue;
    if (isHolder(replicaHealthAt(chunks, slot, i))) count++;
  }
  return count;
}

/** More of its holders share a rack than may: how many too many there are in the fullest one; 0 where it is spread well. */
export function crowding(chunks: ChunkTable, slot: number, racks: RackTable): number {
  if (!racks.shared) return 0;
  const shareMax = rackShareMax(chunks.goals.get(slot), racks.count);
  let most = 0;
  for (let i = replicaCountAt(chunks, slot) - 1; i >= 0; i--) {
    const rack = racks.of[replicaVolumeAt(chunks, slot, i)] ?? -1;
    if (rack >= 0) most = Math.max(most, holdersInRack(chunks, slot, { racks, rack }));
  }
  return Math.max(0, most - shareMax);
}

/** One more replica of the chunk on this volume would not crowd its rack. */
export function hasRackRoom(chunks: ChunkTable, slot: number, of: { racks: RackTable; volume: VolumeIndex }): boolean {
  const { racks, volume } = of;
  const rack = racks.of[volume] ?? -1;
  const shareMax = rackShareMax(chunks.goals.get(slot), racks.count);
  return rack >= 0 && holdersInRack(chunks, slot, { racks, rack }) < shareMax;
}
