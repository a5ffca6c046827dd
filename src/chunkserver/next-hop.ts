/** The next server of a put's chain: what is forwarded to it, and what it answers (DESIGN §4.2). */
import { defined } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import type { FrameConnection } from "../net/frame-connection.ts";
import type { FrameType } from "../wire/data/frame.ts";
import { decodeHeader, encodeHeader, WriteDone, WriteOpen } from "../wire/data/headers.ts";
import type { VolumeId } from "../wire/ids.ts";
import type { Context } from "./context.ts";
import { connectionFailure, failureOf } from "./remote-error.ts";

export type WriteOpenHeader = ReturnType<typeof decodeHeader<typeof WriteOpen>>;
export type WriteDoneHeader = ReturnType<typeof decodeHeader<typeof WriteDone>>;

/** `failed`: `volume` is the one that failed, as far as can be told from here. */
export type HopOutcome =
  | { readonly kind: "done"; readonly done: WriteDoneHeader }
  | { readonly kind: "failed"; readonly error: GfsError; readonly volume: VolumeId };

const streamId = 1;

export class NextHop {
  readonly volume: VolumeId;
  /** Never rejects. May come long before the end of the put, when it fails. */
  readonly outcome: Promise<HopOutcome>;
  readonly #context: Context;
  readonly #address: string;
  readonly #ready: Promise<FrameConnection>;
  #frames: FrameConnection | undefined;
  #over = false;

  /** Dials, and sends `open`, whose chain begins with the next server. */
  constructor(context: Context, open: WriteOpenHeader) {
    const next = defined(open.chain[0], "next server of a chain");
    this.volume = next.volume;
    this.#context = context;
    this.#address = next.data;
    this.#ready = this.#connect(open);
    this.outcome = this.#ready
      .then((frames) => this.#answer(frames))
      .catch((thrown: unknown) => {
        this.abort();
        // Others that wait for their next use are no better.
        context.pool.forget(this.#address);
        const error = connectionFailure(`pass chunk ${open.handle} on`, this.#address, thrown);
        return { kind: "failed", error, volume: this.volume };
      });
  }

  /** Bytes forwarded that have not left this machine. */
  get queuedBytes(): number {
    return this.#frames?.queuedBytes ?? 0;
  }

  /** Resolves when it can be forwarded to. Rejects as `outcome` says better. */
  async connected(): Promise<void> {
    await this.#ready;
  }

  forward(type: FrameType, header: Uint8Array, payload: readonly Uint8Array[] = []): void {
    this.#frames?.send(type, streamId, header, payload);
  }

  /** Resolves when at most `bytes` wait to leave. @throws StreamError("closed") */
  async sent(bytes: number): Promise<void> {
    if (this.#frames !== undefined && this.#frames.queuedBytes > bytes) await this.#frames.sent(bytes);
  }

  /** The put is off: the next server learns it from the reset. Idempotent. */
  abort(): void {
    this.#over = true;
    this.#frames?.close();
  }

  async #connect(open: WriteOpenHeader): Promise<FrameConnection> {
    const frames = await this.#context.pool.take(this.#address, this.#context.limits.connectMs);
    if (this.#over) {
      frames.close();
      throw new GfsError("Interrupted", "the put ended before it was connected");
    }
    this.#frames = frames;
    frames.send("writeOpen", streamId, encodeHeader(WriteOpen, open));
    return frames;
  }

  async #answer(frames: FrameConnection): Promise<HopOutcome> {
    for (;;) {
      const frame = await frames.read();
      if (frame === null) throw new GfsError("Unavailable", "it closed the connection");
      if (frame.type === "error") {
        const { error, volume } = failureOf(frame);
        this.abort();
        return { kind: "failed", error, volume: volume ?? this.volume };
      }
      if (frame.type !== "writeDone" || frame.stream !== streamId) continue;
      const done = decodeHeader(WriteDone, frame.header);
      this.#over = true;
      this.#frames = undefined;
      this.#context.pool.give(frames);
      return { kind: "done", done };
    }
  }
}
