/** Chunks that were written as a whole, put together to appends by where they begin and end and by their handles (DESIGN §4.7). Pure. */
import type { FoundChunk } from "./salvage-chunks.ts";

/** Chunks that follow one another: of one large append, or of several that began where the one before ended. */
export interface Chain {
  readonly chunks: FoundChunk[];
  /** Whose some of them are could be read in another way too. */
  readonly doubtful: boolean;
}

/**
 * An append's chunks are given out one after the other: at each offset what begins there follows the newest of those that end there and were given out before. `unclear`: two appends went on at the
 * same time, and whose chunk is whose nobody can tell.
 */
export function chainsOf(large: readonly FoundChunk[]): { chains: Chain[]; unclear: Set<FoundChunk> } {
  const begins = Map.groupBy(large, ({ fileOffset }) => fileOffset);
  const ends = Map.groupBy(large, ({ fileOffset, length }) => fileOffset + length);
  const next = new Map<FoundChunk, FoundChunk>();
  const previous = new Map<FoundChunk, FoundChunk>();
  const doubtful = new Set<FoundChunk>();
  const unclear = new Set<FoundChunk>();
  for (const [offset, beginning] of begins) {
    // All but the last of an append are of one length, and that is no longer.
    const least = Math.min(...beginning.map(({ length }) => length));
    const ending = (ends.get(offset) ?? []).filter(({ length }) => length >= least);
    let waiting: FoundChunk[] = [];
    for (const { ended, begun } of inTurns(ending, beginning)) {
      waiting.push(...ended);
      if (waiting.length > 1 && begun.length > 1) {
        for (const chunk of [...waiting, ...begun]) unclear.add(chunk);
        waiting = [];
        continue;
      }
      const [follower] = begun;
      if (waiting.length > 0 && waiting.length + begun.length > 2)
        for (const chunk of [...waiting, ...begun]) doubtful.add(chunk);
      const before = waiting.pop();
      if (before === undefined || follower === undefined) continue;
      next.set(before, follower);
      previous.set(follower, before);
    }
  }
  const chains: Chain[] = [];
  for (const first of large) {
    const before = previous.get(first);
    // What follows an unclear one is a chain of its own.
    if (unclear.has(first) || (before !== undefined && !unclear.has(before))) continue;
    const chunks: FoundChunk[] = [];
    for (let at: FoundChunk | undefined = first; at !== undefined && !unclear.has(at); at = next.get(at))
      chunks.push(at);
    chains.push({ chunks, doubtful: chunks.some((chunk) => doubtful.has(chunk)) });
  }
  return { chains, unclear };
}

/** By handle: some that end at an offset, then some that begin there, and so on. */
function inTurns(
  ending: readonly FoundChunk[],
  beginning: readonly FoundChunk[],
): { readonly ended: FoundChunk[]; readonly begun: FoundChunk[] }[] {
  const turns: { ended: FoundChunk[]; begun: FoundChunk[] }[] = [];
  const both = [
    ...ending.map((chunk) => ({ chunk, begins: false })),
    ...beginning.map((chunk) => ({ chunk, begins: true })),
  ];
  for (const { chunk, begins } of both.sort((a, b) => a.chunk.handle - b.chunk.handle)) {
    let turn = turns.at(-1);
    if (turn === undefined || (!begins && turn.begun.length > 0)) {
      turn = { ended: [], begun: [] };
      turns.push(turn);
    }
    (begins ? turn.begun : turn.ended).push(chunk);
  }
  return turns;
}
