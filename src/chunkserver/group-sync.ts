/** Tells an open chunk how far its records are durable: once for each group commit, not once a record. */
import type { GfsError } from "../base/errors.ts";
import { operatingError, type Context } from "./context.ts";
import type { StorePosition } from "./store/store.ts";

export class GroupSync {
  readonly #context: Context;
  readonly #onSynced: (length: number) => void;
  readonly #onFailure: (error: GfsError) => void;
  /** Of the last record queued: its position in the volume log, and the chunk's length with it. */
  #position: StorePosition = 0;
  #length = 0;
  #synced = 0;
  #running = false;

  constructor(context: Context, onSynced: (length: number) => void, onFailure: (error: GfsError) => void) {
    this.#context = context;
    this.#onSynced = onSynced;
    this.#onFailure = onFailure;
  }

  /** A record was queued at `position`; the chunk is `length` bytes with it. */
  queued(position: StorePosition, length: number): void {
    this.#position = position;
    this.#length = length;
    if (this.#running) return;
    this.#running = true;
    this.#run().catch((thrown: unknown) => {
      this.#running = false;
      this.#onFailure(operatingError(this.#context, thrown));
    });
  }

  async #run(): Promise<void> {
    while (this.#synced < this.#length) {
      const length = this.#length;
      await this.#context.store.durable(this.#position);
      this.#synced = length;
      this.#onSynced(length);
    }
    this.#running = false;
  }
}
