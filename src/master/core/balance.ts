/**
 * Balance (DESIGN §4.5): chunks move slowly from disks that are fuller than most to those that are emptier, by used share. A move is a clone to the target; with one
 * replica too many, the one on the source is surplus then (chunk-scan.ts), and goes by way of the garbage, with its brakes. So no move ever lowers the number of copies.
 *
 * How full a disk is: what the volumes on it hold by the chunk table, and what else lies there; not what is on its way out after a move, which still takes its place for a
 * while. Volumes on one file system are one disk.
 *
 * Which moves: from a disk above the mean by more than the threshold to one below the mean; or from one above the mean to one below it by more than the threshold. And
 * only where the source stays at least as full as the target becomes. So each move lowers Σ used² / total over all disks by at least bytes² (1/totalₛ + 1/totalₜ): no
 * chunk ever goes back and forth, and it ends.
 *
 * It waits while anything is repaired or drained, and keeps to racks: no rack gets more than its share of a chunk by a move.
 */
import { hashNumber } from "../../base/hash-index.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import { isHolder, replicaCountAt, replicaHealthAt, replicaOn, replicasAt, replicaVolumeAt } from "./chunk-replicas.ts";
import { type ChunkView, holderCountAt } from "./chunk-scan.ts";
import { chunkAt, handleAt, slotOf, stateAt, type VolumeIndex } from "./chunk-table.ts";
import type { Chunk } from "./chunk-table.ts";
import { hasRackRoom, rackTable, type RackTable } from "./rack-spread.ts";
import { usableDisks } from "./space-sums.ts";
import { isCounted, unreservedBytes, volumeAt } from "./volumes.ts";

/** A disk with the live volumes on it that count. */
export interface BalancedDisk {
  readonly volumes: readonly VolumeIndex[];
  readonly totalBytes: number;
  /** As of the last round, and with what was begun since. */
  usedBytes: number;
}

export interface BalanceMove {
  readonly handle: ChunkHandle;
  readonly bytes: number;
  readonly source: VolumeIndex;
  readonly target: VolumeIndex;
}

/** What a round over the chunk table gathers. */
export interface BalanceRound {
  /** Bytes of the replicas that each volume holds. */
  readonly held: Map<VolumeIndex, number>;
  /** Some chunks of each volume that has too much, any of them as likely. */
  readonly samples: ReadonlyMap<VolumeIndex, { readonly handles: ChunkHandle[]; seen: number }>;
}

/** Soft state. */
export interface Balance {
  /** Fullest first; none before the first round. */
  disks: BalancedDisk[];
  /** Used share of all disks together. */
  mean: number;
  /** Chunks to look at, by volume. */
  samples: Map<VolumeIndex, ChunkHandle[]>;
  /** Clones under way. */
  readonly moving: Map<ChunkHandle, BalanceMove>;
  /** Cloned; the replica on the source is still there. */
  readonly leaving: Map<ChunkHandle, BalanceMove>;
  /** Bytes that may be copied now; below 0 they were lent. */
  credit: { bytes: number; atMs: number };
  /** Rounds in a row in which chunks were looked at, none of them could move, and none was moving. */
  fruitless: number;
  looked: boolean;
  /** Since when chunks wait for repair, and none is under way. */
  repairStuckMs: number | undefined;
  /** Since the master's start. */
  moved: number;
  movedBytes: number;
}

export interface BalanceSettings {
  readonly on: boolean;
  /** Of the used share: 0.1 is ten percent. */
  readonly threshold: number;
  /** Bytes per second in the whole cluster; 0: no limit. */
  readonly rate: number;
}

const sampleMax = 64;
/** Chunks looked at in one plan. */
const lookedAtMax = 256;
/** Clones at a time. */
const movesMax = 16;
/** What was not used of the rate is kept for so long. */
const creditMs = 2_000;

