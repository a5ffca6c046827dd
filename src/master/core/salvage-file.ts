/**
 * One file out of what names its inode, and of what was put at its path (DESIGN §4.7). Of what was put only those chunks know the inode that were copied since: the others are found by path, handle
 * and offset. A tail that was sealed has a version above the first, and its offset is certain. What was written as a whole, a put's chunks or a large append's, has the first: a put's offset is
 * certain, and a large append lies there, or further behind where others were quicker. What is not certain is placed where it fits, and told; what could belong to several is not placed at all.
 */
import type { FoundChunk } from "./salvage-chunks.ts";

/** Chunks that follow one another without a hole. */
export interface SalvagedRun {
  readonly from: number;
  readonly bytes: number;
  readonly chunks: readonly FoundChunk[];
}

export interface AssembledFile {
  /** By offset: one from 0 on where nothing is missing. */
  readonly runs: readonly SalvagedRun[];
  /** Of the given `puts`: those that are the file's. */
  readonly taken: readonly FoundChunk[];
  /** A large append went on beside others: whether it was first, and whether it came to its end, is not known. */
  readonly guessed: boolean;
}

/** `known` name the inode; `puts` are those that were put at paths which the file had, a list for each. */
export function assembleFile(known: readonly FoundChunk[], puts: readonly (readonly FoundChunk[])[]): AssembledFile {
  // A file is there when it is appended to: its put is older.
  const tails = known.filter(({ sealed, version }) => !sealed || version > 1);
  const older = puts.map((list) => list.filter(({ handle }) => tails.every((tail) => handle < tail.handle)));
  const begin = known.find(({ fileOffset, version }) => fileOffset === 0 && version === 1);
  const rest = begin === undefined ? [] : older.flatMap((list) => putFrom(begin, list));
  const withRest = place(known, rest, undefined);
  if (isWhole(withRest)) return withRest;
  const first = Math.min(...known.map(({ handle }) => handle));
  const candidates = older
    .flatMap((list) => list.map((start) => ({ start, list })))
    .filter(({ start: { fileOffset, handle } }) => fileOffset === 0 && handle < first)
    .sort((a, b) => b.start.handle - a.start.handle)
    .map(({ start, list }) => ({ start, list, placed: place(known, putFrom(start, list), start) }));
  const chosen =
    candidates.find(({ placed }) => isWhole(placed)) ??
    // Some of it is missing, and this is its beginning all the same: other chunks of the same put name the inode.
    (begin === undefined
      ? candidates.find(({ start, list }) => known.some((chunk) => isOfPut(chunk, start, list)))
      : undefined);
  return chosen?.placed ?? withRest;
}

function isWhole({ runs }: AssembledFile): boolean {
  return runs.length === 1 && runs[0]?.from === 0;
}

/** Of the same put as `start`: given out after it, and before the next beginning at the path. All but the last are of one length. */
function isOfPut({ version, handle, fileOffset }: FoundChunk, start: FoundChunk, list: readonly FoundChunk[]): boolean {
  if (version !== 1 || handle <= start.handle || fileOffset === 0 || fileOffset % start.length !== 0) return false;
  return !list.some((other) => other.fileOffset === 0 && other.handle > start.handle && other.handle < handle);
}

function putFrom(start: FoundChunk, list: readonly FoundChunk[]): FoundChunk[] {
  return list.filter((chunk) => isOfPut(chunk, start, list));
}

