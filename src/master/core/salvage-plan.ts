/**
 * Files out of chunks alone (DESIGN §4.7): what a trailer tells is the inode (not of what was put: it had none yet), the offset in the file and the last path that was known when the chunk
 * was written, sealed or copied. So a file that was moved may come back under an old name, one that was removed comes back, of a replaced one both contents do, and nobody knows how long a
 * file was: if its last chunks are missing, it looks whole. Nothing is invented: bytes go where their trailers say, what was put at one path at several times is told apart by the handles, and what has a hole is no file but pieces.
 * An open chunk without bytes has nothing to give. One whose place in the file another chunk has was sealed without bytes (DESIGN §4.3): it is a piece beside the file, which lacks nothing.
 */
import type { FoundChunk } from "./salvage-chunks.ts";
import { assembleFile, type SalvagedRun } from "./salvage-file.ts";

export interface SalvagedFile {
  /** Where it goes; none is given twice, and none lies below a file. */
  readonly path: string;
  /** Where it was when it was last heard of; undefined: nobody knew. */
  readonly was: string | undefined;
  readonly run: SalvagedRun;
  readonly state: "whole" | "piece";
  /** For people, where `path` is not `was`. */
  readonly why: string;
}

interface Group {
  readonly path: string;
  readonly runs: readonly SalvagedRun[];
  /** Of large appends that went on at the same time the order is not certain. */
  readonly guessed: boolean;
  /** Open ones whose place others have. */
  readonly beside: readonly FoundChunk[];
  /** The newest chunk of it. */
  readonly newest: number;
}

const lostAndFound = "/lost+found";

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
        ...(group.guessed ? ["it has large appends that went on beside others: their order is not certain"] : []),
      ].join("; ");
      files.push({ path, was: group.path, run: only, state: "whole", why });
    } else
      for (const run of group.runs)
        files.push(pieceOf(group, run, { names, why: "other parts of the file are missing" }));
    for (const chunk of group.beside)
      files.push(pieceOf(group, runOf(chunk), { names, why: "another chunk has its place in the file" }));
  }
  for (const chunk of nameless) {
    const path = names.take(`${lostAndFound}/chunk-${chunk.handle}`);
    const why = "nobody knew what file it belongs to";
    files.push({ path, was: undefined, run: runOf(chunk), state: "piece", why });
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
  return { path, was: was === "" ? undefined : was, run, state: "piece", why };
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
  const beside = chunks.filter((chunk) => (chunk.sealed ? isSentAgain(chunk, chunks) : isPlaceTaken(chunk, chunks)));
  const known = chunks.filter((chunk) => !beside.includes(chunk));
  const paths = [...new Set(known.map(({ path }) => path))];
  const { runs, taken, guessed } = assembleFile(
    known,
    paths.map((path) => put.get(path) ?? []),
  );
  for (const path of paths) remove(put, path, taken);
  const path = isPath(newest.path) ? newest.path : "";
  return { path, runs, guessed, beside, newest: newest.handle };
}

/** The next tail is opened where the last one was sealed: where one that is sealed, or a later one, begins at the offset of an open one, that one was sealed without bytes. */
function isPlaceTaken({ handle, fileOffset }: FoundChunk, chunks: readonly FoundChunk[]): boolean {
  return chunks.some((other) => other.fileOffset === fileOffset && (other.sealed || other.handle > handle));
}

/** What was written as a whole goes to another chunk where a server failed; both may be there, and one is the file's. */
function isSentAgain(chunk: FoundChunk, chunks: readonly FoundChunk[]): boolean {
  const { handle, version, fileOffset, length, crc } = chunk;
  return chunks.some(
    (other) =>
      other.handle < handle &&
      version === 1 &&
      other.version === 1 &&
      other.sealed &&
      other.fileOffset === fileOffset &&
      other.length === length &&
      other.crc === crc,
  );
}

/** What was put at one path, time and again: each content apart, the newest first. */
function groupsOfPuts(path: string, chunks: readonly FoundChunk[]): Group[] {
  const groups: Group[] = [];
  let left = [...chunks];
  let below = Number.POSITIVE_INFINITY;
  for (;;) {
    const chain = takeChain(left, { below, endsAt: undefined });
    if (chain === undefined) break;
    left = left.filter((chunk) => !chain.includes(chunk));
    below = chain[0]?.handle ?? 0;
    groups.push(groupOfPut(path, chain));
  }
  if (left.length > 0) groups.push(groupOfPut(path, inOrder(left)));
  return groups;
}

function groupOfPut(path: string, sorted: readonly FoundChunk[]): Group {
  return {
    path,
    runs: runsOf(sorted),
    guessed: false,
    beside: [],
    newest: Math.max(...sorted.map(({ handle }) => handle)),
  };
}

/**
 * One put: from the newest chunk at the beginning of the file on, each next one of those that were given out after it and before the next beginning, the first where there are several (it was sent
 * again, with the same bytes). A put whose first chunk was sent again after others is not seen to be one: its rest becomes pieces. Undefined where there is no beginning, or none that ends where it should.
 */
function takeChain(
  chunks: readonly FoundChunk[],
  rule: { readonly below: number; readonly endsAt: number | undefined },
): FoundChunk[] | undefined {
  const byOffset = new Map<number, FoundChunk[]>();
  for (const chunk of chunks) if (chunk.handle < rule.below) push(byOffset, chunk.fileOffset, chunk);
  let before = rule.below;
  for (const start of [...(byOffset.get(0) ?? [])].sort((a, b) => b.handle - a.handle)) {
    const chain = [start];
    let at = start.length;
    while (at !== rule.endsAt) {
      const next = (byOffset.get(at) ?? []).filter(({ handle }) => handle > start.handle && handle < before);
      if (next.length === 0) break;
      const best = next.reduce((a, b) => (b.handle < a.handle ? b : a));
      chain.push(best);
      at += best.length;
    }
    before = start.handle;
    if (rule.endsAt === undefined || at === rule.endsAt) return chain;
  }
  return undefined;
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
  const left = (map.get(path) ?? []).filter((chunk) => !taken.includes(chunk));
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