export function createBalance(): Balance {
  return {
    disks: [],
    mean: 0,
    samples: new Map(),
    moving: new Map(),
    leaving: new Map(),
    credit: { bytes: 0, atMs: 0 },
    fruitless: 0,
    looked: false,
    repairStuckMs: undefined,
    moved: 0,
    movedBytes: 0,
  };
}

export function shareOf({ usedBytes, totalBytes }: BalancedDisk): number {
  return totalBytes > 0 ? usedBytes / totalBytes : 1;
}

/** Whether a disk may give to another one as they are. */
function isPair(balance: Balance, from: BalancedDisk, to: BalancedDisk, threshold: number): boolean {
  const above = shareOf(from) - balance.mean;
  const below = balance.mean - shareOf(to);
  return (above > threshold && below > 0) || (above > 0 && below > threshold);
}

/** The source is at least as full after it as the target. */
function isWorth(from: BalancedDisk, to: BalancedDisk, bytes: number): boolean {
  return (to.usedBytes + bytes) / to.totalBytes <= (from.usedBytes - bytes) / from.totalBytes;
}

/** Disks that could give something now. */
function sources(balance: Balance, threshold: number): BalancedDisk[] {
  return balance.disks.filter((from) => balance.disks.some((to) => isPair(balance, from, to, threshold)));
}

export function beginBalanceRound(balance: Balance, settings: BalanceSettings): BalanceRound {
  const from = settings.on ? sources(balance, settings.threshold) : [];
  const volumes = from.flatMap((disk) => disk.volumes);
  return { held: new Map(), samples: new Map(volumes.map((volume) => [volume, { handles: [], seen: 0 }])) };
}

/** Looks at slots from `from` on and before `end`. */
export function stepBalanceRound(
  { chunks }: ChunkView,
  round: BalanceRound,
  { from, end }: { readonly from: number; readonly end: number },
): void {
  for (let slot = from; slot < end; slot++) {
    if (stateAt(chunks, slot) !== "sealed") continue;
    const length = chunks.lengths.get(slot);
    for (let i = replicaCountAt(chunks, slot) - 1; i >= 0; i--) {
      const health = replicaHealthAt(chunks, slot, i);
      if (!isHolder(health)) continue;
      const volume = replicaVolumeAt(chunks, slot, i);
      round.held.set(volume, (round.held.get(volume) ?? 0) + length);
      const sample = round.samples.get(volume);
      if (sample === undefined || health !== "healthy") continue;
      sample.seen++;
      // Each is kept as likely as any other.
      const at =
        sample.seen <= sampleMax ? sample.seen - 1 : hashNumber(handleAt(chunks, slot) + sample.seen) % sample.seen;
      if (at < sampleMax) sample.handles[at] = handleAt(chunks, slot);
    }
  }
}

/** All slots were looked at: how full each disk is. */
export function endBalanceRound(balance: Balance, view: ChunkView, round: BalanceRound): void {
  const busy = balance.moving.size > 0 || balance.leaving.size > 0;
  if (busy) balance.fruitless = 0;
  else if (balance.looked) balance.fruitless++;
  balance.looked = false;
  for (const move of balance.leaving.values()) if (!isLeaving(view, move)) balance.leaving.delete(move.handle);
  const outgoing = new Map<VolumeIndex, number>();
  const incoming = new Map<VolumeIndex, number>();
  const add = (sums: Map<VolumeIndex, number>, volume: VolumeIndex, bytes: number): void => {
    sums.set(volume, (sums.get(volume) ?? 0) + bytes);
  };
  for (const { source, target, bytes } of balance.moving.values()) {
    add(outgoing, source, bytes);
    add(incoming, target, bytes);
  }
  for (const { source, bytes } of balance.leaving.values()) add(outgoing, source, bytes);
  const of = (sums: ReadonlyMap<VolumeIndex, number>, volumes: readonly VolumeIndex[]): number =>
    volumes.reduce((sum, volume) => sum + (sums.get(volume) ?? 0), 0);
  balance.disks = usableDisks(view.volumes, (volume) => isCounted(volume) && volume.liveness === "live").map(
    ({ volumes, totalBytes, freeBytes }) => {
      const indexes = volumes.map(({ index }) => index);
      // Beside what the volumes themselves say that they use, which has what waits to be purged in it.
      const own = volumes.reduce((sum, { space }) => sum + space.usedBytes, 0);
      const foreign = Math.max(0, totalBytes - freeBytes - own);
      const held = of(round.held, indexes) - of(outgoing, indexes) + of(incoming, indexes);
      return { volumes: indexes, totalBytes, usedBytes: Math.min(totalBytes, Math.max(0, held) + foreign) };
    },
  );
  const total = balance.disks.reduce((sum, disk) => sum + disk.totalBytes, 0);
  const used = balance.disks.reduce((sum, disk) => sum + disk.usedBytes, 0);
  balance.mean = total > 0 ? used / total : 0;
  balance.disks.sort((a, b) => shareOf(b) - shareOf(a));
  balance.samples = new Map([...round.samples].map(([volume, { handles }]) => [volume, handles]));
}

