import { drainMicrotasks } from "bun:jsc";
import { Endless, type RunBounds, runBounds } from "./endless.ts";
import { EventQueue, type Scheduled } from "./event-queue.ts";
import { forbidRealWorld } from "./forbid-real-world.ts";
import type { Prng } from "./prng.ts";
import { Trace } from "./trace.ts";

/** Whose code an event runs: skipped when the owner is dead, put off while it is paused. */
export interface Owner {
  readonly id: number;
  readonly alive: boolean;
  readonly pausedUntilUs: number;
}

/** The network, the disks, the harness: never dead, never paused. */
export const nature: Owner = { id: 0, alive: true, pausedUntilUs: 0 };

export type Happening = Scheduled<Owner>;

/** Virtual time and what happens in it, one event after the other, each with all the microtasks that it sets off. */
export class Scheduler {
  readonly trace = new Trace();
  readonly #queue = new EventQueue<Owner>();
  readonly #counts = new Map<string, number>();
  #nowUs = 0;
  readonly #bounds: RunBounds;
  #events = 0;
  #clockReadings = 0;
  #failure: Error | undefined;

  constructor(bounds: RunBounds = runBounds) {
    this.#bounds = bounds;
  }

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return this.#nowUs / 1000;
  }

  get nowUs(): number {
    return this.#nowUs;
  }

  /** How many events have happened. */
  get events(): number {
    return this.#events;
  }

  /** How many are still to happen. */
  get pending(): number {
    return this.#queue.size;
  }

  /** Faults made and rare branches taken, by name. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    this.trace.mixName(name);
  }

  /** True with this probability, and then counted under the name. */
  strikes(prng: Prng, probability: number, name: string): boolean {
    if (!prng.chance(probability)) return false;
    this.count(name);
    return true;
  }

  /** A process looks at its clock. @throws Endless where it has done nothing else for too long: that ends its loop, and then the run */
  noteClockReading(): void {
    if (++this.#clockReadings <= this.#bounds.clockReadings) return;
    this.#failure ??= new Endless(
      `one event goes on for ever: ${this.#bounds.clockReadings} looks at the clock, and no time passes`,
    );
    throw this.#failure;
  }

  after(delayMs: number, owner: Owner, fn: () => void): Happening {
    return this.#queue.add(this.#nowUs + Math.max(0, Math.ceil(delayMs * 1000)), owner, fn);
  }

  at(atUs: number, owner: Owner, fn: () => void): Happening {
    return this.#queue.add(Math.max(this.#nowUs, Math.ceil(atUs)), owner, fn);
  }

  cancel(event: Happening): void {
    this.#queue.cancel(event);
  }

  /** For promises of the simulation's own code: a failure of one ends the run. */
  watch(promise: Promise<unknown>): void {
    promise.catch((error: unknown) => {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    });
  }

  /**
   * Lets things happen until `done()` is true (looked at after each event), nothing is left to happen, or the next event lies
   * after `limitUs`. True in the first case.
   */
  run(limitUs: number, done: () => boolean): boolean {
    using _ = forbidRealWorld();
    drainMicrotasks();
    for (;;) {
      if (done()) return true;
      const nextUs = this.#queue.nextUs();
      if (nextUs === undefined || nextUs > limitUs) {
        if (limitUs !== Number.POSITIVE_INFINITY) this.#nowUs = Math.max(this.#nowUs, limitUs);
        return false;
      }
      this.#step();
    }
  }

  #step(): void {
    const event = this.#queue.take();
    const fn = event?.fn;
    if (event === undefined || fn === undefined) return;
    const { owner, atUs } = event;
    this.#nowUs = atUs;
    if (owner.alive && owner.pausedUntilUs > atUs) {
      this.#queue.postpone(event, owner.pausedUntilUs);
      return;
    }
    event.fn = undefined;
    if (!owner.alive) return;
    if (++this.#events > this.#bounds.events)
      throw new Endless(`more than ${this.#bounds.events} events by ${this.nowMs} ms`);
    this.#clockReadings = 0;
    this.trace.mix(atUs);
    this.trace.mix(owner.id);
    fn();
    drainMicrotasks();
    if (this.#failure === undefined) return;
    const failure = this.#failure;
    this.#failure = undefined;
    throw failure;
  }
}
