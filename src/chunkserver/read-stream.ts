/** A read at one server (DESIGN §4.4): who may see which bytes, and their way out at the pace of the reader. */
import { unreachable } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import { protocol } from "../limits.ts";
import { encodeBlockHeader } from "../wire/data/blocks.ts";
import type { Frame } from "../wire/data/frame.ts";
import { decodeHeader, encodeHeader, Read, ReadEnd } from "../wire/data/headers.ts";
import { operatingError, type Context } from "./context.ts";
import { servableLength } from "./core/member.ts";
import type { ChunkVersion } from "../wire/ids.ts";
import type { DataStream, StreamReply } from "./data-stream.ts";
import type { Replica } from "./store/store.ts";

type ReadHeader = ReturnType<typeof decodeHeader<typeof Read>>;

/** Runs that may wait to leave at a time, besides what the window allows: their memory is used again then. */
const runsKept = 3;
/** Below the whole of them, so that a run that isn't full can't make room for one more. */
const queuedBytesMax = (runsKept - 1) * protocol.dataFrameBytesMax;
/** A reader that takes nothing for this long loses its stream: it can go on from the same byte at any replica. */
const readerStallMs = 60_000;
/** A finish reads the chunk back once. */
const finishRetryMs = 20;

export interface Readable {
  /** Exclusive: bytes from here on are not served. */
  readonly end: number;
  /** The replica may still grow. */
  readonly open: boolean;
}

/** Whoever names this version knows from the master that the chunk is sealed, and this member has not heard of it: it is fenced for just that seal. */
export function awaitsFinish({ state, promisedVersion }: Replica, version: ChunkVersion): boolean {
  return state === "fenced" && promisedVersion === version;
}

/**
 * What of a replica this read may have.
 * @throws GfsError ReplicaMissing | VersionStale | Corrupt | Busy (its finish is yet to come)
 */
export function readableEnd(replica: Replica | undefined, read: ReadHeader, committed: number): Readable {
  const what = `Cannot read chunk ${read.handle} at version ${read.version}`;
  if (replica === undefined || replica.state === "writing")
    throw new GfsError("ReplicaMissing", `${what}: it is not on this volume`);
  if (replica.state === "corrupt") throw new GfsError("Corrupt", `${what}: this replica is corrupt`);
  const sealed = replica.state === "sealed";
  // A fenced replica carries the fence's version in its promise, and keeps the old one in its bytes.
  const fencedFor = awaitsFinish(replica, read.version);
  if (fencedFor && read.purpose !== "tail")
    throw new GfsError("Busy", `${what}: its seal is yet to be confirmed here`, { retryAfterMs: finishRetryMs });
  if (!fencedFor && replica.dataVersion !== read.version)
    throw new GfsError("VersionStale", `${what}: this replica has ${replica.dataVersion}`);
  switch (read.purpose) {
    case "tail":
      if (!fencedFor && !sealed) throw new GfsError("VersionStale", `${what}: it is not fenced here`);
      return { end: replica.length, open: false };
    case "clone":
      if (!sealed) throw new GfsError("ReplicaMissing", `${what}: it is not sealed here`);
      return { end: replica.length, open: false };
    case "read":
      if (sealed) return { end: replica.length, open: false };
      return { end: servableLength({ committed, durable: replica.length }, read.committed), open: true };
    default:
      return unreachable(read.purpose);
  }
}

/** Only a primary of this start knows the end of an open chunk: a reader who was told less by another would take it for the end of the file. */
export interface ReaderRole {
  readonly kind: "primary" | "secondary";
  readonly committed: number;
}

export class ReadStream implements DataStream {
  readonly #context: Context;
  readonly #reply: StreamReply;
  readonly #window: () => number;
  readonly #abort = new AbortController();
  #queued = 0;
  #movedMs: number;

  constructor(context: Context, reply: StreamReply, window: () => number) {
    this.#context = context;
    this.#reply = reply;
    this.#window = window;
    this.#movedMs = context.world.clock.monotonicMs();
  }

  /** `roleOf`: what this start of the volume is to a chunk that isn't sealed. @throws GfsError that refuses the read */
  start(frame: Frame, roleOf: (handle: ReadHeader["handle"]) => ReaderRole | undefined): void {
    const { store } = this.#context;
    const read = decodeHeader(Read, frame.header);
    if (read.volume !== store.volume)
      throw new GfsError("ReplicaMissing", `Cannot read chunk ${read.handle}: this is volume ${store.volume}`);
    const role = roleOf(read.handle);
    const readable = readableEnd(store.replica(read.handle), read, role?.committed ?? 0);
    if (readable.open && read.committed === undefined && role?.kind !== "primary")
      throw new GfsError(
        "NotPrimary",
        `Cannot tell how far chunk ${read.handle} at version ${read.version} may be read: this volume is not its primary`,
      );
    this.#serve(read, readable).catch((thrown: unknown) => this.#fail(thrown));
  }

  accept(frame: Frame): undefined {
    if (frame.type !== "readCancel") throw new GfsError("ProtocolError", `Cannot take a ${frame.type} frame in a read`);
    this.#abort.abort();
    return undefined;
  }

  check(nowMs: number): void {
    const queued = this.#reply.queuedBytes;
    if (queued < this.#queued || queued === 0) this.#movedMs = nowMs;
    this.#queued = queued;
    if (nowMs - this.#movedMs < readerStallMs) return;
    this.#fail(new GfsError("Timeout", `Cannot send a chunk: its reader took nothing for ${readerStallMs} ms`));
  }

  abandon(): void {
    this.#abort.abort();
  }

  async #serve(read: ReadHeader, { end, open }: Readable): Promise<void> {
    const length = Math.max(0, Math.min(read.length, end - read.offset));
    let bytes = 0;
    if (length > 0) {
      const { signal } = this.#abort;
      try {
        const range = { offset: read.offset, length, runsKept, signal };
        for await (const run of this.#context.store.read(read.handle, range)) {
          this.#reply.send("readData", encodeBlockHeader(run.offset, run.crcs), run.payload);
          bytes += run.bytes;
          const window = Math.min(this.#window(), queuedBytesMax);
          if (this.#reply.queuedBytes > window) await this.#reply.sent(window);
          if (signal.aborted) break;
        }
      } catch (thrown) {
        if (!signal.aborted) throw thrown;
      }
    }
    // After a cancel too, so that the reader knows where the stream ended and can use the connection again.
    this.#reply.done("readEnd", encodeHeader(ReadEnd, { bytes, end, open }));
  }

  #fail(thrown: unknown): void {
    this.#abort.abort();
    this.#reply.fail(operatingError(this.#context, thrown), this.#context.store.volume);
  }
}
