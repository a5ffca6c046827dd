import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from "node:http2";
import { concatBytes } from "../base/bytes.ts";
import { ControlError, type ControlRequest, type ControlResponse } from "../io.ts";
import type { ControlSession } from "./control-session.ts";

/** No answer of gfs comes near this; a server that sends more is broken. */
const responseBytesMax = 64 << 20;

/**
 * One request and its answer. Strict where the HTTP/2 client is not: a server that dies in the middle of a body yields "end" and
 * no error there, so an answer counts only with a status, a stream that ended without a reset, and all the bytes it declared.
 */
export class ControlExchange {
  readonly response: Promise<ControlResponse>;
  readonly #session: ControlSession;
  readonly #request: ControlRequest;
  readonly #resolve: (response: ControlResponse) => void;
  readonly #reject: (error: ControlError) => void;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #startedMs = performance.now();
  readonly #onAbort = (): void => this.#fail("aborted", "aborted");
  #settled = false;
  #stream: ClientHttp2Stream | undefined;
  #headers: (IncomingHttpHeaders & IncomingHttpStatusHeader) | undefined;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(session: ControlSession, request: ControlRequest) {
    this.#session = session;
    this.#request = request;
    const { promise, resolve, reject } = Promise.withResolvers<ControlResponse>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = setTimeout(() => this.#expire(), request.timeoutMs);
    request.signal?.addEventListener("abort", this.#onAbort);
    if (session.isConnected) this.#start();
    else {
      session.connected.then(
        () => this.#start(),
        (error: unknown) => {
          if (error instanceof ControlError) this.#settleError(error);
        },
      );
    }
  }

  #start(): void {
    if (this.#settled) return;
    // The session may have died, or been told to go, while this one waited: still nothing was sent.
    if (!this.#session.usable) return this.#fail("refused", "the connection ended before the request was sent");
    const { path, headers, body } = this.#request;
    const stream = this.#session.http.request({
      ":method": "POST",
      ":path": path,
      ...headers,
      "content-length": String(body.length),
    });
    this.#stream = stream;
    stream.on("response", (received) => {
      this.#session.heardMs = performance.now();
      this.#headers = received;
    });
    stream.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    stream.on("error", () => {}); // "close" follows, with the code
    stream.on("close", () => this.#onClose(stream.rstCode));
    stream.end(body);
  }

  #onData(chunk: Uint8Array): void {
    this.#session.heardMs = performance.now();
    this.#bytes += chunk.length;
    if (this.#bytes > responseBytesMax)
      return this.#fail("closed", `the answer is longer than ${responseBytesMax} bytes`);
    this.#chunks.push(chunk);
  }

  #onClose(resetCode: number | undefined): void {
    const headers = this.#headers;
    const status = headers?.[":status"];
    if (resetCode !== constants.NGHTTP2_NO_ERROR)
      return this.#fail("closed", `the connection was lost (code ${resetCode})`);
    if (headers === undefined || status === undefined) return this.#fail("closed", "it ended without an answer");
    const declared = headers["content-length"];
    // One that declares no length can be cut without a trace; Bun's server declares it for every body that is not a stream.
    if (declared === undefined && status !== 204) return this.#fail("closed", "the answer declares no length");
    if (Number(declared ?? 0) !== this.#bytes) {
      return this.#fail("closed", `the answer was cut: ${this.#bytes} of ${declared} bytes`);
    }
    if (this.#settle()) this.#resolve(new HttpAnswer(status, headers, concatBytes(this.#chunks)));
  }

  /** A server that said nothing at all since this was sent may be unreachable: later calls connect anew. */
  #expire(): void {
    if (this.#session.heardMs < this.#startedMs) this.#session.retire();
    this.#fail("timeout", `no answer in ${this.#request.timeoutMs} ms`);
  }

  #fail(kind: ControlError["kind"], reason: string): void {
    const notSent = this.#stream === undefined;
    const { address } = this.#session;
    this.#settleError(new ControlError(kind, notSent, `Cannot call ${address}${this.#request.path}: ${reason}`));
  }

  #settleError(error: ControlError): void {
    if (this.#settle()) this.#reject(error);
    if (this.#stream?.closed === false) this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  /** True the first time. */
  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}

/** Most callers never look at the headers: they are converted when asked for. */
class HttpAnswer implements ControlResponse {
  readonly status: number;
  readonly body: Uint8Array;
  readonly #raw: IncomingHttpHeaders;

  constructor(status: number, raw: IncomingHttpHeaders, body: Uint8Array) {
    this.status = status;
    this.#raw = raw;
    this.body = body;
  }

  get headers(): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(this.#raw)) {
      if (name.startsWith(":") || value === undefined) continue;
      for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one);
    }
    return headers;
  }
}
