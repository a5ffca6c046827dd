/**
 * Files out of chunks alone (DESIGN §4.7): what a trailer tells is the inode (not of what was put: it had none yet), the offset in the file and the last path that was known when the chunk
 * was written, sealed or copied. So a file that was moved may come back under an old name, one that was removed comes back, of a replaced one both contents do, and nobody knows how long a
 * file was: if its last chunks are missing, it looks whole. Nothing is invented: bytes go where their trailers say, what was put at one path at several times is told apart by the handles, and what has a hole is no file but pieces.
 * An open chunk without bytes has nothing to give. One whose place in the file another chunk has was sealed without bytes (DESIGN §4.3): it is a piece beside the file, which lacks nothing. So is a
 * large append that was never finished, where it can be told from one that was.
 */
import type { FoundChunk } from "./salvage-chunks.ts";
import { type AssembledFile, assembleFile, isLarge, isSame, isWhole, type SalvagedRun } from "./salvage-file.ts";

export interface SalvagedFile {
  /** Where it goes; none is given twice, and none lies below a file. */
  readonly path: string;
  /** Where it was when it was last heard of; undefined: nobody knew. */
  readonly was: string | undefined;
  readonly run: SalvagedRun;
  readonly state: "whole" | "piece";
  /** The number of the inode of which it is all there is; 0: nobody knew it. */
  readonly inode: number;
  /** Whether its bytes are known to be the file's; `why` says what is not. */
  readonly isSure: boolean;
  /** For people, where `path` is not `was`. */
  readonly why: string;
}

interface Group {
  readonly path: string;
  /** 0: nobody knew it. */
  readonly inode: number;
  readonly runs: readonly SalvagedRun[];
  /** Of large appends the order, or whether they were finished, is not certain. */
  readonly guessed: boolean;
  /** Open ones whose place others have, and large appends that have none. */
  readonly beside: readonly FoundChunk[];
  /** The newest chunk of it. */
  readonly newest: number;
}

const lostAndFound = "/lost+found";
const unsure =
  "it has large appends that went on beside others: their order is not certain, and one may never have been finished";

/** @param isPath whether a path may be given to a file */
export function planSalvage(chunks: readonly FoundChunk[], isPath: (path: string) => boolean): SalvagedFile[] {
  const put = new Map<string, FoundChunk[]>();
  const byInode = new Map<number, FoundChunk[]>();
  const nameless: FoundChunk[] = [];
  for (const chunk of chunks) {
    if (chunk.length === 0) continue;
    if (chunk.inode === 0 && (chunk.path === "" || !isPath(chunk.path))) nameless.push(chunk);
    else if (chunk.inode === 0) push(put, chunk.path, chunk);
    else push(byInode, chunk.inode, chunk);
  }
  const groups: Group[] = [];
  for (const known of byInode.values()) groups.push(groupOfInode(known, put, isPath));
  for (const [path, left] of put) groups.push(...groupsOfPuts(path, left));
  // Of several that were at one path, the one with the newest chunk has it.
  groups.sort((a, b) => b.newest - a.newest);
  const names = new Names();
  const files: SalvagedFile[] = [];
  for (const group of groups) {
    const [only] = group.runs;
    if (only !== undefined && group.runs.length === 1 && only.from === 0 && group.path !== "") {
      const path = names.take(group.path);
      const why = [
        ...(path === group.path ? [] : ["something newer was at its path"]),
        ...(group.guessed ? [unsure] : []),
      ].join("; ");
      files.push({
        path,
        was: group.path,
        run: only,
        state: "whole",
        inode: group.inode,
        isSure: !group.guessed,
        why,
      });
    } else
      for (const run of group.runs)
        files.push(pieceOf(group, run, { names, why: "other parts of the file are missing" }));
    for (const chunk of group.beside)
      files.push(pieceOf(group, runOf(chunk), { names, why: "another chunk has its place in the file" }));
  }
  for (const chunk of nameless) {
    const path = names.take(`${lostAndFound}/chunk-${chunk.handle}`);
    const why = "nobody knew what file it belongs to";
    files.push({ path, was: undefined, run: runOf(chunk), state: "piece", inode: 0, isSure: true, why });
  }
  return files;
}

