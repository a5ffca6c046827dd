/**
 * A put stream at one server (DESIGN §4.2): each block is verified, written here and forwarded, at once; both the disk and the next server hold the stream back, so
 * that memory stays flat however slow either is. Ends with one acknowledgement from all, or with an error that names the volume that failed.
 */
import { asGfsError, GfsError } from "../base/errors.ts";
import { decodeBlocks } from "../wire/data/blocks.ts";
import type { Frame } from "../wire/data/frame.ts";
import { decodeHeader, encodeHeader, WriteDone, WriteEnd, WriteOpen } from "../wire/data/headers.ts";
import type { VolumeId } from "../wire/ids.ts";
import { operatingError, traceMutation, type Context } from "./context.ts";
import type { DataStream, StreamReply } from "./data-stream.ts";
import { NextHop, type HopOutcome, type WriteOpenHeader } from "./next-hop.ts";
import type { ChunkWriter } from "./store/store.ts";

/** A stream whose sender is silent holds a new chunk's space for so many times the time that a silent receiver is given. */
const silentSenderFactor = 3;

export class WriteStream implements DataStream {
  readonly #context: Context;
  readonly #reply: StreamReply;
  readonly #window: () => number;
  readonly #open: WriteOpenHeader;
  readonly #next: NextHop | undefined;
  readonly #writer: Promise<ChunkWriter>;
  #received = 0;
  #ended = false;
  #over = false;
  /** The writer ends by itself: there is nothing to abort any more. */
  #closing = false;
  /** For `check`: what the stream waits for, and when something last moved. */
  #waiting: "sender" | "disk" | "next" = "sender";
  #movedMs: number;
  #nextQueued = 0;

