/**
 * One file out of what names its inode, and of what was put at its path (DESIGN §4.7). Of what was put only those chunks know the inode that were copied since: the others are found by path, handle
 * and offset. A tail that was sealed has a version above the first, and its offset is certain. What was written as a whole, a put's chunks or a large append's, has the first: a put's offset is
 * certain, and a large append lies there, or further behind where others were quicker. What is not certain is placed where it fits, and told; what could belong to several is not placed at all.
 */
import { type Chain, chainsOf } from "./salvage-chains.ts";
import type { FoundChunk } from "./salvage-chunks.ts";

/** Chunks that follow one another without a hole. */
export interface SalvagedRun {
  readonly from: number;
  readonly bytes: number;
  readonly chunks: readonly FoundChunk[];
}

/** What was put at one path, time and again. */
export interface PutList {
  readonly path: string;
  readonly chunks: readonly FoundChunk[];
}

export interface AssembledFile {
  /** By offset: one from 0 on where nothing is missing. */
  readonly runs: readonly SalvagedRun[];
  /** Not of the file, which lacks nothing: large appends that were never finished. */
  readonly beside: readonly FoundChunk[];
  /** Of the given puts: those that are the file's. */
  readonly taken: readonly FoundChunk[];
  /** Of large appends: whether they lie in this order, and whether each came to its end, is not known. */
  readonly guessed: boolean;
}

/** `known` name the inode; `puts` are those that were put at paths which the file had. */
export function assembleFile(known: readonly FoundChunk[], puts: readonly PutList[]): AssembledFile {
  // A file is there when it is appended to: its put is older.
  const tails = known.filter((chunk) => !isLarge(chunk));
  const older = puts.map(({ path, chunks }) => ({
    path,
    chunks: chunks.filter(({ handle }) => tails.every((tail) => handle < tail.handle)),
  }));
  const begin = known.filter((chunk) => chunk.fileOffset === 0 && isLarge(chunk)).toSorted(byHandle)[0];
  const own = begin === undefined ? [] : older.filter(({ path }) => (begin.putAt ?? path) === path);
  const rest = own.flatMap(({ chunks }) => (begin === undefined ? [] : putFrom(begin, chunks)));
  const withRest = place(known, rest, undefined);
  if (isWhole(withRest) && isAllOf(withRest, rest)) return withRest;
  const first = Math.min(...known.map(({ handle }) => handle));
  const candidates = older
    .flatMap(({ path, chunks }) => chunks.map((start) => ({ start, path, list: chunks })))
    .filter(({ start: { fileOffset, handle } }) => fileOffset === 0 && handle < first)
    .filter(({ start, path, list }) =>
      known.every((chunk) => chunk.putAt === undefined || (chunk.putAt === path && isOfPut(chunk, start, list))),
    )
    .sort((a, b) => b.start.handle - a.start.handle)
    .map(({ start, list }) => ({ start, list, placed: place(known, putFrom(start, list), start) }))
    // What is of another content than the start leaves out some that came with it.
    .filter(({ start, list, placed }) => isAllOf(placed, putFrom(start, list)));
  const chosen =
    candidates.find(({ placed }) => isWhole(placed)) ??
    // Some of it is missing, and this is its beginning all the same: other chunks of the same put name the inode.
    (begin === undefined
      ? candidates.find(({ start, list }) => known.some((chunk) => isOfPut(chunk, start, list)))
      : undefined);
  if (chosen !== undefined) return chosen.placed;
  return isAllOf(withRest, rest) ? withRest : { ...withRest, guessed: true };
}

/** Written as a whole: put, or appended at large. */
export function isLarge({ sealed, version }: FoundChunk): boolean {
  return sealed && version === 1;
}

/** What goes to another chunk, where a server failed, may be there twice. */
export function isSame(a: FoundChunk, b: FoundChunk): boolean {
  return isLarge(a) && isLarge(b) && a.fileOffset === b.fileOffset && a.length === b.length && a.crc === b.crc;
}

export function isWhole({ runs }: AssembledFile): boolean {
  return runs.length === 1 && runs[0]?.from === 0;
}

