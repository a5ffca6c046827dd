/**
 * Slots by the time at which each is due, the earliest first: directories keep what is removed below them for different times, so the order of removal is not that of expiry. A binary heap
 * in two columns; whoever takes one out names its place, which `moved` tells whenever it changes.
 */
import { assert } from "../../base/assert.ts";
import { Column } from "./column.ts";

export class ExpiryHeap {
  readonly #times = new Column("f64");
  readonly #slots = new Column("u32");
  readonly #moved: (slot: number, place: number) => void;
  #size = 0;

  constructor(moved: (slot: number, place: number) => void) {
    this.#moved = moved;
  }

  get size(): number {
    return this.#size;
  }

  add(slot: number, dueMs: number): void {
    this.#rise(this.#size++, { slot, dueMs });
  }

  remove(slot: number, place: number): void {
    assert(place < this.#size && this.#slots.get(place) === slot, "what leaves the heap is where it was said to be");
    this.#size--;
    if (place === this.#size) return;
    const last = { slot: this.#slots.get(this.#size), dueMs: this.#times.get(this.#size) };
    const parent = (place - 1) >>> 1;
    if (place > 0 && this.#times.get(parent) > last.dueMs) this.#rise(place, last);
    else this.#sink(place, last);
  }

  /** Those due at `nowMs`, at most `max`, in no particular order but the earliest among them. */
  due(nowMs: number, max: number): number[] {
    const slots: number[] = [];
    const places = [0];
    for (let place = places.pop(); place !== undefined && slots.length < max; place = places.pop()) {
      if (place >= this.#size || this.#times.get(place) > nowMs) continue;
      slots.push(this.#slots.get(place));
      places.push(2 * place + 2, 2 * place + 1);
    }
    return slots;
  }

  #rise(from: number, one: { slot: number; dueMs: number }): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      if (this.#times.get(parent) <= one.dueMs) break;
      this.#put(place, { slot: this.#slots.get(parent), dueMs: this.#times.get(parent) });
      place = parent;
    }
    this.#put(place, one);
  }

  #sink(from: number, one: { slot: number; dueMs: number }): void {
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#times.get(child + 1) < this.#times.get(child)) child++;
      if (this.#times.get(child) >= one.dueMs) break;
      this.#put(place, { slot: this.#slots.get(child), dueMs: this.#times.get(child) });
      place = child;
    }
    this.#put(place, one);
  }

  #put(place: number, { slot, dueMs }: { slot: number; dueMs: number }): void {
    this.#times.set(place, dueMs);
    this.#slots.set(place, slot);
    this.#moved(slot, place);
  }
}
