/** What may become of one file, as a salvage finds it: put, moved over another, appended to in small and at large, copied in part, with appends that were never finished. */
import type { FoundChunk } from "../../../../src/master/core/salvage-chunks.ts";

export interface Life {
  /** Of the file, of what had its path before and after, and of appends that were never finished. */
  readonly chunks: FoundChunk[];
  /** Handles of the file, in order. */
  readonly file: number[];
  /** Handles of large appends that were never finished. */
  readonly unfinished: number[];
  /** A large append began before the one that lies before it had ended. */
  readonly beside: boolean;
  readonly isOpen: boolean;
}

export interface LifeOptions {
  readonly seed: number;
  /** Large appends go on at the same time. */
  readonly mayOverlap?: boolean;
  /** Some of them are never finished: all of their chunks are there, or the first ones. */
  readonly unfinished?: "none" | "all" | "cut";
}

const chunkBytes = 1_000;
const inode = 8;

/** Numbers below `max`, the same ones for a seed. */
export function drawer(seed: number): (max: number) => number {
  let state = seed;
  return (max) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % max;
  };
}

export function lifeOf({ seed, mayOverlap = false, unfinished: kind = "none" }: LifeOptions): Life {
  const draw = drawer(seed);
  const chunks: FoundChunk[] = [];
  const file: number[] = [];
  const unfinished: number[] = [];
  let handle = 0;
  const add = (fileOffset: number, length: number, changes: Partial<FoundChunk>): void => {
    handle++;
    const base = { handle, version: 1, crc: handle, sealed: true, members: [0], inode, path: "/a", paths: ["/a"] };
    chunks.push({ ...base, putAt: undefined, length, fileOffset, ...changes });
  };
  // None ends with a full chunk: what of it is lost could not be told from what was never there.
  const lengthsOf = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => (i === count - 1 ? 1 + draw(chunkBytes - 1) : chunkBytes));
  const put = (lengths: readonly number[], isFile: boolean): number => {
    // Put under another path and moved over the old file, which the copies of its chunks know: of one both paths are known.
    const isMoved = isFile && draw(3) === 0;
    const at = isMoved ? "/a.tmp" : "/a";
    const both = draw(lengths.length + 1);
    let bytes = 0;
    for (const [i, length] of lengths.entries()) {
      const isLink = isMoved && i === Math.min(both, lengths.length - 1);
      const isCopied = isLink || (isFile && draw(2) === 0);
      const isKnown = isLink || !isCopied || draw(4) > 0;
      const changes = {
        path: isCopied ? "/a" : at,
        paths: [...new Set([...(isKnown ? [at] : []), ...(isCopied ? ["/a"] : [])])],
      };
      add(bytes, length, { ...changes, inode: isCopied ? inode : 0, putAt: isKnown ? at : undefined });
      if (isFile) file.push(handle);
      bytes += length;
    }
    return bytes;
  };
  for (let puts = draw(3); puts > 0; puts--) put(lengthsOf(1 + draw(3)), false);
  let bytes = put(lengthsOf(draw(5)), true);
  const tail = (changes: Partial<FoundChunk>): void => {
    const length = 1 + draw(chunkBytes);
    add(bytes, length, { version: 2, ...changes });
    file.push(handle);
    // It began while the tail was still empty.
    if (kind !== "none" && draw(4) === 0) abandon();
    bytes += length;
  };
  const abandon = (): void => {
    const lengths = lengthsOf(1 + draw(3));
    if (kind === "cut" && lengths.length > 1) lengths.length = 1 + draw(lengths.length - 1);
    let at = bytes;
    for (const length of lengths) {
      add(at, length, {});
      unfinished.push(handle);
      at += length;
    }
  };
  let before = bytes;
  let beside = false;
  for (let operations = draw(6); operations > 0; operations--) {
    if (kind !== "none" && draw(3) === 0) abandon();
    const begun = mayOverlap && draw(3) === 0 && before < bytes ? before : bytes;
    beside ||= begun < bytes;
    before = bytes;
    if (begun === bytes && draw(2) === 0) {
      tail({});
      continue;
    }
    const shift = bytes - begun;
    for (const length of lengthsOf(1 + draw(3))) {
      // A copy knows where it came to lie.
      add(draw(3) === 0 ? bytes : bytes - shift, length, {});
      file.push(handle);
      bytes += length;
    }
  }
  const isOpen = draw(3) === 0;
  if (isOpen) tail({ sealed: false, version: 1 });
  if (kind !== "none" && draw(3) === 0) abandon();
  if (draw(2) === 0) put(lengthsOf(1 + draw(3)), false);
  return { chunks, file, unfinished, beside, isOpen };
}
