import type { Expiring } from "../base/deadlines.ts";
import { ControlError, type ControlRequest, type ControlResponse } from "../io.ts";
import type { ControlSession } from "./control-session.ts";
import { encodeHeaderBlock, type HeaderField } from "./http2/hpack.ts";
import type { Http2Answer, Http2Call, Http2Failure, Http2Stream } from "./http2/http2-stream.ts";

/** One request and its answer, from the call to its deadline. Holds the session until it has ended. */
export class ControlExchange implements Http2Call, Expiring {
  readonly response: Promise<ControlResponse>;
  readonly dueMs: number;
  readonly #session: ControlSession;
  readonly #request: ControlRequest;
  readonly #heard: number;
  readonly #resolve: (response: ControlResponse) => void;
  readonly #reject: (error: ControlError) => void;
  readonly #onAbort = (): void => this.#fail("aborted", "aborted");
  #settled = false;
  #stream: Http2Stream | undefined;

  constructor(session: ControlSession, request: ControlRequest) {
    this.#session = session;
    this.#request = request;
    const { promise, resolve, reject } = Promise.withResolvers<ControlResponse>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#heard = session.heard;
    this.dueMs = performance.now() + request.timeoutMs;
    session.hold();
    session.deadlines.add(this);
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

  onAnswer({ status, fields, body }: Http2Answer): void {
    if (!this.#settle()) return;
    this.#resolve(new HttpAnswer(status, fields, body));
    this.#session.release();
  }

  onFailure({ reason, processed }: Http2Failure): void {
    if (processed === "perhaps") return this.#fail("closed", reason);
    // As if nobody had listened: the server surely did nothing, and another connection may serve.
    const { address } = this.#session;
    this.#settleError(new ControlError("refused", true, `Cannot call ${address}${this.#request.path}: ${reason}`));
  }

  /** A server that said nothing at all since this was sent may be unreachable: later calls connect anew. */
  expire(): void {
    if (this.#session.heard === this.#heard) this.#session.retire();
    this.#fail("timeout", `no answer in ${Math.round(this.#request.timeoutMs)} ms`);
  }

  #start(): void {
    if (this.#settled) return;
    // The session may have died, or been told to go, while this one waited: still nothing was sent.
    if (!this.#session.usable) return this.#fail("refused", "the connection ended before the request was sent");
    const { path, headers = {}, body } = this.#request;
    const fields: [name: string, value: string][] = [[":path", path]];
    for (const name in headers) if (name !== "content-length") fields.push([name, headers[name] ?? ""]);
    fields.push(["content-length", String(body.length)]);
    this.#stream = this.#session.request(encodeHeaderBlock(fields, this.#session.headersStart), body, this);
  }

  #fail(kind: ControlError["kind"], reason: string): void {
    const notSent = this.#stream === undefined || this.#stream.number === 0;
    const { address } = this.#session;
    this.#settleError(new ControlError(kind, notSent, `Cannot call ${address}${this.#request.path}: ${reason}`));
  }

  #settleError(error: ControlError): void {
    if (!this.#settle()) return;
    if (this.#stream !== undefined) this.#session.cancel(this.#stream);
    this.#reject(error);
    this.#session.release();
  }

  /** True the first time. */
  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#session.deadlines.remove(this);
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}

/** Most callers never look at the headers: they are converted when asked for. */
class HttpAnswer implements ControlResponse {
  readonly status: number;
  readonly body: Uint8Array;
  readonly #fields: readonly HeaderField[];

  constructor(status: number, fields: readonly HeaderField[], body: Uint8Array) {
    this.status = status;
    this.#fields = fields;
    this.body = body;
  }

  get headers(): Headers {
    const headers = new Headers();
    for (const { name, value } of this.#fields) if (!name.startsWith(":")) headers.append(name, value);
    return headers;
  }
}
