/** Whether the disk under a volume can still be trusted (DESIGN §4.5): a failed sync or an I/O error retires the volume for good. */
import { GfsError } from "../../base/errors.ts";
import { DiskError, type Events } from "../../io.ts";

export class Retirement {
  readonly #events: Events;
  readonly #listeners = new Set<(reason: string) => void>();
  #reason: string | undefined;

  constructor(events: Events) {
    this.#events = events;
  }

  get reason(): string | undefined {
    return this.#reason;
  }

  retire(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#events.emit("error", "volume.retired", { reason });
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener(reason);
  }

  onRetire(listener: (reason: string) => void): () => void {
    if (this.#reason !== undefined) {
      listener(this.#reason);
      return () => undefined;
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws GfsError("VolumeRetired") */
  check(): void {
    if (this.#reason !== undefined) throw this.error();
  }

  error(): GfsError {
    return new GfsError("VolumeRetired", `Cannot use this volume: it is retired, ${this.#reason ?? "it failed"}`);
  }

  /**
   * Runs work on the disk. A full disk concerns the work alone: NoSpace. A missing file concerns its replica: ReplicaMissing. All else, the disk:
   * the volume retires.
   */
  async attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
    this.check();
    try {
      return await work();
    } catch (error) {
      throw this.translate(what, error);
    }
  }

  translate(what: string, error: unknown): unknown {
    if (error instanceof GfsError && error.code === "DiskFailed") {
      this.retire(error.message);
      return this.error();
    }
    if (!(error instanceof DiskError)) return error;
    if (error.kind === "full") return new GfsError("NoSpace", `Cannot ${what}: the disk is full`, { cause: error });
    if (error.kind === "missing")
      return new GfsError("ReplicaMissing", `Cannot ${what}: ${error.message}`, { cause: error });
    this.retire(error.message);
    return this.error();
  }
}
