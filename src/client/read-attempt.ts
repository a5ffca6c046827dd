/** One replica that was asked for the rest of a part, and how quick it was. */
import { GfsError } from "../base/errors.ts";
import type { ReplicaAddress } from "../wire/control/common.ts";
import type { BlockRun } from "../wire/data/blocks.ts";
import type { ClientContext, Operation } from "./context.ts";
import { type ChunkRange, connectTo, ReplicaRead } from "./read-replica.ts";

export type Outcome =
  | { readonly kind: "run"; readonly attempt: ReadAttempt; readonly run: BlockRun }
  | { readonly kind: "failed"; readonly attempt: ReadAttempt; readonly error: unknown };

export class ReadAttempt {
  readonly replica: ReplicaAddress;
  readonly #ctx: ClientContext;
  readonly #range: ChunkRange;
  readonly #opened: Promise<ReplicaRead>;
  readonly #askedMs: number;
  #read: ReplicaRead | undefined;
  #over = false;
  /** Something was expected of it. */
  #used = false;
  #runs = 0;
  #bytes = 0;
  #waitedMs = 0;

  /** Asks at once; what is wrong with the server shows in `next`. */
  constructor(ctx: ClientContext, op: Operation, replica: ReplicaAddress, range: ChunkRange) {
    this.#ctx = ctx;
    this.replica = replica;
    this.#range = range;
    this.#askedMs = ctx.world.clock.monotonicMs();
    ctx.hedges.earn();
    this.#opened = this.#open(op);
    this.#opened.catch(() => {});
  }

  get used(): boolean {
    return this.#used;
  }

  /** Its connection had waited for its use: a failure may say nothing about the server. */
  get wasIdle(): boolean {
    return this.#read?.wasIdle === true;
  }

  /** Received of a run that is not whole yet. */
  get partBytes(): number {
    return this.#read?.partBytes ?? 0;
  }

  /** The next run of bytes; a replica that has no more of them has failed. Never rejects. */
  async next(): Promise<Outcome> {
    const { clock } = this.#ctx.world;
    const startMs = clock.monotonicMs();
    // Where it was asked ahead of its use, how long its first byte took is not known.
    const fresh = !this.#used && startMs - this.#askedMs < 1;
    this.#used = true;
    try {
      const step = await (await this.#opened).next();
      if (step.kind === "end") return { kind: "failed", attempt: this, error: this.#tooShort(step.end) };
      const waitedMs = clock.monotonicMs() - startMs;
      if (fresh) this.noteFirst(waitedMs);
      else if (this.#runs > 0) this.#waitedMs += waitedMs;
      if (this.#runs++ > 0) this.#bytes += step.run.bytes;
      return { kind: "run", attempt: this, run: step.run };
    } catch (error) {
      return { kind: "failed", attempt: this, error };
    }
  }

  /** What other reads of this client should know: it took so long, or longer. */
  noteFirst(waitedMs: number): void {
    this.#ctx.speeds.noteFirst(this.replica.volume, waitedMs, this.#ctx.world.clock.monotonicMs());
  }

  /** Lets go, wherever it is; nothing of it comes out any more. Idempotent. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#read?.close();
    const stream = { waitedMs: this.#waitedMs, bytes: this.#bytes };
    this.#ctx.speeds.noteStream(this.replica.volume, stream, this.#ctx.world.clock.monotonicMs());
  }

  async #open(op: Operation): Promise<ReplicaRead> {
    const frames = await connectTo(this.#ctx, op, this.replica, this.#range.handle);
    if (this.#over) {
      // Nobody waits for it any more: the server is not asked at all.
      this.#ctx.pool.give(frames);
      throw new GfsError("Interrupted", `Cannot read chunk ${this.#range.handle}: another replica was quicker`);
    }
    this.#read = ReplicaRead.begin(this.#ctx, op, { replica: this.replica, frames }, this.#range);
    return this.#read;
  }

  #tooShort(end: number): GfsError {
    const { handle, version } = this.#range;
    return new GfsError("VersionStale", `Cannot read chunk ${handle} at version ${version}: a replica ends at ${end}`);
  }
}
