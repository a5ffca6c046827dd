import type { Owner, Scheduler } from "./scheduler.ts";

/** What the operating system does for a process that ends: `killed` while the machine stays up, `power-loss` with it. */
export type EndOfProcess = "killed" | "power-loss";

/** How a process ended: gives back what the system must clean up. */
export interface Held {
  onProcessEnd(end: EndOfProcess): void;
}

/**
 * One operating system process of a machine. When it has ended, nothing of it happens any more: its timers don't fire, promises
 * that it waits for stay pending, and calls into its world have no effect.
 */
export class SimProcess implements Owner {
  readonly id: number;
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #held = new Set<Held>();
  #endedBy: EndOfProcess | undefined;
  #pausedUntilUs = 0;

  constructor(id: number, name: string, scheduler: Scheduler) {
    this.id = id;
    this.name = name;
    this.#scheduler = scheduler;
  }

  get alive(): boolean {
    return this.#endedBy === undefined;
  }

  /** Undefined while it lives. */
  get endedBy(): EndOfProcess | undefined {
    return this.#endedBy;
  }

  get pausedUntilUs(): number {
    return this.#pausedUntilUs;
  }

  /** As SIGSTOP, and SIGCONT after `ms`: what arrives in between waits. */
  pause(ms: number): void {
    this.#pausedUntilUs = Math.max(this.#pausedUntilUs, this.#scheduler.nowUs + ms * 1000);
  }

  /** Runs a piece of this process's code: now, or when it goes on, or never. */
  enter(fn: () => void): void {
    if (!this.alive) return;
    if (this.#pausedUntilUs > this.#scheduler.nowUs) this.#scheduler.at(this.#pausedUntilUs, this, fn);
    else fn();
  }

  /** The system cleans it up at the end of the process. */
  hold(held: Held): void {
    this.#held.add(held);
  }

  release(held: Held): void {
    this.#held.delete(held);
  }

  end(end: EndOfProcess): void {
    if (!this.alive) return;
    this.#endedBy = end;
    const held = [...this.#held];
    this.#held.clear();
    for (const one of held) one.onProcessEnd(end);
  }
}

/** What a dead process gets from every call that waits. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}