/** The replica on the source is one too many. */
function isLeaving({ chunks, volumes, safeMode }: ChunkView, { handle, source }: BalanceMove): boolean {
  const slot = slotOf(chunks, handle);
  if (slot < 0 || stateAt(chunks, slot) !== "sealed" || replicaOn(chunks, slot, source) === undefined) return false;
  return holderCountAt({ chunks, volumes, safeMode }, slot) > chunks.goals.get(slot);
}

/** What a plan must know besides. */
export interface BalanceTime {
  readonly nowMs: number;
  readonly settings: BalanceSettings;
  /** Whether a volume may take part in another clone. */
  readonly hasRoom: (volume: VolumeIndex) => boolean;
  /** Whether a chunk is being copied, or deleted there, by others. */
  readonly isBusy: (handle: ChunkHandle, volume: VolumeIndex) => boolean;
}

/** Moves to begin now; they count as moving until `moveEnded`. */
export function planMoves(balance: Balance, view: ChunkView, time: BalanceTime): BalanceMove[] {
  const { settings, nowMs } = time;
  const moves: BalanceMove[] = [];
  earn(balance, settings, nowMs);
  const racks = rackTable(view.volumes);
  let lookedAt = 0;
  for (const from of balance.disks) {
    if (!balance.disks.some((to) => isPair(balance, from, to, settings.threshold))) continue;
    for (const source of from.volumes) {
      const handles = balance.samples.get(source) ?? [];
      while (handles.length > 0 && time.hasRoom(source)) {
        if (balance.moving.size >= movesMax || (settings.rate > 0 && balance.credit.bytes < 0)) return moves;
        if (lookedAt++ >= lookedAtMax) return moves;
        const handle = handles.pop();
        balance.looked = true;
        const move = handle === undefined ? undefined : planMove(balance, view, { handle, source, from, racks, time });
        if (move === undefined) continue;
        moves.push(move);
        balance.credit.bytes -= move.bytes;
      }
    }
  }
  return moves;
}

function earn(balance: Balance, { rate }: BalanceSettings, nowMs: number): void {
  const { credit } = balance;
  const most = (rate * creditMs) / 1_000;
  credit.bytes = Math.min(most, credit.bytes + (rate * Math.max(0, nowMs - credit.atMs)) / 1_000);
  credit.atMs = nowMs;
}

