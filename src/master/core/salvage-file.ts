/**
 * One file out of what names its inode, and of what was put at its path (DESIGN §4.7). Of what was put only those chunks know the inode that were copied since: the others are found by path, handle
 * and offset. A tail that was sealed has a version above the first, and its offset is certain. What was written as a whole, a put's chunks or a large append's, has the first: a put's offset is
 * certain, and a large append lies there, or further behind where others were quicker. What is not certain is placed where it fits, and told; what could belong to several is not placed at all.
 */
import { byHandle, ByOffset } from "./salvage-by-offset.ts";
import { type Chain, chainsOf, endsAppend, ExactAppends } from "./salvage-chains.ts";
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
  const firstTail = Math.min(...known.filter((chunk) => !isLarge(chunk)).map(({ handle }) => handle));
  const older = puts.map(({ path, chunks }) => ({ path, chunks: chunks.filter(({ handle }) => handle < firstTail) }));
  const begin = known.filter((chunk) => chunk.fileOffset === 0 && isLarge(chunk)).toSorted(byHandle)[0];
  const own = begin === undefined ? [] : older.filter(({ path }) => (begin.putAt ?? path) === path);
  const rest = own.flatMap(({ chunks }) => (begin === undefined ? [] : chunks.filter(partOfPut(begin, chunks))));
  const withRest = place(known, rest, undefined);
  if (isWhole(withRest) && isAllOf(withRest, rest)) return withRest;
  const first = Math.min(...known.map(({ handle }) => handle));
  const candidates = older
    .flatMap(({ path, chunks }) => chunks.map((start) => ({ start, path, list: chunks })))
    .filter(({ start: { fileOffset, handle } }) => fileOffset === 0 && handle < first)
    .map(({ start, path, list }) => ({ start, path, list, isOfPut: partOfPut(start, list) }))
    .filter(({ path, isOfPut }) =>
      known.every((chunk) => chunk.putAt === undefined || (chunk.putAt === path && isOfPut(chunk))),
    )
    .sort((a, b) => b.start.handle - a.start.handle)
    .map(({ start, list, isOfPut }) => ({ start, isOfPut, others: list.filter(isOfPut) }))
    .map(({ start, isOfPut, others }) => ({ isOfPut, others, placed: place(known, others, start) }))
    // What is of another content than the start leaves out some that came with it.
    .filter(({ others, placed }) => isAllOf(placed, others));
  const chosen =
    candidates.find(({ placed }) => isWhole(placed)) ??
    // Some of it is missing, and this is its beginning all the same: other chunks of the same put name the inode.
    (begin === undefined ? candidates.find(({ isOfPut }) => known.some(isOfPut)) : undefined);
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

/** Whether a chunk is of the same put as `start`: given out after it, and before the next beginning at the path. All but the last are of one length. */
function partOfPut(start: FoundChunk, list: readonly FoundChunk[]): (chunk: FoundChunk) => boolean {
  const later = list.filter(({ fileOffset, handle }) => fileOffset === 0 && handle > start.handle);
  const before = Math.min(...later.map(({ handle }) => handle));
  return ({ version, handle, fileOffset }) =>
    version === 1 && handle > start.handle && handle < before && fileOffset !== 0 && fileOffset % start.length === 0;
}

/** From 0 on, or from `start`: at each offset what is certain to lie there, then a large append, then what was put. */
function place(
  known: readonly FoundChunk[],
  puts: readonly FoundChunk[],
  start: FoundChunk | undefined,
): AssembledFile {
  const { chains, unclear } = chainsOf(known.filter(isLarge));
  const certain = new ByOffset(known.filter((chunk) => !isLarge(chunk)));
  const large = new ByOffset(chains.flatMap(({ chunks }) => chunks));
  const putLeft = new ByOffset(puts);
  const exact = new ExactAppends(chains, puts);
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
    const next = certain.at(at).at(-1);
    if (next !== undefined) {
      add(next);
      continue;
    }
    const beyond = certain.after(at);
    // A large append seals the tail before it is in the file.
    if (last?.sealed === false && beyond === Number.POSITIVE_INFINITY) break;
    const late = last?.sealed === true && large.isAnyBefore(at) ? lateChains(chains, large, { at, until: beyond }) : [];
    const best = exact.among(large.at(at), beyond);
    const [append] = best.chunks;
    const [put] = putLeft.at(at);
    if (append !== undefined) {
      guessed ||= best.guessed || late.length > 0;
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
    const after = Math.min(beyond, large.after(at), putLeft.after(at));
    if (after === Number.POSITIVE_INFINITY) break;
    at = after;
    last = undefined;
  }
  guessed ||= chains.some(({ chunks }) => isCut(chunks, large));
  const left = [...certain.left, ...large.left, ...unclear];
  const isComplete = runs.length === 1 && runs[0]?.from === 0 && certain.left.size === 0;
  if (isComplete && (unclear.size === 0 || last?.sealed === false)) return { runs, beside: left, taken, guessed };
  // What others lie over, or what could be of several: each by itself.
  for (const chunk of left) runs.push({ from: chunk.fileOffset, bytes: chunk.length, chunks: [chunk] });
  return { runs: runs.sort((a, b) => a.from - b.from), beside: [], taken, guessed };
}

/** Large appends that began when the file ended before `at`, and others were quicker: what is left of them, if it ends by `until`. */
function lateChains(
  chains: readonly Chain[],
  { left }: ByOffset,
  { at, until }: { readonly at: number; readonly until: number },
): Chain[] {
  return chains
    .map(({ chunks, doubtful }) => ({ chunks: chunks.filter((chunk) => left.has(chunk)), doubtful }))
    .filter(({ chunks: [first] }) => first !== undefined && first.fileOffset < at)
    .filter(({ chunks }) => at + bytesOf(chunks) <= until)
    .sort(({ chunks: [a] }, { chunks: [b] }) => (a?.handle ?? 0) - (b?.handle ?? 0));
}

/** A part of it is placed, and could be of an append that has more. */
function isCut(chain: readonly FoundChunk[], { left }: ByOffset): boolean {
  const cut = chain.findIndex((chunk) => left.has(chunk));
  return cut > 0 && !endsAppend(chain)(cut - 1);
}

function bytesOf(chunks: readonly FoundChunk[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}
