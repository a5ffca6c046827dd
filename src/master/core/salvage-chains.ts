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

/** Whether an append may end with the chunk at an index of a chain: it is the last, or shorter than others. */
export function endsAppend(chain: readonly FoundChunk[]): (index: number) => boolean {
  const longest = chain.reduce((most, { length }) => Math.max(most, length), 0);
  return (index) => index >= chain.length - 1 || (chain[index]?.length ?? 0) < longest;
}

interface Member {
  readonly chunk: FoundChunk;
  /** Undefined: it was put. */
  readonly chain: Chain | undefined;
  /** An append may end with it. */
  readonly mayEnd: boolean;
  /** An append that has it began before it. */
  readonly follows: boolean;
}

interface Leading {
  readonly until: number;
  /** Those with which an append goes on that leads there, by whole ones. */
  readonly whole: ReadonlySet<FoundChunk>;
  /** Likewise, one chunk after the other, of whatever appends. */
  readonly parts: ReadonlySet<FoundChunk>;
}

/** Which of the large appends that begin where the file has come to is to lie there. */
export class ExactAppends {
  /** The last ones first. */
  readonly #members: readonly Member[];
  readonly #doubtful: ReadonlySet<FoundChunk>;
  /** The last one of them that begins before `until` is found from here on: that never falls. */
  #from: number;
  #leading: Leading | undefined;

  /** `puts` may lie between them. */
  constructor(chains: readonly Chain[], puts: readonly FoundChunk[]) {
    const members = chains.flatMap((chain) => {
      const mayEnd = endsAppend(chain.chunks);
      return chain.chunks.map((chunk, i): Member => {
        return { chunk, chain, mayEnd: mayEnd(i), follows: i > 0 && !mayEnd(i - 1) };
      });
    });
    const between = puts.map((chunk): Member => ({ chunk, chain: undefined, mayEnd: true, follows: false }));
    this.#members = [...members, ...between].sort((a, b) => b.chunk.fileOffset - a.chunk.fileOffset);
    this.#from = this.#members.length;
    this.#doubtful = new Set(chains.flatMap(({ chunks, doubtful }) => (doubtful ? chunks : [])));
  }

  /**
   * The best one first, of those that begin at one place: those from which whole ones lead just to `until`, where something certain lies; else any chunks that do; where none does, or where nothing
   * lies, those that end before it.
   */
  among(
    first: readonly FoundChunk[],
    until: number,
  ): { readonly chunks: readonly FoundChunk[]; readonly guessed: boolean } {
    const [one] = first;
    if (one === undefined) return { chunks: [], guessed: false };
    const { whole, parts } = this.#leadingTo(until, one.fileOffset);
    const leading = first.filter((chunk) => whole.has(chunk));
    if (leading.length > 0)
      return { chunks: leading, guessed: leading.length > 1 || leading.some((chunk) => this.#doubtful.has(chunk)) };
    const cut = first.filter((chunk) => parts.has(chunk));
    if (cut.length > 0) return { chunks: cut, guessed: true };
    const fitting = first.filter((chunk) => endOf(chunk) < until);
    return { chunks: fitting, guessed: fitting.length > 1 };
  }

  /** Of those from `at` on, which never falls: what has a place already begins before it. */
  #leadingTo(until: number, at: number): Leading {
    if (this.#leading?.until === until) return this.#leading;
    while ((this.#members[this.#from - 1]?.chunk.fileOffset ?? until) < until) this.#from--;
    const whole = new Set<FoundChunk>();
    const parts = new Set<FoundChunk>();
    const from = { whole: new Set([until]), parts: new Set([until]) };
    const leads = new Set<Chain>();
    for (let i = this.#from; i < this.#members.length; i++) {
      const member = this.#members[i];
      if (member === undefined || member.chunk.fileOffset < at) break;
      const { chunk, chain, mayEnd, follows } = member;
      const isEnd = mayEnd && from.whole.has(endOf(chunk));
      if (isEnd && chain !== undefined) leads.add(chain);
      if (isEnd || (chain !== undefined && leads.has(chain))) {
        whole.add(chunk);
        if (!follows) from.whole.add(chunk.fileOffset);
      }
      if (!from.parts.has(endOf(chunk))) continue;
      parts.add(chunk);
      from.parts.add(chunk.fileOffset);
    }
    this.#leading = { until, whole, parts };
    return this.#leading;
  }
}

function endOf({ fileOffset, length }: FoundChunk): number {
  return fileOffset + length;
}
