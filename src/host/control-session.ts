import { type ClientHttp2Session, connect } from "node:http2";
import { ControlError } from "../io.ts";

/**
 * Bytes the server may send ahead on one request: a report's page fits. The window of the whole session is left alone: after
 * `setLocalWindowSize` Bun's client grants no more on single requests, and an answer over their window never ends.
 */
const streamWindowBytes = 1 << 20;

/** One HTTP/2 session: connects when made, never again after it died. Keeps the process alive only while it is held. */
export class ControlSession {
  readonly address: string;
  readonly http: ClientHttp2Session;
  /** Rejects with the reason where no connection came about. */
  readonly connected: Promise<void>;
  isConnected = false;
  /** Monotonic instant at which anything last came from the server. */
  heardMs = 0;
  #inFlight = 0;
  #retired = false;

  constructor(address: string) {
    this.address = address;
    this.http = connect(`http://${address}`, { settings: { initialWindowSize: streamWindowBytes, enablePush: false } });
    this.http.unref();
    this.connected = new Promise((resolve, reject) => {
      this.http.once("connect", () => {
        this.isConnected = true;
        resolve();
      });
      this.http.on("error", (error: Error) => {
        this.#retired = true;
        reject(this.#refused(error.message));
      });
      this.http.once("close", () => {
        this.#retired = true;
        reject(this.#refused("closed"));
      });
      // No new request, those under way go on.
      this.http.once("goaway", () => this.retire());
    });
    this.connected.catch(() => {}); // each exchange sees it by itself
  }

  /** Takes new requests. After death a request would be accepted silently: so this is asked first. */
  get usable(): boolean {
    return !this.#retired && !this.http.destroyed && !this.http.closed;
  }

  /** For one request, until `release`. */
  hold(): void {
    if (this.#inFlight === 0) this.http.ref();
    this.#inFlight++;
  }

  release(): void {
    this.#inFlight--;
    if (this.#inFlight > 0) return;
    if (this.#retired) this.http.destroy();
    else this.http.unref();
  }

  /** Ends when the last request in flight does. */
  retire(): void {
    this.#retired = true;
    if (this.#inFlight === 0) this.http.destroy();
  }

  /** Breaks what is in flight. */
  close(): void {
    this.#retired = true;
    this.http.destroy();
  }

  #refused(reason: string): ControlError {
    return new ControlError("refused", true, `Cannot connect to ${this.address}: ${reason}`);
  }
}
