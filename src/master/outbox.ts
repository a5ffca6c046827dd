/**
 * The one way out of the master (DESIGN §4.1): whatever was computed at a log position leaves only once the log is durable up to there, so that nobody
 * ever sees a fact that a crash can undo. Things leave in the order in which they came.
 */
import type { GfsError } from "../base/errors.ts";
import type { LogPosition } from "../log/log-types.ts";

interface Waiting {
  readonly position: LogPosition;
  readonly leave: () => void;
  readonly refuse: (error: GfsError) => void;
}

export class Outbox {
  #waiting: Waiting[] = [];
  #head = 0;
  #durable: LogPosition;
  #failure: GfsError | undefined;

  constructor(durable: LogPosition) {
    this.#durable = durable;
  }

  /** Resolves when the log is durable up to `position`; positions never fall from call to call. @throws what `fail` was given, for ever. */
  until(position: LogPosition): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (position <= this.#durable && this.#head === this.#waiting.length) return Promise.resolve();
    return new Promise((leave, refuse) => {
      this.#waiting.push({ position, leave, refuse });
    });
  }

  durable(position: LogPosition): void {
    this.#durable = position;
    for (;;) {
      const next = this.#waiting[this.#head];
      if (next === undefined || next.position > position) break;
      this.#head++;
      next.leave();
    }
    if (this.#head === this.#waiting.length || this.#head > 4_096) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
  }

  fail(error: GfsError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    const waiting = this.#waiting.slice(this.#head);
    this.#waiting = [];
    this.#head = 0;
    for (const { refuse } of waiting) refuse(error);
  }
}
