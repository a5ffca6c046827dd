/** One call on an HTTP/2 connection: what is left to send of it, and what has come of its answer. */
import { concatBytes } from "../../base/bytes.ts";
import type { HeaderField } from "./hpack.ts";

export interface Http2Answer {
  readonly status: number;
  readonly fields: readonly HeaderField[];
  readonly body: Uint8Array;
}

/** `processed`: "no" where the server surely did nothing with it. */
export interface Http2Failure {
  readonly reason: string;
  readonly processed: "no" | "perhaps";
}

/** Told of its end, once. */
export interface Http2Call {
  onAnswer(answer: Http2Answer): void;
  onFailure(failure: Http2Failure): void;
}

type Outcome =
  { readonly kind: "answer"; readonly answer: Http2Answer } | { readonly kind: "broken"; readonly reason: string };

/** No answer of gfs comes near this; a server that sends more is broken. */
const answerBytesMax = 64 << 20;

export class Http2Stream {
  readonly block: Uint8Array;
  readonly body: Uint8Array;
  readonly call: Http2Call;
  /** 0 before it is sent. */
  number = 0;
  /** Bytes that the server takes now. */
  window = 0;
  sent = 0;
  /** Bytes of the answer that the server was not told that they were taken. */
  unacknowledged = 0;
  outcome: Outcome | undefined;
  #status = 0;
  #fields: readonly HeaderField[] = [];
  #declared: number | undefined;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(block: Uint8Array, body: Uint8Array, call: Http2Call) {
    this.block = block;
    this.body = body;
    this.call = call;
  }

  /** Of the body, still to be sent. */
  get left(): number {
    return this.body.length - this.sent;
  }

  open(number: number, window: number): void {
    this.number = number;
    this.window = window;
  }

  spend(bytes: number): void {
    this.sent += bytes;
    this.window -= bytes;
  }

  /** The answer's headers; those of a preliminary one, and what follows the body, are of no interest. */
  onFields(fields: readonly HeaderField[], atEnd: boolean): void {
    if (this.#status !== 0) {
      if (!atEnd) this.#break("its answer has headers within its body");
      return;
    }
    const text = fields[0]?.name === ":status" ? fields[0].value : "";
    if (!/^[1-5][0-9]{2}$/.test(text)) return this.#break("its answer has no status");
    const status = Number(text);
    if (status < 200) return;
    this.#status = status;
    this.#fields = fields;
    const declared = fields.find(({ name }) => name === "content-length")?.value;
    // One that declares no length can be cut without a trace; Bun's server declares it for every body that is not a stream.
    if (declared !== undefined) this.#declared = /^\d{1,15}$/.test(declared) ? Number(declared) : undefined;
    else if (status === 204) this.#declared = 0;
    if (this.#declared === undefined) this.#break("the answer declares no length");
  }

  onData(piece: Uint8Array): void {
    if (this.#status === 0) return this.#break("its answer begins without a status");
    this.#bytes += piece.length;
    if (this.#declared !== undefined && this.#bytes > this.#declared)
      return this.#break(`the answer is longer than the ${this.#declared} bytes it declared`);
    if (this.#bytes > answerBytesMax) return this.#break(`the answer is longer than ${answerBytesMax} bytes`);
    if (piece.length > 0) this.#pieces.push(piece);
  }

  /** The server has ended the stream. */
  onEnd(): void {
    if (this.outcome !== undefined) return;
    if (this.#status === 0) return this.#break("it ended without an answer");
    if (this.#bytes !== this.#declared)
      return this.#break(`the answer was cut: ${this.#bytes} of ${this.#declared} bytes`);
    const answer = { status: this.#status, fields: this.#fields, body: concatBytes(this.#pieces) };
    this.outcome = { kind: "answer", answer };
  }

  #break(reason: string): void {
    this.outcome ??= { kind: "broken", reason };
  }
}
