import type { Scheduler } from "./scheduler.ts";
import type { SimProcess } from "./sim-process.ts";

/** `dead`: its process ended first, so it will never be settled. */
export type TaskState = "running" | "done" | "failed" | "dead";

/** Code that runs in a process, and what became of it. */
export class Task<T> {
  readonly #process: SimProcess;
  #outcome:
    { readonly kind: "done"; readonly value: T } | { readonly kind: "failed"; readonly error: unknown } | undefined;

  constructor(scheduler: Scheduler, process: SimProcess, code: () => Promise<T>) {
    this.#process = process;
    scheduler.after(0, process, () => {
      scheduler.watch(this.#run(code));
    });
  }

  get state(): TaskState {
    return this.#outcome?.kind ?? (this.#process.alive ? "running" : "dead");
  }

  get settled(): boolean {
    return this.state !== "running";
  }

  /** What it returned. @throws what it threw; Error while it has not settled. */
  get value(): T {
    if (this.#outcome?.kind === "done") return this.#outcome.value;
    throw this.error ?? new Error(`The task is ${this.state}`);
  }

  /** What it threw; undefined unless it failed. */
  get error(): Error | undefined {
    if (this.#outcome?.kind !== "failed") return undefined;
    const { error } = this.#outcome;
    return error instanceof Error ? error : new Error(String(error));
  }

  async #run(code: () => Promise<T>): Promise<void> {
    try {
      this.#outcome = { kind: "done", value: await code() };
    } catch (error) {
      this.#outcome = { kind: "failed", error };
    }
  }
}
