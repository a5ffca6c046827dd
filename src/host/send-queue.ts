import type { StreamError } from "../io.ts";

/** What a queue needs of a socket: `write` returns the bytes taken, 0 when full, −1 when closed. */
export interface Sink {
  write(bytes: Uint8Array, offset: number, length: number): number;
}

/** Pieces up to here are copied together into one write; the rest of a longer one is written from where it lies. */
const gatherBytes = 64 * 1024;
/** With this much queued a write does not wait for the end of the turn. */
const flushAtBytes = 256 * 1024;

/** Shared by all queues: a write copies what it takes before it returns. */
const gathered = new Uint8Array(gatherBytes);

interface Waiter {
  readonly bytes: number;
  resolve(): void;
  reject(error: StreamError): void;
}

/** Pieces on their way to a socket, in order. Those added in one turn of the event loop leave in one write, where they fit. */
export class SendQueue {
  readonly #sink: Sink;
  readonly #onEmpty: () => void;
  #pieces: Uint8Array[] = [];
  /** Index of the first piece that is not wholly taken, and the bytes of it that are. */
  #head = 0;
  #headOffset = 0;
  #bytes = 0;
  #full = false;
  #scheduled = false;
  #failure: StreamError | undefined;
  #waiters: Waiter[] = [];

  constructor(sink: Sink, onEmpty: () => void) {
    this.#sink = sink;
    this.#onEmpty = onEmpty;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(pieces: readonly Uint8Array[]): void {
    if (this.#failure !== undefined) return;
    for (const piece of pieces) {
      if (piece.length === 0) continue;
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#full || this.#bytes === 0) return;
    if (this.#bytes >= flushAtBytes) return this.flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After all promises of this turn have settled: a stream's frames leave together though its sender waits between them. A write costs more than all else of a small frame.
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Gives the socket as much as it takes now. */
  flush(): void {
    if (this.#failure !== undefined || this.#bytes === 0) return;
    while (this.#bytes > 0 && !this.#full) {
      const first = this.#pieces[this.#head];
      if (first === undefined) break;
      const left = first.length - this.#headOffset;
      const direct = left >= gatherBytes || left === this.#bytes;
      const length = direct ? left : this.#gather();
      const taken = direct ? this.#sink.write(first, this.#headOffset, length) : this.#sink.write(gathered, 0, length);
      if (taken < 0) return; // the socket reports that it is closed
      this.#full = taken < length;
      this.#advance(taken);
    }
    this.#wake();
    if (this.#bytes === 0) this.#onEmpty();
  }

  onDrain(): void {
    this.#full = false;
    this.flush();
  }

  atMost(bytes: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#bytes <= bytes) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ bytes, resolve, reject });
    });
  }

  /** Drops what is queued. */
  fail(failure: StreamError): void {
    this.#failure = failure;
    this.#pieces = [];
    this.#head = 0;
    this.#bytes = 0;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(failure);
  }

  /** Copies from the head on, as much as fits; the count of bytes. */
  #gather(): number {
    let length = 0;
    let offset = this.#headOffset;
    for (let i = this.#head; i < this.#pieces.length && length < gatherBytes; i++) {
      const piece = this.#pieces[i];
      if (piece === undefined) break;
      const part = piece.subarray(offset, offset + gatherBytes - length);
      gathered.set(part, length);
      length += part.length;
      offset = 0;
    }
    return length;
  }

  #advance(taken: number): void {
    this.#bytes -= taken;
    let left = taken;
    while (left > 0) {
      const first = this.#pieces[this.#head];
      if (first === undefined) break;
      const rest = first.length - this.#headOffset;
      if (left < rest) {
        this.#headOffset += left;
        break;
      }
      left -= rest;
      this.#head++;
      this.#headOffset = 0;
    }
    if (this.#head === this.#pieces.length || this.#head >= 1024) {
      this.#pieces.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => waiter.bytes >= this.#bytes);
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.bytes < this.#bytes);
    for (const waiter of ready) waiter.resolve();
  }
}
