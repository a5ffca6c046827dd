/**
 * A hash index from keys to numbers that keeps neither the keys nor an object an entry: the key of a value is compared by a function over
 * the caller's columns. Extendible hashing over small open-addressing segments: only one segment is resized or split at a time, so no
 * insert pauses however many entries there are. About 12 bytes an entry.
 */
import { assert } from "./assert.ts";

const segmentEntriesMin = 8;
const segmentEntriesMax = 4_096;
/** Beyond this depth a segment grows instead of splitting: many keys have the same hash. */
const depthMax = 22;
/** How full a segment is at most with the entries that room was made for: some get more than their part. */
const reservedShare = 0.65;

/** `table` holds pairs (hash, value + 1); value + 1 = 0 marks a free place. */
interface Segment {
  table: Uint32Array;
  used: number;
  /** How many top bits of a hash lead here. */
  depth: number;
}

function segmentOf(entries: number, depth: number): Segment {
  return { table: new Uint32Array(entries * 2), used: 0, depth };
}

function place(segment: Segment, hash: number, stored: number): void {
  const { table } = segment;
  const mask = table.length / 2 - 1;
  let at = hash & mask;
  while (table[at * 2 + 1] !== 0) at = (at + 1) & mask;
  table[at * 2] = hash;
  table[at * 2 + 1] = stored;
  segment.used++;
}

/** Places all entries of a table anew: by the bit of the hash at `shift` in one of two segments. */
function replaceAll(table: Uint32Array, into: readonly [Segment, Segment], shift: number): void {
  for (let at = 0; at < table.length; at += 2) {
    const stored = table[at + 1] ?? 0;
    if (stored === 0) continue;
    const hash = table[at] ?? 0;
    place(((hash >>> shift) & 1) === 0 ? into[0] : into[1], hash, stored);
  }
}

/** Values are unsigned and below 2^32 - 1; several may have the same hash, but no two the same key. */
export class HashIndex<Key> {
  readonly #matches: (value: number, key: Key) => boolean;
  #directory: Segment[] = [segmentOf(segmentEntriesMin, 0)];
  #depth = 0;
  #size = 0;

  /** `matches`: whether the entry that `value` names has this key. */
  constructor(matches: (value: number, key: Key) => boolean) {
    this.#matches = matches;
  }

  get size(): number {
    return this.#size;
  }

  /** Makes room for so many entries in an empty index, which then fills without being rearranged. */
  reserve(entries: number): void {
    assert(this.#size === 0, "room is made before the first entry");
    let depth = 0;
    while (depth < depthMax && entries / 2 ** depth > segmentEntriesMax * reservedShare) depth++;
    const perSegment = entries / 2 ** depth / reservedShare;
    let size = segmentEntriesMin;
    while (size < segmentEntriesMax && size < perSegment) size *= 2;
    this.#depth = depth;
    this.#directory = Array.from({ length: 2 ** depth }, () => segmentOf(size, depth));
  }

  /** The value of the key with this (unsigned 32-bit) hash, or -1. */
  find(hash: number, key: Key): number {
    const { table } = this.#segment(hash);
    const mask = table.length / 2 - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const stored = table[at * 2 + 1] ?? 0;
      if (stored === 0) return -1;
      if (table[at * 2] === hash && this.#matches(stored - 1, key)) return stored - 1;
    }
  }

  /** The key must not be there yet. */
  insert(hash: number, value: number): void {
    assert(value >= 0 && value < 0xffff_ffff, "index value out of range");
    let segment = this.#segment(hash);
    // At most three quarters full, so that runs stay short.
    while ((segment.used + 1) * 8 > segment.table.length * 3) {
      if (segment.table.length / 2 < segmentEntriesMax || segment.depth >= depthMax) this.#resize(segment, 2);
      else this.#split(hash, segment);
      segment = this.#segment(hash);
    }
    place(segment, hash, value + 1);
    this.#size++;
  }

  /** The entry must be there. */
  remove(hash: number, value: number): void {
    const segment = this.#segment(hash);
    const { table } = segment;
    const mask = table.length / 2 - 1;
    let hole = hash & mask;
    while (table[hole * 2 + 1] !== value + 1 || table[hole * 2] !== hash) {
      assert(table[hole * 2 + 1] !== 0, "index entry missing");
      hole = (hole + 1) & mask;
    }
    // Entries of the run move back over the hole, so that no marks of removed entries pile up.
    for (let at = (hole + 1) & mask; table[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      const home = (table[at * 2] ?? 0) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole * 2] = table[at * 2] ?? 0;
      table[hole * 2 + 1] = table[at * 2 + 1] ?? 0;
      hole = at;
    }
    table[hole * 2] = 0;
    table[hole * 2 + 1] = 0;
    segment.used--;
    this.#size--;
    if (segment.table.length / 2 > segmentEntriesMin && segment.used * 16 < segment.table.length)
      this.#resize(segment, 0.5);
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    let bytes = this.#directory.length * 8;
    for (const segment of new Set(this.#directory)) bytes += segment.table.byteLength + 64;
    return bytes;
  }

  // The directory goes by the top bits of a hash, the place in a segment by its low bits: the two stay independent.
  #segment(hash: number): Segment {
    const segment = this.#directory[this.#depth === 0 ? 0 : hash >>> (32 - this.#depth)];
    assert(segment !== undefined, "every hash has a segment");
    return segment;
  }

  #resize(segment: Segment, factor: 0.5 | 2): void {
    const { table } = segment;
    segment.table = new Uint32Array(table.length * factor);
    segment.used = 0;
    replaceAll(table, [segment, segment], 0);
  }

  #split(hash: number, segment: Segment): void {
    if (segment.depth === this.#depth) {
      this.#directory = this.#directory.flatMap((each) => [each, each]);
      this.#depth++;
    }
    const depth = segment.depth + 1;
    const entries = segment.table.length / 2;
    const halves = [segmentOf(entries, depth), segmentOf(entries, depth)] as const;
    replaceAll(segment.table, halves, 32 - depth);
    const span = 2 ** (this.#depth - segment.depth);
    const at = hash >>> (32 - this.#depth);
    const from = at - (at % span);
    for (let i = 0; i < span; i++) this.#directory[from + i] = i < span / 2 ? halves[0] : halves[1];
  }
}

/** Spreads a number below 2^53 over 32 bits, unsigned. */
export function hashNumber(value: number): number {
  // `>>>` takes a number modulo 2^32, and is far quicker than `%`.
  return mix((value >>> 0) ^ Math.imul(Math.floor(value / 0x1_0000_0000), 0x9e37_79b1));
}

/** Hash of bytes, unsigned 32 bits, after `seed`. */
export function hashBytes(bytes: Uint8Array, seed: number): number {
  return hashRange(bytes, 0, bytes.length, seed);
}

/** The same of a part of `bytes`. */
export function hashRange(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let hash = seed ^ 0x811c_9dc5;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x0100_0193);
  return mix(hash);
}

function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