/** From 0 on, or from `start`: at each offset what is certain to lie there, then what was put, then a large append that came too late for its own offset. */
function place(
  known: readonly FoundChunk[],
  puts: readonly FoundChunk[],
  start: FoundChunk | undefined,
): AssembledFile {
  const large = known.filter(({ sealed, version }) => sealed && version === 1);
  const { chains, unclear } = chainsOf(large);
  const certain = known.filter((chunk) => !large.includes(chunk));
  const left = new Set([...certain, ...chains.flat(), ...puts]);
  const runs: { from: number; bytes: number; chunks: FoundChunk[] }[] = [];
  const taken: FoundChunk[] = [];
  let guessed = false;
  let at = 0;
  let isClosed = true;

  const add = (chunk: FoundChunk): void => {
    left.delete(chunk);
    if (chunk === start || puts.includes(chunk)) taken.push(chunk);
    if (isClosed) runs.push({ from: at, bytes: 0, chunks: [] });
    const run = runs.at(-1);
    run?.chunks.push(chunk);
    if (run !== undefined) run.bytes += chunk.length;
    at += chunk.length;
    // How far an open one reaches is not certain.
    isClosed = !chunk.sealed;
  };
  const here = (chunks: readonly FoundChunk[]): FoundChunk[] =>
    chunks.filter((chunk) => chunk.fileOffset === at && left.has(chunk)).sort((a, b) => a.handle - b.handle);

  if (start !== undefined) add(start);
  for (;;) {
    const next = here(certain).at(-1);
    if (next !== undefined) {
      add(next);
      continue;
    }
    const room = Math.min(...certain.filter((chunk) => left.has(chunk) && chunk.fileOffset > at).map(offsetOf)) - at;
    const late = chains
      .filter((chain) => chain[0] !== undefined && chain[0].fileOffset < at && bytesOf(chain) <= room)
      .sort(([a], [b]) => (a?.handle ?? 0) - (b?.handle ?? 0));
    // Of several chunks the first: the others follow it.
    const exact = here(chains.flatMap(([first]) => first ?? []));
    const [append = here(puts)[0]] = exact;
    if (append !== undefined) {
      guessed ||= exact.length > 1 || (exact.length > 0 && late.length > 0);
      chains.find(([first]) => first === append)?.shift();
      add(append);
      continue;
    }
    const fits = late.find((chain) => bytesOf(chain) === room) ?? late[0];
    if (fits !== undefined && !isClosed) {
      guessed ||= late.length > 1 || bytesOf(fits) !== room;
      for (const chunk of fits.splice(0)) add(chunk);
      continue;
    }
    const beyond = Math.min(...[...left].map(offsetOf).filter((offset) => offset > at));
    if (beyond === Number.POSITIVE_INFINITY) break;
    at = beyond;
    isClosed = true;
  }
  // What others lie over, or what could be of several: each by itself.
  const apart = [...left, ...unclear].filter((chunk) => !puts.includes(chunk));
  for (const chunk of apart) runs.push({ from: chunk.fileOffset, bytes: chunk.length, chunks: [chunk] });
  return { runs: runs.sort((a, b) => a.from - b.from), taken, guessed };
}

/** Large appends of several chunks. `unclear`: two of them went on at the same time, and whose chunk is whose nobody can tell. */
function chainsOf(large: readonly FoundChunk[]): { chains: FoundChunk[][]; unclear: Set<FoundChunk> } {
  const byOffset = Map.groupBy(large, offsetOf);
  const after = (chunk: FoundChunk): FoundChunk[] =>
    (byOffset.get(chunk.fileOffset + chunk.length) ?? []).filter(({ handle }) => handle > chunk.handle);
  const before = new Map<FoundChunk, FoundChunk[]>();
  for (const chunk of large) for (const next of after(chunk)) before.set(next, [...(before.get(next) ?? []), chunk]);
  const unclear = new Set<FoundChunk>();
  for (const chunk of large) {
    if (after(chunk).length > 1) for (const each of [chunk, ...after(chunk)]) unclear.add(each);
    const several = before.get(chunk) ?? [];
    if (several.length > 1) for (const each of [chunk, ...several]) unclear.add(each);
  }
  const chains: FoundChunk[][] = [];
  for (const first of large) {
    if (unclear.has(first) || (before.get(first) ?? []).some((chunk) => !unclear.has(chunk))) continue;
    const chain: FoundChunk[] = [];
    for (let chunk: FoundChunk | undefined = first; chunk !== undefined && !unclear.has(chunk); [chunk] = after(chunk))
      chain.push(chunk);
    chains.push(chain);
  }
  return { chains, unclear };
}

function offsetOf({ fileOffset }: FoundChunk): number {
  return fileOffset;
}

function bytesOf(chunks: readonly FoundChunk[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}
