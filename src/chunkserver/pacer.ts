import type { Clock } from "../io.ts";
import { sleep } from "../net/deadline.ts";

/** Spreads work over time: who takes waits until all that was taken before is worth its time. */
export class Pacer {
  readonly #clock: Clock;
  readonly #stopping: AbortSignal;
  #dueMs = 0;

  constructor(clock: Clock, stopping: AbortSignal) {
    this.#clock = clock;
    this.#stopping = stopping;
  }

  /** @param perMs bytes a millisecond, above 0; may be infinite. @throws GfsError Interrupted when the server stops */
  async take(bytes: number, perMs: number): Promise<void> {
    const now = this.#clock.monotonicMs();
    const startMs = Math.max(now, this.#dueMs);
    this.#dueMs = startMs + bytes / perMs;
    if (startMs > now) await sleep(this.#clock, startMs - now, this.#stopping);
  }
}
