/** All chunks of a draft, several at a time, each tried on other chains until it is safe (DESIGN §4.2). */
import { GfsError } from "../base/errors.ts";
import { backoffMs } from "../net/backoff.ts";
import { sleep } from "../net/deadline.ts";
import type { Placement } from "../wire/control/common.ts";
import { chunkAllocate, draftAbort, type WrittenChunk } from "../wire/control/files.ts";
import { type DraftId, type InodeId, rootInode, type VolumeId } from "../wire/ids.ts";
import { type ClientContext, inBackground, Operation, unlessAborted } from "./context.ts";
import { askMaster } from "./retry.ts";
import type { ChunkSource, OpenSource } from "./sources.ts";
import { ChainFailure, PieceRing, writeChunk } from "./write-chunk.ts";
import { wholeBytesMax, writeWhole } from "./write-whole.ts";

/** The master takes no longer list of volumes to avoid. */
const excludedMax = 256;

export interface DraftWrite {
  readonly draft: DraftId;
  readonly chunkBytes: number;
  /** For the first chunk, where the master gave one with the draft. */
  readonly placement: Placement | undefined;
  readonly source: OpenSource;
  /** For the chunks' trailers; the inode of a put is not known before its commit. */
  readonly path: string;
  readonly inode?: InodeId | undefined;
  readonly onProgress?: ((doneBytes: number, totalBytes: number | undefined) => void) | undefined;
}

/**
 * Writes everything that the source has; the chunks in order.
 *
 * @throws GfsError of the source, of the master (NoSpace, TooFewServers, DraftEnded …), or of the last server that failed, after `retryAttempts` repetitions of one chunk
 */
export async function writeDraft(ctx: ClientContext, op: Operation, write: DraftWrite): Promise<WrittenChunk[]> {
  using inner = Operation.under(ctx, op);
  const run = new DraftWriter(ctx, inner, write);
  // A small file is one chunk: no second worker is worth its promise.
  const { bytes } = write.source;
  const chunks = bytes === undefined ? Number.POSITIVE_INFINITY : Math.ceil(bytes / write.chunkBytes);
  const workers = Math.max(1, Math.min(ctx.limits.parallelChunks, chunks));
  await Promise.all(Array.from({ length: workers }, () => run.work()));
  op.check();
  return await run.finish();
}

/** Gives up a draft, without waiting. */
export function abortDraft(ctx: ClientContext, draft: DraftId): void {
  ctx.alive.drafts.delete(draft);
  const options = { timeoutMs: ctx.limits.controlMs };
  inBackground(ctx, "abort a draft", ctx.control.call(ctx.master, draftAbort, { draft }, options));
}

class DraftWriter {
  readonly #ctx: ClientContext;
  readonly #op: Operation;
  readonly #write: DraftWrite;
  readonly #written: WrittenChunk[] = [];
  readonly #excluded = new Set<VolumeId>();
  #placement: Placement | undefined;
  #nextChunk = 0;
  #taking: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #sentBytes = 0;
  #toldBytes = 0;

  constructor(ctx: ClientContext, op: Operation, write: DraftWrite) {
    this.#ctx = ctx;
    this.#op = op;
    this.#write = write;
    this.#placement = write.placement;
  }

  /** After all workers ended. */
  async finish(): Promise<WrittenChunk[]> {
    if (this.#failure !== undefined) throw this.#failure.error;
    await this.#write.source.verify();
    return this.#written;
  }

  /** Chunk after chunk, until the source ends or any worker has failed: `finish` tells. */
  async work(): Promise<void> {
    const ring = new PieceRing();
    try {
      for (;;) {
        const taken = await unlessAborted(this.#op, this.#take());
        if (taken === undefined || this.#failure !== undefined) return;
        this.#op.progress();
        this.#written[taken.index] = await this.#writeOne(taken, ring);
        taken.source.release();
      }
    } catch (error) {
      this.#failure ??= { error };
      this.#op.stop(new GfsError("Interrupted", "another chunk failed"));
    }
  }

  /** One worker at a time asks the source. */
  #take(): Promise<{ index: number; fileOffset: number; source: ChunkSource } | undefined> {
    const taking = this.#taking.then(async () => {
      const chunk = await this.#write.source.nextChunk(this.#write.chunkBytes);
      return chunk === undefined ? undefined : { index: this.#nextChunk++, ...chunk };
    });
    this.#taking = taking.catch(() => {});
    return taking;
  }

  async #writeOne(chunk: { fileOffset: number; source: ChunkSource }, ring: PieceRing): Promise<WrittenChunk> {
    const { path, inode = rootInode, chunkBytes } = this.#write;
    const { source, fileOffset } = chunk;
    for (let failures = 0; ;) {
      const placement = await this.#place(source.bytes);
      let sentBytes = 0;
      const onSent = (bytes: number): void => {
        sentBytes += bytes;
        this.#sent(bytes);
      };
      const origin = { inode, path, fileOffset };
      try {
        const write = { placement, chunkBytes, origin, source, onSent };
        const attempt = source.bytes <= wholeBytesMax(this.#ctx.limits) ? writeWhole : writeChunk;
        return await attempt(this.#ctx, this.#op, write, ring);
      } catch (error) {
        if (!(error instanceof ChainFailure)) throw error;
        this.#sent(-sentBytes);
        failures++;
        await this.#afterFailure(error, failures, placement);
      }
    }
  }

  async #afterFailure({ volume, reason }: ChainFailure, failures: number, placement: Placement): Promise<void> {
    const { world, limits } = this.#ctx;
    const fields = { chunk: placement.handle, volume, reason: reason.message };
    world.events.emit("info", "put.chain-failed", fields);
    if (volume !== undefined && this.#excluded.size < excludedMax) this.#excluded.add(volume);
    if (failures > limits.retryAttempts || this.#failure !== undefined || this.#op.deadline.expired)
      throw new GfsError(reason.code, reason.message, { details: reason.details, cause: reason });
    const ms = Math.max(reason.retryAfterMs ?? 0, failures === 1 ? 0 : backoffMs(failures, world.random));
    if (ms > 0) await sleep(world.clock, ms, this.#op.signal);
  }

  async #place(bytes: number): Promise<Placement> {
    const given = this.#placement;
    this.#placement = undefined;
    if (given !== undefined) return given;
    const { placement } = await askMaster(this.#ctx, this.#op, chunkAllocate, {
      draft: this.#write.draft,
      bytes,
      excluded: [...this.#excluded],
      ...this.#ctx.whereabouts,
    });
    return placement;
  }

  /** Progress never goes back, though a chunk may be sent again. */
  #sent(bytes: number): void {
    this.#sentBytes += bytes;
    if (this.#sentBytes <= this.#toldBytes) return;
    this.#toldBytes = this.#sentBytes;
    this.#write.onProgress?.(this.#toldBytes, this.#write.source.bytes);
  }
}
