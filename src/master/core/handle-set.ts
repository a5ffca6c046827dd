/**
 * A set of chunk handles in one bit each, by pages of 32 768; a page whose handles are all in the set costs nothing, so that a cluster
 * that has let go of a billion chunks pays for the borders only.
 */
import { assert } from "../../base/assert.ts";

const pageHandles = 32_768;

type Page = { readonly bits: Uint32Array; count: number } | "all";

export class HandleSet {
  readonly #pages = new Map<number, Page>();

  add(handle: number): void {
    const number = Math.floor(handle / pageHandles);
    let page = this.#pages.get(number);
    if (page === "all") return;
    if (page === undefined) {
      page = { bits: new Uint32Array(pageHandles / 32), count: 0 };
      this.#pages.set(number, page);
    }
    const at = handle % pageHandles;
    const bit = (1 << (at & 31)) >>> 0;
    const word = page.bits[at >>> 5] ?? 0;
    if ((word & bit) !== 0) return;
    page.bits[at >>> 5] = word | bit;
    page.count++;
    if (page.count === pageHandles) this.#pages.set(number, "all");
  }

  /** One that isn't in the set is no error. */
  delete(handle: number): void {
    if (!this.has(handle)) return;
    const number = Math.floor(handle / pageHandles);
    let page = this.#pages.get(number);
    if (page === undefined) return;
    if (page === "all") {
      page = { bits: new Uint32Array(pageHandles / 32).fill(0xffff_ffff), count: pageHandles };
      this.#pages.set(number, page);
    }
    const at = handle % pageHandles;
    page.bits[at >>> 5] = (page.bits[at >>> 5] ?? 0) & ~(1 << (at & 31));
    page.count--;
    if (page.count === 0) this.#pages.delete(number);
  }

  has(handle: number): boolean {
    const page = this.#pages.get(Math.floor(handle / pageHandles));
    if (page === undefined || page === "all") return page === "all";
    const at = handle % pageHandles;
    return ((page.bits[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
  }

  /** The runs of handles in the set, in order: [first, count], none touching the next. For a checkpoint. */
  *runs(): Generator<readonly [first: number, count: number]> {
    let first = -1;
    let end = -1;
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#pages.get(number);
      const from = number * pageHandles;
      for (let at = 0; at < pageHandles; at++) {
        const length = page === "all" ? pageHandles : this.has(from + at) ? 1 : 0;
        if (length === 0) continue;
        if (from + at !== end) {
          if (first >= 0) yield [first, end - first];
          first = from + at;
        }
        end = from + at + length;
        at += length - 1;
      }
    }
    if (first >= 0) yield [first, end - first];
  }

  addRun(first: number, count: number): void {
    assert(Number.isSafeInteger(first) && first >= 0 && count > 0, "a run of handles out of range");
    let handle = first;
    while (handle < first + count) {
      if (handle % pageHandles === 0 && handle + pageHandles <= first + count) {
        this.#pages.set(handle / pageHandles, "all");
        handle += pageHandles;
      } else this.add(handle++);
    }
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    let bytes = 0;
    for (const page of this.#pages.values()) bytes += 64 + (page === "all" ? 0 : page.bits.byteLength);
    return bytes;
  }
}
