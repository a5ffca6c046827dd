/** Something that happens at a moment of virtual time, unless it is cancelled first. */
export interface Scheduled<Owner> {
  atUs: number;
  order: number;
  readonly owner: Owner;
  /** Undefined once it is cancelled. */
  fn: (() => void) | undefined;
}

/** A binary heap by time, then by the order of adding. */
export class EventQueue<Owner> {
  #heap: Scheduled<Owner>[] = [];
  #order = 0;
  #cancelled = 0;

  /** Those that will still happen. */
  get size(): number {
    return this.#heap.length - this.#cancelled;
  }

  add(atUs: number, owner: Owner, fn: () => void): Scheduled<Owner> {
    const event: Scheduled<Owner> = { atUs, order: this.#order++, owner, fn };
    this.#push(event);
    return event;
  }

  /** Of one that was taken and has not happened: later, and still to be cancelled by whoever added it. */
  postpone(event: Scheduled<Owner>, atUs: number): void {
    event.atUs = atUs;
    event.order = this.#order++;
    this.#push(event);
  }

  /** Idempotent; of one that has happened: no effect. */
  cancel(event: Scheduled<Owner>): void {
    if (event.fn === undefined) return;
    event.fn = undefined;
    this.#cancelled++;
    // Long time-outs are nearly all cancelled: without this they, and all that they hold, would stay for their whole time.
    if (this.#cancelled > 256 && this.#cancelled * 2 > this.#heap.length) this.#sweep();
  }

  /** Time of the next one; undefined when there is none. */
  nextUs(): number | undefined {
    this.#skipCancelled();
    return this.#heap[0]?.atUs;
  }

  /** Takes the next one. Its `fn` is left for the caller to run and to clear. */
  take(): Scheduled<Owner> | undefined {
    this.#skipCancelled();
    return this.#pop();
  }

  #push(event: Scheduled<Owner>): void {
    this.#heap.push(event);
    this.#rise(this.#heap.length - 1);
  }

  #skipCancelled(): void {
    let first = this.#heap[0];
    while (first !== undefined && first.fn === undefined) {
      this.#pop();
      this.#cancelled--;
      first = this.#heap[0];
    }
  }

  #pop(): Scheduled<Owner> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first !== undefined && last !== undefined && first !== last) {
      heap[0] = last;
      this.#sink(0);
    }
    return first;
  }

  #sweep(): void {
    this.#heap = this.#heap.filter((event) => event.fn !== undefined);
    this.#cancelled = 0;
    for (let i = (this.#heap.length >>> 1) - 1; i >= 0; i--) this.#sink(i);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const event = heap[from]!;
    let at = from;
    while (at > 0) {
      const above = (at - 1) >>> 1;
      const other = heap[above]!;
      if (other.atUs < event.atUs || (other.atUs === event.atUs && other.order < event.order)) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = event;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const { length } = heap;
    const event = heap[from]!;
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= length) break;
      if (below + 1 < length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      const other = heap[below]!;
      if (!isBefore(other, event)) break;
      heap[at] = other;
      at = below;
    }
    heap[at] = event;
  }
}

function isBefore(a: Scheduled<unknown>, b: Scheduled<unknown>): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}