function planMove(
  balance: Balance,
  view: ChunkView,
  of: {
    readonly handle: ChunkHandle;
    readonly source: VolumeIndex;
    readonly from: BalancedDisk;
    readonly racks: RackTable;
    readonly time: BalanceTime;
  },
): BalanceMove | undefined {
  const { handle, source, from, time } = of;
  const slot = slotOf(view.chunks, handle);
  const chunk = slot < 0 ? undefined : chunkAt(view.chunks, slot);
  if (chunk?.state !== "sealed" || balance.moving.has(handle) || balance.leaving.has(handle)) return undefined;
  if (!isWholeAndSettled(view, slot, chunk) || replicaOn(view.chunks, slot, source) !== "healthy") return undefined;
  if (time.isBusy(handle, source)) return undefined;
  for (const to of balance.disks.toReversed()) {
    if (!isPair(balance, from, to, time.settings.threshold) || !isWorth(from, to, chunk.length)) continue;
    const target = targetOn(view, slot, { ...of, to, chunk });
    if (target === undefined) continue;
    const move = { handle, bytes: chunk.length, source, target };
    balance.moving.set(handle, move);
    from.usedBytes -= chunk.length;
    to.usedBytes += chunk.length;
    return move;
  }
  return undefined;
}

/** As many replicas as wanted, all of them good, and nothing about it is to be done. */
function isWholeAndSettled(view: ChunkView, slot: number, { goal }: Chunk): boolean {
  const replicas = replicasAt(view.chunks, slot);
  return (
    replicas.length === goal &&
    replicas.every(({ volume, health }) => {
      const held = view.volumes.byIndex[volume];
      return health === "healthy" && held?.liveness === "live" && isCounted(held);
    })
  );
}

/** The volume of that disk with the most room that may take it. */
function targetOn(
  view: ChunkView,
  slot: number,
  of: {
    readonly source: VolumeIndex;
    readonly to: BalancedDisk;
    readonly chunk: Chunk;
    readonly racks: RackTable;
    readonly time: BalanceTime;
  },
): VolumeIndex | undefined {
  const { source, to, chunk, racks, time } = of;
  const holders = replicasAt(view.chunks, slot).map(({ volume }) => volume);
  // Two replicas on one disk are lost together.
  if (holders.some((holder) => to.volumes.includes(holder))) return undefined;
  const rackOf = (volume: VolumeIndex): number => racks.of[volume] ?? -1;
  const [best] = to.volumes
    .filter((volume) => {
      if (unreservedBytes(volumeAt(view.volumes, volume)) < chunk.length) return false;
      if (!time.hasRoom(volume) || time.isBusy(chunk.handle, volume)) return false;
      return !racks.shared || rackOf(volume) === rackOf(source) || hasRackRoom(view.chunks, slot, { racks, volume });
    })
    .toSorted(
      (a, b) => unreservedBytes(volumeAt(view.volumes, b)) - unreservedBytes(volumeAt(view.volumes, a)) || a - b,
    );
  return best;
}

/** The clone was made, or not. */
export function moveEnded(balance: Balance, handle: ChunkHandle, outcome: "cloned" | "failed"): void {
  const move = balance.moving.get(handle);
  if (move === undefined) return;
  balance.moving.delete(handle);
  if (outcome === "cloned") {
    balance.leaving.set(handle, move);
    balance.moved++;
    balance.movedBytes += move.bytes;
    return;
  }
  balance.credit.bytes += move.bytes;
  for (const disk of balance.disks) {
    if (disk.volumes.includes(move.source)) disk.usedBytes += move.bytes;
    if (disk.volumes.includes(move.target)) disk.usedBytes -= move.bytes;
  }
}

/** So many rounds without a move say that nothing can move: of each disk other chunks are looked at each time. */
const fruitlessMax = 3;

/** No chunk that was looked at lately could move, for its racks and disks. */
export function isHindered({ fruitless, moving }: Balance): boolean {
  return fruitless >= fruitlessMax && moving.size === 0;
}

/** Bytes that have yet to move, as disks are now; 0: it is balanced. */
export function bytesToMove(balance: Balance, threshold: number): number {
  if (sources(balance, threshold).length === 0) return 0;
  const excess = (away: (share: number) => number): number =>
    balance.disks.reduce((sum, disk) => sum + Math.max(0, away(shareOf(disk))) * disk.totalBytes, 0);
  return Math.max(
    excess((share) => share - balance.mean - threshold),
    excess((share) => balance.mean - threshold - share),
  );
}
