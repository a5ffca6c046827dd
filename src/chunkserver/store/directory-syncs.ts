/** Makes new names durable; callers that wait for the same directory share one sync. */
import type { Disk } from "../../io.ts";

interface Waiting {
  /** The sync that began before us, if one is under way: it may have missed our name. */
  running: Promise<void> | undefined;
  next: Promise<void> | undefined;
}

export class DirectorySyncs {
  readonly #disk: Disk;
  readonly #directories = new Map<string, Waiting>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Resolves when a sync that began after this call is done. @throws DiskError */
  sync(directory: string): Promise<void> {
    let waiting = this.#directories.get(directory);
    if (waiting === undefined) {
      waiting = { running: undefined, next: undefined };
      this.#directories.set(directory, waiting);
    }
    if (waiting.running === undefined) return this.#start(directory, waiting);
    waiting.next ??= this.#after(directory, waiting, waiting.running);
    return waiting.next;
  }

  async #after(directory: string, waiting: Waiting, running: Promise<void>): Promise<void> {
    await running.catch(() => undefined);
    waiting.next = undefined;
    await this.#start(directory, waiting);
  }

  async #start(directory: string, waiting: Waiting): Promise<void> {
    const running = this.#disk.syncDirectory(directory);
    waiting.running = running;
    try {
      await running;
    } finally {
      if (waiting.running === running) waiting.running = undefined;
      if (waiting.running === undefined && waiting.next === undefined) this.#directories.delete(directory);
    }
  }
}
