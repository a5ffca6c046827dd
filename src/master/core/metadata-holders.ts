/** Which volumes keep a copy of the master's metadata (DESIGN §4.1): apart from one another, and where a copy is already. */
import type { VolumeIndex } from "./chunk-table.ts";

export interface HolderCandidate {
  readonly volume: VolumeIndex;
  readonly rack: string | undefined;
  /** Of the control address: what fails together. */
  readonly host: string;
  /** The file system that it lies on. */
  readonly disk: string;
  readonly freeBytes: number;
  /** It has a copy, whole or begun. */
  readonly holds: boolean;
  /** It has been silent for a while. */
  readonly isSuspect: boolean;
}

/**
 * At most `wanted` of the candidates, all of them fit to hold a copy. One after the other: not on one that is suspect, unless it has a copy, which it may come back with; then on a disk that none of those before lies on, then in another rack, on another host; then one that
 * holds a copy already, then the emptier one, then the older one. So a better spread is worth a new copy, more room is not.
 */
export function chooseHolders(candidates: readonly HolderCandidate[], wanted: number): VolumeIndex[] {
  const chosen: HolderCandidate[] = [];
  const left = new Set(candidates);
  while (chosen.length < wanted && left.size > 0) {
    const shares = (field: (each: HolderCandidate) => string | undefined, one: HolderCandidate): number =>
      field(one) !== undefined && chosen.some((other) => field(other) === field(one)) ? 1 : 0;
    const rank = (one: HolderCandidate): readonly number[] => [
      one.isSuspect && !one.holds ? 1 : 0,
      shares(({ disk }) => disk, one),
      shares(({ rack }) => rack, one),
      shares(({ host }) => host, one),
      one.holds ? 0 : 1,
      -one.freeBytes,
      one.volume,
    ];
    const [best] = [...left].sort((a, b) => compare(rank(a), rank(b)));
    if (best === undefined) break;
    left.delete(best);
    chosen.push(best);
  }
  return chosen.map(({ volume }) => volume);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, value] of a.entries()) {
    const difference = value - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
