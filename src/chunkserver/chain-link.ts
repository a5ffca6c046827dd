/** The way from a member of an open chunk's chain to the next one: records and committed lengths go down, votes come up (DESIGN §4.3). */
import { defined } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import type { FrameConnection } from "../net/frame-connection.ts";
import type { Chain } from "../wire/control/common.ts";
import { ChainOpen, encodeHeader } from "../wire/data/headers.ts";
import { decodeLength, encodeLength } from "../wire/data/records.ts";
import type { FrameType } from "../wire/data/frame.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import { operatingError, type Context } from "./context.ts";
import { connectionFailure, failureOf } from "./remote-error.ts";

/** A link has a connection of its own, with this one stream. */
const streamId = 1;

export interface ChainLinkOptions {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  /** From the next member on. */
  readonly chain: Chain;
  /** The next member has voted for `length`, and so have all below it. */
  readonly onVote: (length: number) => void;
  /** The next member refused (`refused` true), or the connection to it broke. The link is over; called at most once, and not after `close`. */
  readonly onFailure: (error: GfsError, refused: boolean) => void;
}

interface QueuedFrame {
  readonly type: FrameType;
  readonly header: Uint8Array;
  readonly payload: readonly Uint8Array[];
}

/**
 * Connects at once; frames sent before it is connected wait here. What is queued is bounded by its owner, who sends no more than it may leave unanswered.
 */
export class ChainLink {
  readonly #context: Context;
  readonly #options: ChainLinkOptions;
  #frames: FrameConnection | undefined;
  #queued: QueuedFrame[] = [];
  #over = false;

  constructor(context: Context, options: ChainLinkOptions) {
    this.#context = context;
    this.#options = options;
    this.#run().catch((thrown: unknown) => {
      operatingError(context, thrown);
      // Others that wait for their next use are no better.
      const address = options.chain[0]?.data;
      if (address !== undefined) context.pool.forget(address);
      this.#fail(this.#failure(thrown), false);
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** One record, with the header that the primary made for it. */
  append(header: Uint8Array, payload: readonly Uint8Array[]): void {
    this.#send({ type: "chainAppend", header, payload });
  }

  committed(length: number): void {
    this.#send({ type: "chainCommitted", header: encodeLength(length), payload: [] });
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#queued = [];
    this.#frames?.close();
  }

  #send(frame: QueuedFrame): void {
    if (this.#over) return;
    if (this.#frames === undefined) this.#queued.push(frame);
    else this.#frames.send(frame.type, streamId, frame.header, frame.payload);
  }

  async #run(): Promise<void> {
    const { handle, version, chain, onVote } = this.#options;
    const next = defined(chain[0], "next member of a chain");
    const frames = await this.#context.pool.take(next.data, this.#context.limits.connectMs);
    if (this.#over) return frames.close();
    this.#frames = frames;
    frames.send("chainOpen", streamId, encodeHeader(ChainOpen, { handle, version, chain }));
    for (const { type, header, payload } of this.#queued) frames.send(type, streamId, header, payload);
    this.#queued = [];
    for (;;) {
      const frame = await frames.read();
      if (this.#over) return;
      if (frame === null) throw new GfsError("Unavailable", "it closed the connection");
      if (frame.stream !== streamId && frame.stream !== 0) continue;
      if (frame.type === "chainPrepared") onVote(decodeLength(frame));
      else if (frame.type === "error") return this.#fail(failureOf(frame).error, true);
      else if (frame.type !== "chainOpened" && frame.type !== "pong")
        throw new GfsError("ProtocolError", `Cannot read a vote: a ${frame.type} frame came instead`);
    }
  }

  #failure(thrown: unknown): GfsError {
    const { handle, chain } = this.#options;
    return connectionFailure(`reach the next member of chunk ${handle}`, chain[0]?.data ?? "it", thrown);
  }

  #fail(error: GfsError, refused: boolean): void {
    if (this.#over) return;
    this.close();
    this.#options.onFailure(error, refused);
  }
}