function pieceOf(
  { path: was, runs }: Group,
  run: SalvagedRun,
  { names, why }: { readonly names: Names; readonly why: string },
): SalvagedFile {
  const base = was === "" ? `/inode-${runs[0]?.chunks[0]?.inode ?? 0}` : was;
  const path = names.take(`${lostAndFound}${base}.from-${run.from}`);
  return { path, was: was === "" ? undefined : was, run, state: "piece", inode: 0, isSure: true, why };
}

function runOf(chunk: FoundChunk): SalvagedRun {
  return { from: chunk.fileOffset, bytes: chunk.length, chunks: [chunk] };
}

/** The chunks of one inode, and those that its file was put with, if they fit just so. */
function groupOfInode(
  chunks: readonly FoundChunk[],
  put: Map<string, FoundChunk[]>,
  isPath: (path: string) => boolean,
): Group {
  const newest = chunks.reduce((best, each) => (each.handle > best.handle ? each : best));
  const displaced = chunks.filter((chunk) => !chunk.sealed && isPlaceTaken(chunk, chunks));
  const byOffset = Map.groupBy(chunks, ({ fileOffset }) => fileOffset);
  const again = chunks.filter((chunk) =>
    byOffset.get(chunk.fileOffset)?.some((other) => other.handle < chunk.handle && isSame(chunk, other)),
  );
  const apart = new Set([...displaced, ...again]);
  const once = chunks.filter((chunk) => !apart.has(chunk));
  const paths = [...new Set(once.flatMap((chunk) => chunk.paths))];
  const puts = paths.map((path) => ({ path, chunks: put.get(path) ?? [] }));
  let file: AssembledFile & { readonly again?: readonly FoundChunk[] } = { ...assembleFile(once, puts), again };
  if (again.length > 0 && !isWhole(file)) {
    // What was not sent again, but appended once more, fills a place of its own.
    const all = assembleFile([...once, ...again], puts);
    if (isWhole(all)) file = all;
  }
  for (const path of paths) remove(put, path, file.taken);
  return {
    path: isPath(newest.path) ? newest.path : "",
    inode: newest.inode,
    runs: file.runs,
    guessed: file.guessed || once.some((chunk) => isFencedBelow(chunk, once)),
    beside: [...displaced, ...(file.again ?? []), ...file.beside],
    newest: newest.handle,
  };
}

/**
 * The next tail is opened where the last one was sealed: where one that is sealed, or a later one, begins at the offset of an open one, that one was sealed without bytes. A large append at its offset
 * says less: it names the file's end when it began. It has the place only if it began after the open one, and a still later tail tells that it was sealed.
 */
function isPlaceTaken({ handle, fileOffset }: FoundChunk, chunks: readonly FoundChunk[]): boolean {
  const tails = chunks.filter((chunk) => !isLarge(chunk));
  const here = (other: FoundChunk): boolean => other.fileOffset === fileOffset;
  if (tails.some((other) => here(other) && (other.sealed || other.handle > handle))) return true;
  const wasSealed = tails.some((other) => other.fileOffset > fileOffset && other.handle > handle);
  return wasSealed && chunks.some((other) => here(other) && other.handle > handle);
}

/** A seal of this tail was begun, and a large append began in the same place: had the seal found no bytes, the append has it. */
function isFencedBelow({ sealed, version, handle, fileOffset }: FoundChunk, chunks: readonly FoundChunk[]): boolean {
  if (sealed || version === 1) return false;
  return chunks.some((other) => isLarge(other) && other.fileOffset === fileOffset && other.handle > handle);
}

/** What was put at one path, time and again: each content apart, the newest first. */
function groupsOfPuts(path: string, chunks: readonly FoundChunk[]): Group[] {
  const groups: Group[] = [];
  let left = [...chunks];
  let below = Number.POSITIVE_INFINITY;
  for (;;) {
    const chain = takeChain(left, below);
    const [start] = chain;
    if (start === undefined) break;
    const end = chain.reduce((sum, { length }) => sum + length, 0);
    // Given out with it, and further behind than it reaches: what lies between is missing.
    const rest = left.filter(({ handle, fileOffset }) => handle > start.handle && handle < below && fileOffset > end);
    const all = new Set([...chain, ...inOrder(rest)]);
    left = left.filter((chunk) => !all.has(chunk));
    below = start.handle;
    groups.push(groupOfPut(path, [...all]));
  }
  if (left.length > 0) groups.push(groupOfPut(path, inOrder(left)));
  return groups;
}

