/** All replicas of a volume at 36 to 47 bytes each: paged columns of numbers, found by a hash index (BUN.md: objects would cost ten times that, and collections of half a second). */
import { assert } from "../../base/assert.ts";
import { HashIndex, hashNumber } from "../../base/hash-index.ts";
import type { ReplicaState } from "../../wire/control/chunkservers.ts";

/** A replica at rest, as it is durable. `removed` is a tombstone: `promised` is what it had promised, `length` the wall clock in seconds. */
export type RowState = Exclude<ReplicaState, "writing"> | "removed";

const states: readonly RowState[] = ["open", "fenced", "sealed", "corrupt", "removed"];
const codeOf = new Map<RowState, number>(states.map((state, code) => [state, code + 1]));

export interface Row {
  readonly handle: number;
  readonly promised: number;
  readonly dataVersion: number;
  readonly length: number;
  readonly crc: number;
  readonly state: RowState;
}

const pageRows = 8_192;
/** u32 columns of a page, one after the other. */
const promisedColumn = 0;
const dataColumn = 1;
const lengthColumn = 2;
const crcColumn = 3;

interface Page {
  readonly handles: Float64Array;
  readonly numbers: Uint32Array;
  /** 0: free. */
  readonly states: Uint8Array;
  /** A snapshot holds it: copied before it changes. */
  shared: boolean;
}

export class ReplicaTable {
  readonly #pages: Page[] = [];
  /** Slots by handle. */
  readonly #index = new HashIndex<number>((slot, handle) => this.#handleOf(slot) === handle);
  #slots = 0;
  #free: number[] = [];
  #removed = 0;

  /** Without tombstones. */
  get replicaCount(): number {
    return this.#index.size - this.#removed;
  }

  /** With tombstones. */
  get rowCount(): number {
    return this.#index.size;
  }

  get(handle: number): Row | undefined {
    const slot = this.#find(handle);
    return slot < 0 ? undefined : this.#row(slot);
  }

  /** Adds the row or replaces the one of the same handle. */
  set(row: Row): void {
    let slot = this.#find(row.handle);
    if (slot < 0) {
      slot = this.#free.pop() ?? this.#slots++;
      if (slot >= this.#pages.length * pageRows) this.#pages.push(newPage());
      this.#index.insert(hashNumber(row.handle), slot);
    } else if (this.#page(slot).states[slot % pageRows] === codeOf.get("removed")) {
      this.#removed--;
    }
    const page = this.#pageToChange(slot);
    const at = slot % pageRows;
    page.handles[at] = row.handle;
    page.numbers[promisedColumn * pageRows + at] = row.promised;
    page.numbers[dataColumn * pageRows + at] = row.dataVersion;
    page.numbers[lengthColumn * pageRows + at] = row.length;
    page.numbers[crcColumn * pageRows + at] = row.crc;
    page.states[at] = codeOf.get(row.state) ?? 0;
    if (row.state === "removed") this.#removed++;
  }

  delete(handle: number): void {
    const slot = this.#find(handle);
    if (slot < 0) return;
    const page = this.#pageToChange(slot);
    if (page.states[slot % pageRows] === codeOf.get("removed")) this.#removed--;
    page.states[slot % pageRows] = 0;
    this.#free.push(slot);
    this.#index.remove(hashNumber(handle), slot);
  }

  /** In no order. Changes while it goes on are fine: what is there all the while comes exactly once. */
  *rows(): IterableIterator<Row> {
    for (let slot = 0; slot < this.#slots; slot++) {
      const page = this.#page(slot);
      if ((page.states[slot % pageRows] ?? 0) !== 0) yield rowOf(page, slot % pageRows);
    }
  }

  /** All rows as they are now, however the table changes while they are taken. Costs nothing until a page changes. */
  snapshot(): IterableIterator<Row> {
    for (const page of this.#pages) page.shared = true;
    return rowsOf([...this.#pages]);
  }

  #row(slot: number): Row {
    return rowOf(this.#page(slot), slot % pageRows);
  }

  #pageToChange(slot: number): Page {
    const page = this.#page(slot);
    if (!page.shared) return page;
    const copy: Page = {
      handles: page.handles.slice(),
      numbers: page.numbers.slice(),
      states: page.states.slice(),
      shared: false,
    };
    this.#pages[Math.floor(slot / pageRows)] = copy;
    return copy;
  }

  #page(slot: number): Page {
    const page = this.#pages[Math.floor(slot / pageRows)];
    assert(page !== undefined, "a slot beyond the pages");
    return page;
  }

  #handleOf(slot: number): number {
    return this.#page(slot).handles[slot % pageRows] ?? 0;
  }

  #find(handle: number): number {
    return this.#index.find(hashNumber(handle), handle);
  }
}

function newPage(): Page {
  return {
    handles: new Float64Array(pageRows),
    numbers: new Uint32Array(4 * pageRows),
    states: new Uint8Array(pageRows),
    shared: false,
  };
}

function* rowsOf(pages: readonly Page[]): IterableIterator<Row> {
  for (const page of pages)
    for (let at = 0; at < pageRows; at++) if ((page.states[at] ?? 0) !== 0) yield rowOf(page, at);
}

function rowOf(page: Page, at: number): Row {
  const state = states[(page.states[at] ?? 0) - 1];
  assert(state !== undefined, "a free slot has no row");
  return {
    handle: page.handles[at] ?? 0,
    promised: page.numbers[promisedColumn * pageRows + at] ?? 0,
    dataVersion: page.numbers[dataColumn * pageRows + at] ?? 0,
    length: page.numbers[lengthColumn * pageRows + at] ?? 0,
    crc: page.numbers[crcColumn * pageRows + at] ?? 0,
    state,
  };
}
