import type { StreamError } from "../../../src/io.ts";

interface Waiter {
  readonly bytes: number;
  resolve(): void;
  reject(error: StreamError): void;
}

/** What a process wants sent and the system has not taken yet. Holds the caller's own pieces: a change of them shows. */
export class SimSendQueue {
  #pieces: Uint8Array[] = [];
  #head = 0;
  #headOffset = 0;
  #bytes = 0;
  #failure: StreamError | undefined;
  #waiters: Waiter[] = [];

  get bytes(): number {
    return this.#bytes;
  }

  add(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      if (piece.length === 0) continue;
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
  }

  /** A copy of the next bytes, at most so many. */
  take(bytesMax: number): Uint8Array {
    const taken = new Uint8Array(Math.min(bytesMax, this.#bytes));
    let done = 0;
    while (done < taken.length) {
      const piece = this.#pieces[this.#head]!;
      // A whole piece needs no view of it, which would cost more than the copy.
      const whole = this.#headOffset === 0 && piece.length <= taken.length - done;
      const part = whole ? piece : piece.subarray(this.#headOffset, this.#headOffset + taken.length - done);
      taken.set(part, done);
      done += part.length;
      this.#headOffset += part.length;
      if (this.#headOffset < piece.length) continue;
      this.#head++;
      this.#headOffset = 0;
    }
    this.#bytes -= taken.length;
    if (this.#head === this.#pieces.length || this.#head > 1024) {
      this.#pieces.splice(0, this.#head);
      this.#head = 0;
    }
    return taken;
  }

  atMost(bytes: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#bytes <= bytes) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ bytes, resolve, reject });
    });
  }

  wake(): void {
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => waiter.bytes >= this.#bytes);
    this.#waiters = this.#waiters.filter((waiter) => waiter.bytes < this.#bytes);
    for (const waiter of ready) waiter.resolve();
  }

  fail(failure: StreamError): void {
    this.#failure = failure;
    const waiters = this.#waiters;
    this.drop();
    for (const waiter of waiters) waiter.reject(failure);
  }

  /** Nobody waits any more. */
  drop(): void {
    this.#pieces = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#waiters = [];
  }
}
