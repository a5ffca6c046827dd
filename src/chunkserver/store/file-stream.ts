/** Bytes streaming into one data file: a bounded number behind, synced while they come so that the last sync is short. */
import type { DiskFile } from "../../io.ts";

/** Written and not yet taken by the system. Enough to keep the disk busy, small enough for hundreds of streams. */
const behindBytesMax = 2 * 1_048_576;
/** A sync begins in the background whenever this much is dirty. */
const syncEveryBytes = 8 * 1_048_576;

export class FileStream {
  readonly #file: DiskFile;
  #at: number;
  #behind = 0;
  #dirty = 0;
  #syncing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  readonly #writes = new Set<Promise<void>>();
  #wake: (() => void) | undefined;

  constructor(file: DiskFile, at: number) {
    this.#file = file;
    this.#at = at;
  }

  /** Queues the next bytes; resolves when more may come. @throws DiskError, of an earlier write or sync too */
  async write(pieces: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#throwFailure();
    const write = this.#write(pieces, this.#at, bytes);
    this.#at += bytes;
    this.#writes.add(write);
    // It never rejects: a failure is kept for the next call.
    write.then(() => this.#writes.delete(write)).catch(() => undefined);
    while (this.#behind > behindBytesMax) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#throwFailure();
  }

  /** Everything is written and synced. @throws DiskError */
  async finish(): Promise<void> {
    await this.#settle();
    this.#throwFailure();
    await this.#file.sync();
  }

  /** Nothing is in flight any more; the file is closed. */
  async close(): Promise<void> {
    await this.#settle();
    await this.#file.close();
  }

  async #settle(): Promise<void> {
    while (this.#writes.size > 0) await Promise.all(this.#writes);
    if (this.#syncing !== undefined) await this.#syncing;
  }

  async #write(pieces: readonly Uint8Array[], at: number, bytes: number): Promise<void> {
    this.#behind += bytes;
    try {
      await this.#file.write(pieces, at);
      this.#dirty += bytes;
      if (this.#dirty >= syncEveryBytes && this.#syncing === undefined) this.#syncing = this.#sync();
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#behind -= bytes;
      this.#wake?.();
      this.#wake = undefined;
    }
  }

  async #sync(): Promise<void> {
    this.#dirty = 0;
    try {
      await this.#file.sync();
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#syncing = undefined;
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