  /** `window`: bytes that may be on their way to the next server. @throws GfsError for a header that isn't for this volume */
  constructor(context: Context, reply: StreamReply, frame: Frame, window: () => number) {
    const open = decodeHeader(WriteOpen, frame.header);
    const [self, ...rest] = open.chain;
    if (self?.volume !== context.store.volume)
      throw new GfsError("ReplicaMissing", `Cannot write chunk ${open.handle}: this is volume ${context.store.volume}`);
    this.#context = context;
    this.#reply = reply;
    this.#window = window;
    this.#open = open;
    this.#movedMs = context.world.clock.monotonicMs();
    traceMutation(context, "START", open, { bytes: open.bytes, from: reply.remote });
    this.#writer = this.#begin();
    this.#next = rest.length === 0 ? undefined : new NextHop(context, { ...open, chain: rest });
    this.#writer.catch((thrown: unknown) => this.#fail(thrown, context.store.volume));
    this.#next?.outcome
      .then((outcome) => this.#hopEnded(outcome))
      .catch((thrown: unknown) => this.#fail(thrown, undefined));
  }

  accept(frame: Frame): Promise<void> | undefined {
    if (this.#over) return undefined;
    this.#moved("sender");
    if (frame.type === "writeAbort") {
      const why = `Cannot finish chunk ${this.#open.handle}: its sender gave up`;
      this.#fail(new GfsError("Interrupted", why), undefined);
      return undefined;
    }
    if (frame.type !== "writeData" && frame.type !== "writeEnd")
      throw new GfsError("ProtocolError", `Cannot take a ${frame.type} frame in a put`);
    if (this.#ended) throw new GfsError("ProtocolError", `Cannot take a ${frame.type} frame after the end of a chunk`);
    if (frame.type === "writeData") return this.#data(frame).catch((thrown: unknown) => this.#fail(thrown, undefined));
    this.#ended = true;
    this.#finish(frame).catch((thrown: unknown) => this.#fail(thrown, this.#context.store.volume));
    return undefined;
  }

  check(nowMs: number): void {
    if (this.#over) return;
    const queued = this.#next?.queuedBytes ?? 0;
    if (queued < this.#nextQueued) this.#movedMs = nowMs;
    this.#nextQueued = queued;
    const { putStallMs } = this.#context.limits;
    const silentMs = nowMs - this.#movedMs;
    const { handle, chain } = this.#open;
    if (this.#waiting === "sender") {
      if (silentMs >= putStallMs * silentSenderFactor)
        this.#fail(
          new GfsError("Timeout", `Cannot finish chunk ${handle}: its sender sent nothing for ${silentMs} ms`),
          undefined,
        );
      return;
    }
    // The last of the chain notices first, so that the one who is really silent is named.
    if (silentMs < putStallMs * (1 + (chain.length - 1) / 8)) return;
    const volume = this.#waiting === "next" ? this.#next?.volume : this.#context.store.volume;
    this.#fail(
      new GfsError(
        "Timeout",
        `Cannot write chunk ${handle}: volume ${volume ?? ""} made no progress for ${silentMs} ms`,
      ),
      volume,
    );
  }

  abandon(): void {
    this.#over = true;
    this.#letGo();
  }

  async #begin(): Promise<ChunkWriter> {
    const { handle, version, chunkBytes, bytes, origin } = this.#open;
    return this.#context.store.beginWrite({ handle, version, chunkBytes, bytes, origin, purpose: "put" });
  }

  async #data(frame: Frame): Promise<void> {
    const run = decodeBlocks(frame);
    if (run.offset !== this.#received)
      throw new GfsError(
        "ProtocolError",
        `Cannot take bytes at ${run.offset} of a new chunk: ${this.#received} come next`,
      );
    this.#received += run.bytes;
    const writer = await this.#ownWriter();
    if (this.#next !== undefined) {
      await this.#nextReady(this.#next);
      this.#next.forward("writeData", frame.header, frame.payload);
    }
    this.#moved("disk");
    try {
      await writer.write(run);
    } catch (thrown) {
      return this.#fail(thrown, this.#context.store.volume);
    }
    if (this.#next !== undefined && this.#next.queuedBytes > this.#window()) {
      this.#moved("next");
      // Its failure is told by `outcome`, better than by the connection.
      await this.#next.sent(this.#window()).catch(() => undefined);
    }
    this.#moved("sender");
  }

  async #ownWriter(): Promise<ChunkWriter> {
    this.#moved("disk");
    return this.#writer;
  }

  /** A next server that can't be reached fails the stream by `outcome`. */
  async #nextReady(next: NextHop): Promise<void> {
    this.#moved("next");
    await next.connected().catch(() => undefined);
  }

  async #finish(frame: Frame): Promise<void> {
    const end = decodeHeader(WriteEnd, frame.header);
    const writer = await this.#ownWriter();
    if (this.#next !== undefined) {
      await this.#nextReady(this.#next);
      this.#next.forward("writeEnd", frame.header);
    }
    this.#moved("disk");
    // It may have been given up while this waited.
    if (this.#over) return;
    this.#closing = true;
    await writer.close(end.length, end.crc);
    traceMutation(this.#context, "PREPARE", this.#open, end);
    if (this.#next === undefined) return this.#done(end, []);
    this.#moved("next");
    const outcome = await this.#next.outcome;
    if (outcome.kind === "failed") return;
    const { length, crc, volumes } = outcome.done;
    if (length === end.length && crc === end.crc) return this.#done(end, volumes);
    const why = `Cannot finish chunk ${this.#open.handle}: the next server closed other bytes`;
    this.#fail(new GfsError("Corrupt", why), this.#next.volume);
  }

  #done(end: { readonly length: number; readonly crc: number }, volumes: readonly VolumeId[]): void {
    if (this.#over) return;
    this.#over = true;
    traceMutation(this.#context, "COMMIT", this.#open, end);
    this.#reply.done(
      "writeDone",
      encodeHeader(WriteDone, { ...end, volumes: [this.#context.store.volume, ...volumes] }),
    );
  }

  #hopEnded(outcome: HopOutcome): void {
    if (outcome.kind === "failed") this.#fail(outcome.error, outcome.volume);
  }

  #fail(thrown: unknown, volume: VolumeId | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const error = operatingError(this.#context, thrown);
    traceMutation(this.#context, "ROLLBACK", this.#open, { reason: error.message, volume });
    this.#reply.fail(error, volume);
    this.#letGo();
  }

  #letGo(): void {
    this.#next?.abort();
    if (this.#closing) return;
    this.#writer
      .then((writer) => writer.abort())
      .catch((thrown: unknown) => {
        // It could not even begin, or the volume is retired: there is nothing to give back.
        this.#context.world.events.emit("debug", "put.abort", {
          chunk: this.#open.handle,
          reason: asGfsError(thrown).message,
        });
      });
  }

  #moved(waiting: "sender" | "disk" | "next"): void {
    this.#waiting = waiting;
    this.#movedMs = this.#context.world.clock.monotonicMs();
  }
}
