/** Deadlines of many waits with one timer: most end long before theirs, and a timer of its own costs each more than all else of a short wait. */

export interface Expiring {
  /** By the clock of its deadlines. */
  readonly dueMs: number;
  /** Called once, at `dueMs` or later, unless it was removed. */
  expire(): void;
}

/** What is needed of a clock. `after` never calls early. */
export interface DeadlineClock {
  monotonicMs(): number;
  after(ms: number, fn: () => void): { cancel(): void };
}

export class Deadlines {
  readonly #clock: DeadlineClock;
  readonly #waits = new Set<Expiring>();
  #timer: { cancel(): void } | undefined;
  /** When the timer fires: never after the earliest deadline. */
  #armedMs = Number.POSITIVE_INFINITY;

  constructor(clock: DeadlineClock) {
    this.#clock = clock;
  }

  add(wait: Expiring): void {
    this.#waits.add(wait);
    if (wait.dueMs < this.#armedMs) this.#arm(wait.dueMs);
  }

  /** The timer is left: it finds nothing, or sets itself for the next. */
  remove(wait: Expiring): void {
    this.#waits.delete(wait);
  }

  #arm(dueMs: number): void {
    this.#timer?.cancel();
    this.#armedMs = dueMs;
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.monotonicMs()), () => this.#fire());
  }

  #fire(): void {
    this.#armedMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const wait of this.#waits) {
      if (wait.dueMs > nowMs) nextMs = Math.min(nextMs, wait.dueMs);
      else {
        this.#waits.delete(wait);
        wait.expire();
      }
    }
    // What expired may have begun another wait, and set the timer for it.
    if (nextMs < this.#armedMs) this.#arm(nextMs);
  }
}
