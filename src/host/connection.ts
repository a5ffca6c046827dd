import type { Socket } from "bun";
import { assert } from "../base/assert.ts";
import { byteLengthOf } from "../base/bytes.ts";
import { type Connection, StreamError } from "../io.ts";
import { countReceived, countSent } from "./buffer-garbage.ts";
import { SendQueue } from "./send-queue.ts";

/** Reading from the network stops when this much waits for the reader, and goes on when half of it is taken. */
const inboxBytesMax = 1 << 20;
/** How long `end` waits for progress of the other side: taking what is queued, then ending its half. */
const lingerMs = 5_000;

interface Reader {
  resolve(bytes: Uint8Array | null): void;
  reject(error: StreamError): void;
}

/** `open`; `ending`: `end()` was called; `closed`: the socket is gone or dropped. */
type State = "open" | "ending" | "closed";

/** A connection over one socket, which reports by the `on…` methods. */
export class HostConnection implements Connection {
  readonly remote: string;
  readonly #socket: Socket<HostConnection>;
  readonly #queue: SendQueue;
  #state: State = "open";
  readonly #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  #paused = false;
  #reader: Reader | undefined;
  /** The other side has ended its half. */
  #ended = false;
  #failure: StreamError | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket<HostConnection>, remote: string) {
    this.#socket = socket;
    this.remote = remote;
    this.#queue = new SendQueue(socket, () => this.#onEmpty());
  }

  get closed(): boolean {
    return this.#state !== "open";
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  read(): Promise<Uint8Array | null> {
    assert(this.#reader === undefined, "one reader at a time");
    const first = this.#inbox.shift();
    if (first !== undefined) {
      this.#inboxBytes -= first.length;
      if (this.#paused && this.#inboxBytes <= inboxBytesMax / 2) this.#resume();
      return Promise.resolve(first);
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended || this.#state !== "open") return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  send(pieces: readonly Uint8Array[]): void {
    if (this.#state !== "open") return;
    this.#queue.add(pieces);
    countSent(byteLengthOf(pieces));
  }

  sent(bytes = 0): Promise<void> {
    return this.#queue.atMost(bytes);
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#dropInbox();
    this.#answerReader(null);
    // What still arrives is read and dropped: a socket closed over unread bytes resets, and takes with it what was sent last.
    this.#resume();
    this.#armLinger();
    if (this.#queue.bytes === 0) this.#onEmpty();
    else this.#queue.flush();
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#dropInbox();
    this.#fail(new StreamError("closed", `The connection to ${this.remote} was closed here`));
    this.#socket.terminate();
  }

  onData(bytes: Uint8Array): void {
    countReceived(bytes.length);
    if (this.#state !== "open") return;
    if (this.#reader !== undefined) return this.#answerReader(bytes);
    this.#inbox.push(bytes);
    this.#inboxBytes += bytes.length;
    if (!this.#paused && this.#inboxBytes >= inboxBytesMax) {
      this.#paused = true;
      this.#socket.pause();
    }
  }

  onDrain(): void {
    this.#queue.onDrain();
  }

  onEnd(): void {
    this.#ended = true;
    this.#answerReader(null);
    if (this.#state === "ending" && this.#queue.bytes === 0) this.#socket.end();
  }

  /** Without an error after both sides ended, and where this side dropped it. */
  onClose(error: Error | undefined): void {
    if (this.#state === "closed") return;
    const clean = error === undefined && this.#queue.bytes === 0 && (this.#ended || this.#state === "ending");
    if (clean) {
      this.#state = "closed";
      clearTimeout(this.#linger);
      return this.#answerReader(null);
    }
    const reason = error === undefined ? "" : `: ${error.message}`;
    this.#fail(new StreamError("closed", `The connection to ${this.remote} was lost${reason}`));
  }

  #fail(failure: StreamError): void {
    this.#state = "closed";
    clearTimeout(this.#linger);
    this.#failure = failure;
    this.#queue.fail(failure);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(failure);
  }

  /** All queued bytes are with the operating system. */
  #onEmpty(): void {
    if (this.#state !== "ending") return;
    this.#socket.shutdown();
    if (this.#ended) this.#socket.end();
    // The rest is the system's work: it need not keep this process.
    else this.#socket.unref();
  }

  #armLinger(): void {
    const before = this.#queue.bytes;
    this.#linger = setTimeout(() => {
      const { bytes } = this.#queue;
      if (bytes === 0) this.#socket.end();
      else if (bytes < before) this.#armLinger();
      else this.close();
    }, lingerMs);
    this.#linger.unref();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #dropInbox(): void {
    this.#inbox.length = 0;
    this.#inboxBytes = 0;
  }

  #answerReader(bytes: Uint8Array | null): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(bytes);
  }
}
