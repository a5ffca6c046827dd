import type { Socket, SocketHandler } from "bun";
import { assert } from "../base/assert.ts";
import { Deadlines } from "../base/deadlines.ts";
import { ControlError } from "../io.ts";
import { parseHostPort } from "./address.ts";
import { makeHostClock } from "./clock.ts";
import { encodeHeaderBlock } from "./http2/hpack.ts";
import { Http2Client } from "./http2/http2-client.ts";
import type { Http2Call, Http2Stream } from "./http2/http2-stream.ts";
import { SendQueue } from "./send-queue.ts";

const keepAliveMs = 30_000;

interface Opened {
  readonly socket: Socket;
  readonly queue: SendQueue;
  readonly http: Http2Client;
}

/** One HTTP/2 session: connects when made, never again after it died. Keeps the process alive only while it is held. */
export class ControlSession {
  readonly address: string;
  /** Rejects with the reason where no connection came about. */
  readonly connected: Promise<void>;
  readonly deadlines = new Deadlines(makeHostClock());
  /** What the headers of all requests begin with. */
  readonly headersStart: Uint8Array;
  #opened: Opened | undefined;
  #inFlight = 0;
  #retired = false;
  #dropped = false;

  constructor(address: string) {
    this.address = address;
    this.headersStart = encodeHeaderBlock([
      [":method", "POST"],
      [":scheme", "http"],
      [":authority", address],
    ]);
    this.connected = this.#connect();
    this.connected.catch(() => {}); // each exchange sees it by itself
  }

  get isConnected(): boolean {
    return this.#opened !== undefined;
  }

  /** Takes new requests. */
  get usable(): boolean {
    return !this.#retired && this.#opened?.http.usable !== false;
  }

  /** Grows with everything that the server says about any request. */
  get heard(): number {
    return this.#opened?.http.heard ?? 0;
  }

  /** On a session that is connected and usable. All requests of one turn of the event loop leave in one write. */
  request(block: Uint8Array, body: Uint8Array, call: Http2Call): Http2Stream {
    assert(this.#opened !== undefined, "a request before the connection");
    return this.#opened.http.request(block, body, call);
  }

  cancel(stream: Http2Stream): void {
    this.#opened?.http.cancel(stream);
  }

  /** For one request, until `release`. */
  hold(): void {
    if (this.#inFlight === 0) this.#opened?.socket.ref();
    this.#inFlight++;
  }

  release(): void {
    this.#inFlight--;
    if (this.#inFlight > 0) return;
    if (this.#retired) this.#drop("it was not used any more");
    else this.#opened?.socket.unref();
  }

  /** Ends when the last request in flight does. */
  retire(): void {
    this.#retired = true;
    if (this.#inFlight === 0) this.#drop("it was not used any more");
  }

  /** Breaks what is in flight. */
  close(): void {
    this.#drop("the channel was closed");
  }

  async #connect(): Promise<void> {
    const { host, port } = parseHostPort(this.address);
    const lost = (reason: string): void => this.#drop(reason);
    const socket: SocketHandler<undefined> = {
      binaryType: "uint8array",
      open: (opened) => this.#open(opened),
      data: (_, bytes) => this.#onData(bytes),
      drain: () => this.#opened?.queue.onDrain(),
      end: () => lost("the connection was lost: the server ended it"),
      close: (_, error) => lost(`the connection was lost${error === undefined ? "" : `: ${error.message}`}`),
      error: (_, error) => lost(`the connection was lost: ${error.message}`),
      // The rejection of Bun.connect says the same; without this the error would be reported as unhandled.
      connectError() {},
    };
    try {
      await Bun.connect({ hostname: host, port, socket });
    } catch (error) {
      this.#retired = true;
      throw this.#refused(error instanceof Error ? error.message : String(error));
    }
    if (this.#retired) throw this.#refused("closed");
  }

  #open(socket: Socket): void {
    if (this.#retired) {
      socket.terminate();
      return;
    }
    socket.setKeepAlive(true, keepAliveMs);
    if (this.#inFlight === 0) socket.unref();
    const queue = new SendQueue(socket, () => {});
    this.#opened = { socket, queue, http: new Http2Client((pieces) => queue.add(pieces)) };
  }

  #onData(bytes: Uint8Array): void {
    const http = this.#opened?.http;
    if (http === undefined) return;
    http.receive(bytes);
    // Broken, or told to go: no new request; those under way go on.
    if (!http.usable) this.retire();
    if (http.lost) this.#drop("the connection was lost");
  }

  #drop(reason: string): void {
    this.#retired = true;
    const opened = this.#opened;
    if (opened === undefined || this.#dropped) return;
    this.#dropped = true;
    opened.queue.flush();
    opened.http.lose(reason);
    opened.socket.terminate();
  }

  #refused(reason: string): ControlError {
    return new ControlError("refused", true, `Cannot connect to ${this.address}: ${reason}`);
  }
}
