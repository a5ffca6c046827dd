/**
 * Columns: arrays of numbers that grow by pages, so that growth never copies much and never pauses, and a million entries cost the
 * collector nothing. An entry that was never set is 0.
 */
import { assert, fail } from "../../base/assert.ts";

const pageBits = 16;
const pageEntries = 1 << pageBits;
const pageMask = pageEntries - 1;
/** The first page grows by doubling from here to a whole page: a small cluster stays small. */
const firstEntries = 256;

export type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** `f64` holds integers below 2^53 and times in milliseconds. */
export type ColumnType = "u8" | "u16" | "u32" | "f64";

const makers: Record<ColumnType, (entries: number) => Numbers> = {
  u8: (entries) => new Uint8Array(entries),
  u16: (entries) => new Uint16Array(entries),
  u32: (entries) => new Uint32Array(entries),
  f64: (entries) => new Float64Array(entries),
};

/** Numbers by index from 0. Values outside the type's range are the caller's bug (they would be cut to it). */
export class Column {
  readonly #type: ColumnType;
  readonly #pages: Numbers[];

  constructor(type: ColumnType) {
    this.#type = type;
    this.#pages = [makers[type](firstEntries)];
  }

  /** The number at `index`; 0 where none was set. */
  get(index: number): number {
    return this.#pages[index >>> pageBits]?.[index & pageMask] ?? 0;
  }

  set(index: number, value: number): void {
    const page = this.#pages[index >>> pageBits];
    const at = index & pageMask;
    if (page !== undefined && at < page.length) page[at] = value;
    else this.#grow(index)[at] = value;
  }

  add(index: number, delta: number): void {
    this.set(index, this.get(index) + delta);
  }

  /** Sets the numbers from `index` on, quicker than one by one; they are of the column's own type. */
  setRun(index: number, values: Numbers): void {
    for (let done = 0; done < values.length;) {
      const to = index + done;
      const count = Math.min(values.length - done, pageEntries - (to & pageMask));
      let page = this.#pages[to >>> pageBits];
      if (page === undefined || page.length < (to & pageMask) + count) page = this.#grow(to + count - 1);
      page.set(values.subarray(done, done + count), to & pageMask);
      done += count;
    }
  }

  /** Reads the numbers from `index` on into `values`. */
  getRun(index: number, values: Numbers): void {
    for (let done = 0; done < values.length;) {
      const from = index + done;
      const count = Math.min(values.length - done, pageEntries - (from & pageMask));
      const at = from & pageMask;
      const page = this.#pages[from >>> pageBits]?.subarray(at, at + count);
      if (page !== undefined) values.set(page, done);
      values.fill(0, done + (page?.length ?? 0), done + count);
      done += count;
    }
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    let bytes = 0;
    for (const page of this.#pages) bytes += page.byteLength;
    return bytes;
  }

  #grow(index: number): Numbers {
    if (!Number.isSafeInteger(index) || index < 0 || index >= 0x1_0000_0000)
      fail(`column index out of range: ${index}`);
    const wanted = index >>> pageBits;
    const first = this.#pages[0];
    assert(first !== undefined, "a column has a first page");
    if (first.length < pageEntries) {
      let entries = first.length;
      while (entries < pageEntries && entries <= index) entries *= 2;
      const larger = makers[this.#type](entries);
      larger.set(first);
      this.#pages[0] = larger;
    }
    while (this.#pages.length <= wanted) this.#pages.push(makers[this.#type](pageEntries));
    const page = this.#pages[wanted];
    assert(page !== undefined, "the page was just made");
    return page;
  }
}
