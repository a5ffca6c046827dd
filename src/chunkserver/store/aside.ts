/** Replicas that were told to go: kept out of service for a grace period, then purged (DESIGN §4.5). */
import type { Timer } from "../../io.ts";
import type { DataFiles } from "./data-files.ts";
import type { Retirement } from "./retirement.ts";
import type { World } from "../../io.ts";

interface Kept {
  readonly name: string;
  readonly bytes: number;
  readonly dueMs: number;
}

export interface AsideOptions {
  readonly files: DataFiles;
  readonly retirement: Retirement;
  readonly graceMs: number;
}

export class Aside {
  readonly #world: World;
  readonly #options: AsideOptions;
  /** Oldest first: all wait for the same time. */
  readonly #kept: Kept[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #purging: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(world: World, options: AsideOptions) {
    this.#world = world;
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A file lies in the aside directory from now on; its grace begins. */
  keep(name: string, bytes: number): void {
    const dueMs = this.#world.clock.monotonicMs() + this.#options.graceMs;
    this.#kept.push({ name, bytes, dueMs });
    this.#bytes += bytes;
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#purging;
  }

  #schedule(): void {
    const [first] = this.#kept;
    if (first === undefined || this.#timer !== undefined || this.#closed) return;
    const waitMs = Math.max(0, first.dueMs - this.#world.clock.monotonicMs());
    this.#timer = this.#world.clock.after(waitMs, () => {
      this.#timer = undefined;
      this.#purging = this.#purge();
    });
  }

  async #purge(): Promise<void> {
    const { files, retirement } = this.#options;
    const now = this.#world.clock.monotonicMs();
    for (let first = this.#kept[0]; first !== undefined && first.dueMs <= now; first = this.#kept[0]) {
      this.#kept.shift();
      try {
        await files.purge(first.name);
        this.#bytes -= first.bytes;
      } catch (error) {
        retirement.translate(`purge ${first.name}`, error);
        return;
      }
      if (this.#closed) return;
    }
    this.#schedule();
  }
}