function isAllOf({ runs }: AssembledFile, put: readonly FoundChunk[]): boolean {
  const placed = new Set(runs.flatMap(({ chunks }) => chunks));
  return put.every((chunk) => placed.has(chunk) || [...placed].some((other) => isSame(chunk, other)));
}

/** Of the same put as `start`: given out after it, and before the next beginning at the path. All but the last are of one length. */
function isOfPut({ version, handle, fileOffset }: FoundChunk, start: FoundChunk, list: readonly FoundChunk[]): boolean {
  if (version !== 1 || handle <= start.handle || fileOffset === 0 || fileOffset % start.length !== 0) return false;
  return !list.some((other) => other.fileOffset === 0 && other.handle > start.handle && other.handle < handle);
}

function putFrom(start: FoundChunk, list: readonly FoundChunk[]): FoundChunk[] {
  return list.filter((chunk) => isOfPut(chunk, start, list));
}

/** From 0 on, or from `start`: at each offset what is certain to lie there, then a large append, then what was put. */
function place(
  known: readonly FoundChunk[],
  puts: readonly FoundChunk[],
  start: FoundChunk | undefined,
): AssembledFile {
  const { chains, unclear } = chainsOf(known.filter(isLarge));
  const certain = new Set(known.filter((chunk) => !isLarge(chunk)));
  const large = new Set(chains.flatMap(({ chunks }) => chunks));
  const putLeft = new Set(puts);
  const runs: { from: number; bytes: number; chunks: FoundChunk[] }[] = [];
  const taken: FoundChunk[] = [];
  let guessed = false;
  let at = 0;
  let last: FoundChunk | undefined;

  const add = (chunk: FoundChunk): void => {
    certain.delete(chunk);
    large.delete(chunk);
    if (chunk === start || putLeft.delete(chunk)) taken.push(chunk);
    // How far an open one reaches is not certain.
    if (last?.sealed !== true) runs.push({ from: at, bytes: 0, chunks: [] });
    const run = runs.at(-1);
    run?.chunks.push(chunk);
    if (run !== undefined) run.bytes += chunk.length;
    at += chunk.length;
    last = chunk;
  };

  if (start !== undefined) add(start);
  for (;;) {
    const next = here(certain, at).at(-1);
    if (next !== undefined) {
      add(next);
      continue;
    }
    const beyond = Math.min(...[...certain].map(offsetOf).filter((offset) => offset > at));
    // A large append seals the tail before it is in the file.
    if (last?.sealed === false && beyond === Number.POSITIVE_INFINITY) break;
    const late = last?.sealed === true ? lateChains(chains, large, { at, until: beyond }) : [];
    const exact = exactAppends(chains, { large, puts: putLeft, at, until: beyond });
    const [append] = exact.chunks;
    const [put] = here(putLeft, at);
    if (append !== undefined) {
      guessed ||= exact.guessed || late.length > 0;
      add(append);
      continue;
    }
    if (put !== undefined) {
      add(put);
      continue;
    }
    const fits = late.find(({ chunks }) => bytesOf(chunks) === beyond - at) ?? late[0];
    if (fits !== undefined) {
      guessed ||= late.length > 1 || fits.doubtful || bytesOf(fits.chunks) !== beyond - at;
      for (const chunk of fits.chunks) add(chunk);
      continue;
    }
    const after = Math.min(beyond, ...[...large, ...putLeft].map(offsetOf).filter((offset) => offset > at));
    if (after === Number.POSITIVE_INFINITY) break;
    at = after;
    last = undefined;
  }
  guessed ||= chains.some(({ chunks }) => isCut(chunks, large));
  const left = [...certain, ...large, ...unclear];
  const isComplete = runs.length === 1 && runs[0]?.from === 0 && certain.size === 0;
  if (isComplete && (unclear.size === 0 || last?.sealed === false)) return { runs, beside: left, taken, guessed };
  // What others lie over, or what could be of several: each by itself.
  for (const chunk of left) runs.push({ from: chunk.fileOffset, bytes: chunk.length, chunks: [chunk] });
  return { runs: runs.sort((a, b) => a.from - b.from), beside: [], taken, guessed };
}

/**
 * Large appends that begin at `at`, the best one first: those from which whole ones lead just to `until`, where something certain lies; else any chunks that do; where none does, or where nothing
 * lies, those that end before it. An append ends with its last chunk, or with one that is shorter than others.
 */
