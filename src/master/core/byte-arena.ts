/**
 * Byte strings without an object each: blocks in large pages, named by a number. Freed blocks are reused for strings of the same size class,
 * which the names of one tree keep hitting.
 */
import { assert } from "../../base/assert.ts";
import { hashRange } from "../../base/hash-index.ts";

const unitBytes = 4;
const firstPageBytes = 4_096;
const pageShift = 18;
const unitsPerPage = 2 ** pageShift;
const pageBytes = unitsPerPage * unitBytes;
const prefixBytes = 2;
/** Longest byte string: a path of 4 096 bytes and what stands before it in the trash. */
export const arenaBytesMax = 4_608;

/** A string's block: its address in units, from 1; 0 names no block. */
export class ByteArena {
  readonly #pages: Uint8Array[] = [new Uint8Array(firstPageBytes)];
  /** By class (units of a block): the first free block; each free block holds the next one's address. */
  readonly #free = new Uint32Array(blockUnits(arenaBytesMax) + 1);
  #endUnits = 1;

  /** Copies `bytes`, or `length` of them from `from`, into a block. */
  put(bytes: Uint8Array, from = 0, length = bytes.length): number {
    assert(length <= arenaBytesMax, "too long for the arena");
    const address = this.#take(blockUnits(length));
    const page = this.#page(address);
    const at = atOf(address);
    page[at] = length & 0xff;
    page[at + 1] = length >>> 8;
    const to = at + prefixBytes;
    // For a name a loop is quicker than the call of `set`.
    if (length > 64) page.set(bytes.subarray(from, from + length), to);
    else for (let i = 0; i < length; i++) page[to + i] = bytes[from + i] ?? 0;
    return address;
  }

  free(address: number): void {
    const units = blockUnits(this.length(address));
    this.#writeLink(address, this.#free[units] ?? 0);
    this.#free[units] = address;
  }

  length(address: number): number {
    const page = this.#page(address);
    const at = atOf(address);
    return (page[at] ?? 0) | ((page[at + 1] ?? 0) << 8);
  }

  /** A view, valid until the next put or free. */
  get(address: number): Uint8Array {
    const page = this.#page(address);
    const at = atOf(address) + prefixBytes;
    return page.subarray(at, at + this.length(address));
  }

  equals(address: number, bytes: Uint8Array): boolean {
    if (this.length(address) !== bytes.length) return false;
    const page = this.#page(address);
    const at = atOf(address) + prefixBytes;
    for (let i = 0; i < bytes.length; i++) if (page[at + i] !== bytes[i]) return false;
    return true;
  }

  /** `hashBytes` of the string, without a view. */
  hash(address: number, seed: number): number {
    const from = atOf(address) + prefixBytes;
    return hashRange(this.#page(address), from, from + this.length(address), seed);
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    let bytes = this.#free.byteLength;
    for (const page of this.#pages) bytes += page.length;
    return bytes;
  }

  #page(address: number): Uint8Array {
    const page = this.#pages[address >>> pageShift];
    assert(page !== undefined && address > 0, "no such arena block");
    return page;
  }

  #take(units: number): number {
    const free = this.#free[units] ?? 0;
    if (free !== 0) {
      this.#free[units] = this.#readLink(free);
      return free;
    }
    // A block doesn't cross pages; what is left of one is at most a path long, and given up.
    const left = unitsPerPage - (this.#endUnits % unitsPerPage);
    const address = left >= units ? this.#endUnits : this.#endUnits + left;
    assert(address + units < 0x1_0000_0000, "the arena is full");
    this.#endUnits = address + units;
    this.#reach(address >>> pageShift, atOf(address) + units * unitBytes);
    return address;
  }

  #reach(pageIndex: number, bytes: number): void {
    const first = this.#pages[0];
    assert(first !== undefined, "an arena has a first page");
    if (first.length < pageBytes && (pageIndex > 0 || bytes > first.length)) {
      const wanted = pageIndex > 0 ? pageBytes : bytes;
      let size = first.length * 2;
      while (size < wanted) size *= 2;
      const larger = new Uint8Array(size);
      larger.set(first);
      this.#pages[0] = larger;
    }
    if (pageIndex >= this.#pages.length) this.#pages.push(new Uint8Array(pageBytes));
  }

  #readLink(address: number): number {
    const page = this.#page(address);
    const at = atOf(address);
    return (
      ((page[at] ?? 0) | ((page[at + 1] ?? 0) << 8) | ((page[at + 2] ?? 0) << 16) | ((page[at + 3] ?? 0) << 24)) >>> 0
    );
  }

  #writeLink(address: number, link: number): void {
    const page = this.#page(address);
    const at = atOf(address);
    for (let i = 0; i < 4; i++) page[at + i] = (link >>> (8 * i)) & 0xff;
  }
}

/** Sizes of one class differ by less than a unit, or an eighth for long strings. */
function blockUnits(bytes: number): number {
  const units = Math.ceil((bytes + prefixBytes) / unitBytes);
  return units <= 64 ? units : Math.ceil(units / 16) * 16;
}

function atOf(address: number): number {
  return (address & (unitsPerPage - 1)) * unitBytes;
}