function groupOfPut(path: string, sorted: readonly FoundChunk[]): Group {
  return {
    path,
    inode: 0,
    runs: runsOf(sorted),
    guessed: false,
    beside: [],
    newest: sorted.reduce((most, { handle }) => Math.max(most, handle), 0),
  };
}

/**
 * One put: from the newest chunk at the beginning of the file on, each next one of those that were given out after it and before `below`, the first where there are several (it was sent again, with
 * the same bytes). A put whose first chunk was sent again after others is not seen to be one: its rest becomes pieces. Empty where there is no beginning.
 */
function takeChain(chunks: readonly FoundChunk[], below: number): FoundChunk[] {
  const own = chunks.filter(({ handle }) => handle < below);
  const start = own.filter(({ fileOffset }) => fileOffset === 0).toSorted((a, b) => b.handle - a.handle)[0];
  if (start === undefined) return [];
  const later = Map.groupBy(
    own.filter(({ handle }) => handle > start.handle),
    ({ fileOffset }) => fileOffset,
  );
  const chain: FoundChunk[] = [];
  let at = 0;
  for (let next: FoundChunk | undefined = start; next !== undefined;) {
    chain.push(next);
    at += next.length;
    next = later.get(at)?.reduce((a, b) => (b.handle < a.handle ? b : a));
  }
  return chain;
}

/** Sorted chunks cut where something is missing; of two that overlap the newer one counts, and the other is a run of its own. An open chunk ends its run. */
function runsOf(sorted: readonly FoundChunk[]): SalvagedRun[] {
  const runs: { from: number; bytes: number; chunks: FoundChunk[]; closed: boolean }[] = [];
  for (const chunk of sorted) {
    const fits = runs.find(({ from, bytes, closed }) => !closed && from + bytes === chunk.fileOffset);
    const run = fits ?? { from: chunk.fileOffset, bytes: 0, chunks: [], closed: false };
    if (fits === undefined) runs.push(run);
    run.chunks.push(chunk);
    run.bytes += chunk.length;
    if (!chunk.sealed) run.closed = true;
  }
  return runs.map(({ from, bytes, chunks }) => ({ from, bytes, chunks }));
}

/** By offset; of the same offset the newer one first. */
function inOrder(chunks: readonly FoundChunk[]): FoundChunk[] {
  return [...chunks].sort((a, b) => a.fileOffset - b.fileOffset || b.handle - a.handle);
}

function push<Key>(map: Map<Key, FoundChunk[]>, key: Key, chunk: FoundChunk): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [chunk]);
  else known.push(chunk);
}

function remove(map: Map<string, FoundChunk[]>, path: string, taken: readonly FoundChunk[]): void {
  const gone = new Set(taken);
  const left = (map.get(path) ?? []).filter((chunk) => !gone.has(chunk));
  if (left.length === 0) map.delete(path);
  else map.set(path, left);
}

/** Names that are taken: no two files are one, and no file is a directory of another. */
class Names {
  readonly #files = new Set<string>();
  readonly #directories = new Set<string>();

  take(wanted: string): string {
    for (let number = 0; ; number++) {
      const path = this.#clear(number === 0 ? wanted : `${wanted}.salvaged-${number}`);
      if (path === undefined) continue;
      this.#files.add(path);
      for (const parent of parentsOf(path)) this.#directories.add(parent);
      return path;
    }
  }

  /** A file that stands where a directory is wanted gives way by another name of the directory. */
  #clear(path: string): string | undefined {
    if (this.#files.has(path) || this.#directories.has(path)) return undefined;
    const blocked = parentsOf(path).find((parent) => this.#files.has(parent));
    if (blocked === undefined) return path;
    return this.#clear(`${blocked}.salvaged-directory${path.slice(blocked.length)}`);
  }
}

/** All but the root, the outermost first. */
function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let at = path.indexOf("/", 1); at > 0; at = path.indexOf("/", at + 1)) parents.push(path.slice(0, at));
  return parents;
}
