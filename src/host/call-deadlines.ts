/** Deadlines of many calls, with one timer: most calls end long before theirs, and a timer of its own would cost each more than its request. */

export interface Expiring {
  /** By `performance.now()`. */
  readonly dueMs: number;
  expire(): void;
}

export class CallDeadlines {
  readonly #calls = new Set<Expiring>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires: never after the earliest deadline. */
  #armedMs = Number.POSITIVE_INFINITY;

  add(call: Expiring): void {
    this.#calls.add(call);
    if (call.dueMs < this.#armedMs) this.#arm(call.dueMs);
  }

  /** The timer is left: it finds nothing, or arms itself for the next. */
  remove(call: Expiring): void {
    this.#calls.delete(call);
  }

  #arm(dueMs: number): void {
    clearTimeout(this.#timer);
    this.#armedMs = dueMs;
    this.#timer = setTimeout(() => this.#fire(), Math.max(0, Math.ceil(dueMs - performance.now())));
    this.#timer.unref();
  }

  #fire(): void {
    this.#armedMs = Number.POSITIVE_INFINITY;
    const nowMs = performance.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const call of this.#calls) {
      if (call.dueMs > nowMs) nextMs = Math.min(nextMs, call.dueMs);
      else {
        this.#calls.delete(call);
        call.expire();
      }
    }
    // What expired may have begun another call, and armed the timer for it.
    if (nextMs < this.#armedMs) this.#arm(nextMs);
  }
}