function exactAppends(
  chains: readonly Chain[],
  {
    large,
    puts,
    at,
    until,
  }: {
    readonly large: ReadonlySet<FoundChunk>;
    readonly puts: ReadonlySet<FoundChunk>;
    readonly at: number;
    readonly until: number;
  },
): { readonly chunks: FoundChunk[]; readonly guessed: boolean } {
  const first = here(large, at);
  if (first.length === 0) return { chunks: [], guessed: false };
  const ends = new Map<FoundChunk, number[]>([...puts].map((chunk) => [chunk, [endOf(chunk)]]));
  const following = new Set<FoundChunk>();
  const doubtful = new Set<FoundChunk>();
  for (const chain of chains)
    for (const [i, chunk] of chain.chunks.entries()) {
      if (!large.has(chunk)) continue;
      const stops = chain.chunks.slice(i).filter((_, k) => !isInside(chain.chunks, i + k));
      ends.set(chunk, stops.map(endOf));
      if (i > 0 && isInside(chain.chunks, i - 1)) following.add(chunk);
      if (chain.doubtful) doubtful.add(chunk);
    }
  const all = [...ends.keys()];
  const starts = all.filter((chunk) => !following.has(chunk));
  const whole = leadingTo(first, (chunk) => ends.get(chunk) ?? [], { all: starts, until });
  if (whole.length > 0)
    return { chunks: whole, guessed: whole.length > 1 || whole.some((chunk) => doubtful.has(chunk)) };
  const parts = leadingTo(first, (chunk) => [endOf(chunk)], { all, until });
  if (parts.length > 0) return { chunks: parts, guessed: true };
  const fitting = first.filter((chunk) => endOf(chunk) < until);
  return { chunks: fitting, guessed: fitting.length > 1 };
}

function leadingTo(
  first: readonly FoundChunk[],
  endsOf: (chunk: FoundChunk) => readonly number[],
  { all, until }: { readonly all: readonly FoundChunk[]; readonly until: number },
): FoundChunk[] {
  const leads = new Set([until]);
  const isLeading = (chunk: FoundChunk): boolean => endsOf(chunk).some((end) => leads.has(end));
  for (const chunk of all.toSorted((a, b) => b.fileOffset - a.fileOffset))
    if (isLeading(chunk)) leads.add(chunk.fileOffset);
  return first.filter(isLeading);
}

/** No append ends with it: it is as long as any, and another one follows. */
function isInside(chain: readonly FoundChunk[], index: number): boolean {
  const length = chain[index]?.length ?? 0;
  return index < chain.length - 1 && chain.every((chunk) => chunk.length <= length);
}

/** Large appends that began when the file ended before `at`, and others were quicker: what is left of them, if it ends by `until`. */
function lateChains(
  chains: readonly Chain[],
  left: ReadonlySet<FoundChunk>,
  { at, until }: { readonly at: number; readonly until: number },
): Chain[] {
  return chains
    .map(({ chunks, doubtful }) => ({ chunks: chunks.filter((chunk) => left.has(chunk)), doubtful }))
    .filter(({ chunks: [first] }) => first !== undefined && first.fileOffset < at)
    .filter(({ chunks }) => at + bytesOf(chunks) <= until)
    .sort(({ chunks: [a] }, { chunks: [b] }) => (a?.handle ?? 0) - (b?.handle ?? 0));
}

/** A part of it is placed, and could be of an append that has more. */
function isCut(chain: readonly FoundChunk[], left: ReadonlySet<FoundChunk>): boolean {
  const cut = chain.findIndex((chunk) => left.has(chunk));
  return cut > 0 && isInside(chain, cut - 1);
}

function endOf({ fileOffset, length }: FoundChunk): number {
  return fileOffset + length;
}

function here(chunks: Iterable<FoundChunk>, at: number): FoundChunk[] {
  return [...chunks].filter((chunk) => chunk.fileOffset === at).sort(byHandle);
}

function byHandle(a: FoundChunk, b: FoundChunk): number {
  return a.handle - b.handle;
}

function offsetOf({ fileOffset }: FoundChunk): number {
  return fileOffset;
}

function bytesOf(chunks: readonly FoundChunk[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}
