/** One read stream at one replica (DESIGN §4.4): verified runs of bytes, in order. */
import { GfsError, hasCode } from "../base/errors.ts";
import { withTimeout } from "../net/deadline.ts";
import { errorOfFrame, type FrameConnection } from "../net/frame-connection.ts";
import type { ReplicaAddress } from "../wire/control/common.ts";
import { type BlockRun, decodeBlocks } from "../wire/data/blocks.ts";
import type { Frame } from "../wire/data/frame.ts";
import { decodeHeader, encodeHeader, Read, ReadEnd } from "../wire/data/headers.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import { type ClientContext, inBackground, type Operation } from "./context.ts";
import { connectionError } from "./retry.ts";

const streamId = 1;

export interface ChunkRange {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  /** In the chunk. */
  readonly offset: number;
  readonly length: number;
  /** Of an open chunk: the length that its primary said is committed. */
  readonly committed?: number | undefined;
}

export type ReadStep =
  | { readonly kind: "run"; readonly run: BlockRun }
  /** `end`: length of the replica, as far as it may be read. */
  | { readonly kind: "end"; readonly end: number };

/** The server sends ahead as much as the connection takes; nothing is read from it until `next`. */
export class ReplicaRead {
  readonly #ctx: ClientContext;
  readonly #op: Operation;
  readonly #frames: FrameConnection;
  readonly #address: string;
  readonly #what: string;
  #at: number;
  readonly #end: number;
  readonly #onAbort: () => void;
  #over = false;

  private constructor(
    ctx: ClientContext,
    op: Operation,
    from: { frames: FrameConnection; address: string },
    range: ChunkRange,
  ) {
    this.#ctx = ctx;
    this.#op = op;
    this.#frames = from.frames;
    this.#address = from.address;
    this.#what = `read chunk ${range.handle} from ${from.address}`;
    this.#at = range.offset;
    this.#end = range.offset + range.length;
    this.#onAbort = () => this.#frames.close();
    op.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** @throws GfsError (Unavailable | Timeout | Denied …) where it can't be connected to */
  static async open(
    ctx: ClientContext,
    op: Operation,
    replica: ReplicaAddress,
    range: ChunkRange,
  ): Promise<ReplicaRead> {
    return ReplicaRead.begin(ctx, op, { replica, frames: await connectTo(ctx, op, replica, range.handle) }, range);
  }

  /** On a connection with nothing under way. @throws GfsError (Unavailable) where it is closed */
  static begin(
    ctx: ClientContext,
    op: Operation,
    { replica, frames }: { readonly replica: ReplicaAddress; readonly frames: FrameConnection },
    range: ChunkRange,
  ): ReplicaRead {
    const { handle, version, offset, length, committed } = range;
    const read = { volume: replica.volume, handle, version, offset, length, purpose: "read" as const };
    try {
      frames.send("read", streamId, encodeHeader(Read, committed === undefined ? read : { ...read, committed }));
    } catch (thrown) {
      throw connectionError(`read chunk ${handle}`, replica.data, thrown);
    }
    return new ReplicaRead(ctx, op, { frames, address: replica.data }, range);
  }

  /** Received of a run that is not whole yet: whether the server goes on sending. */
  get partBytes(): number {
    return this.#frames.partBytes;
  }

  /** True for a connection that had waited for its use: a failure may say nothing about the server. */
  get wasIdle(): boolean {
    return this.#ctx.pool.wasIdle(this.#frames);
  }

  /** @throws GfsError: what the server says, Corrupt where the bytes are wrong, Unavailable or Timeout where it is silent */
  async next(): Promise<ReadStep> {
    try {
      for (;;) {
        const frame = this.#frames.take() ?? (await this.#wait());
        if (frame === null) throw new GfsError("Unavailable", `Cannot ${this.#what}: it closed the connection`);
        if (frame.type === "error") throw errorOfFrame(frame, this.#address);
        if (frame.stream !== streamId) continue;
        if (frame.type === "readData") return { kind: "run", run: this.#run(frame) };
        if (frame.type === "readEnd") {
          const { end } = decodeHeader(ReadEnd, frame.header);
          this.#release("give");
          return { kind: "end", end };
        }
      }
    } catch (thrown) {
      this.#release("close");
      this.#op.check();
      throw connectionError(this.#what, this.#address, thrown);
    }
  }

  /** Lets go, wherever the read is. Idempotent. */
  close(): void {
    if (this.#at < this.#end || this.#over) return this.#release("close");
    this.#leave();
    inBackground(this.#ctx, "end a read", this.#giveAtEnd());
  }

  /** All bytes came, and the frame that ends them is on its way: then the connection serves the next read. */
  async #giveAtEnd(): Promise<void> {
    const { clock } = this.#ctx.world;
    const ms = this.#ctx.limits.readStallMs;
    try {
      for (;;) {
        const frame = this.#frames.take() ?? (await withTimeout(clock, ms, this.#what, () => this.#frames.read()));
        if (frame === null || frame.type === "error") return this.#frames.close();
        if (frame.stream === streamId && frame.type === "readEnd") return this.#ctx.pool.give(this.#frames);
      }
    } catch (error) {
      this.#frames.close();
      throw error;
    }
  }

  async #wait(): Promise<Frame | null> {
    const ms = this.#op.within(this.#ctx.limits.readStallMs);
    return withTimeout(this.#ctx.world.clock, ms, this.#what, () => this.#frames.read(), this.#op.signal);
  }

  #run(frame: Frame): BlockRun {
    const run = decodeBlocks(frame);
    if (run.offset !== this.#at || run.offset + run.bytes > this.#end)
      throw new GfsError("ProtocolError", `Cannot ${this.#what}: it sent other bytes than were asked for`);
    this.#at += run.bytes;
    return run;
  }

  #leave(): void {
    this.#over = true;
    this.#op.signal.removeEventListener("abort", this.#onAbort);
  }

  #release(how: "give" | "close"): void {
    if (this.#over) return;
    this.#leave();
    if (how === "give") this.#ctx.pool.give(this.#frames);
    else this.#frames.close();
  }
}

/** A connection to the replica's server. @throws GfsError (Unavailable | Timeout | Denied …) */
export async function connectTo(
  ctx: ClientContext,
  op: Operation,
  replica: ReplicaAddress,
  handle: ChunkHandle,
): Promise<FrameConnection> {
  try {
    return await ctx.pool.take(replica.data, op.within(ctx.limits.connectMs), op.signal);
  } catch (thrown) {
    op.check();
    throw connectionError(`read chunk ${handle}`, replica.data, thrown);
  }
}

/** How far an open chunk may be read now, as its primary says. @throws as `ReplicaRead` */
export async function askEnd(
  ctx: ClientContext,
  op: Operation,
  replica: ReplicaAddress,
  chunk: Pick<ChunkRange, "handle" | "version">,
): Promise<number> {
  for (let again = 0; ; again++) {
    const read = await ReplicaRead.open(ctx, op, replica, { ...chunk, offset: 0, length: 0 });
    const { wasIdle } = read;
    try {
      const step = await read.next();
      if (step.kind === "end") return step.end;
      throw new GfsError("ProtocolError", `Cannot read chunk ${chunk.handle}: ${replica.data} sent what was not asked`);
    } catch (error) {
      if (again === 1 || !wasIdle || !hasCode(error, "Unavailable")) throw error;
      ctx.pool.forget(replica.data);
    } finally {
      read.close();
    }
  }
}
