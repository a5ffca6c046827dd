/** All chunks of a draft, several at a time, each tried on other chains until it is safe (DESIGN §4.2). */
import { type ErrorCode, GfsError, hasCode } from "../base/errors.ts";
import { backoffMs } from "../net/backoff.ts";
import { Deadline, sleep } from "../net/deadline.ts";
import type { Placement } from "../wire/control/common.ts";
import { chunkAllocate, draftAbort, draftWritten, type WrittenChunk } from "../wire/control/files.ts";
import { type ChunkHandle, type DraftId, type InodeId, rootInode, type VolumeId } from "../wire/ids.ts";
import { type ClientContext, inBackground, Operation } from "./context.ts";
import { askMaster, backOff, gaveUp } from "./retry.ts";
import type { ChunkSource, OpenSource } from "./sources.ts";
import { ChainFailure, PieceRing, writeChunk } from "./write-chunk.ts";
import { wholeBytesMax, writeWhole } from "./write-whole.ts";

/** The master takes no longer list of volumes to avoid. */
const excludedMax = 256;

/** A volume that failed so has too much to do: it may be had again, unlike one that is full or gone. */
const passing: readonly ErrorCode[] = ["Timeout", "Busy"];

export interface DraftWrite {
  readonly draft: DraftId;
  readonly chunkBytes: number;
  /** For the first chunk, where the master gave one with the draft. */
  readonly placement: Placement | undefined;
  readonly source: OpenSource;
  /** For the chunks' trailers; the inode of a put is not known before its commit. */
  readonly path: string;
  readonly inode?: InodeId | undefined;
  /** Of its first byte in the file, in bytes, as far as it is known: what is appended may come to lie further behind. */
  readonly fileOffset: number;
  readonly onProgress?: ((doneBytes: number, totalBytes: number | undefined) => void) | undefined;
}

export interface WrittenDraft {
  /** All, in order. */
  readonly chunks: readonly WrittenChunk[];
  /** What the commit says: the last page of chunks, and the list of those that were named before. */
  readonly named: { readonly draft: DraftId; readonly first?: ChunkHandle; readonly chunks: WrittenChunk[] };
}

/**
 * Writes everything that the source has, and names all but the last page of its chunks to the master.
 *
 * @throws GfsError of the source, of the master (NoSpace, TooFewServers, DraftEnded …), or of the last server that failed, after `retryAttempts` repetitions of one chunk
 */
export async function writeDraft(ctx: ClientContext, op: Operation, write: DraftWrite): Promise<WrittenDraft> {
  const { bytes } = write.source;
  const chunks = bytes === undefined ? Number.POSITIVE_INFINITY : Math.ceil(bytes / write.chunkBytes);
  const workers = Math.max(1, Math.min(ctx.limits.parallelChunks, chunks));
  // A small file is one chunk: there is no other worker, and none to stop.
  using inner = workers === 1 ? undefined : Operation.under(ctx, op);
  const run = new DraftWriter(ctx, inner ?? op, write);
  const work = (): Promise<void> =>
    run.work(chunks).catch(() => inner?.stop(new GfsError("Interrupted", "another chunk failed")));
  await Promise.all(Array.from({ length: workers }, work));
  op.check();
  const written = await run.finish();
  return { chunks: written, named: await nameChunks(ctx, op, write.draft, written) };
}

/** One page after the other: the master takes none before those in front of it. */
async function nameChunks(
  ctx: ClientContext,
  op: Operation,
  draft: DraftId,
  chunks: readonly WrittenChunk[],
): Promise<WrittenDraft["named"]> {
  const page = ctx.limits.writtenPage;
  const first = chunks[0]?.handle;
  if (first === undefined || chunks.length <= page) return { draft, chunks: [...chunks] };
  let from = 0;
  for (; chunks.length - from > page; from += page) {
    await askMaster(ctx, op, draftWritten, { draft, first, from, chunks: chunks.slice(from, from + page) });
    op.progress();
  }
  return { draft, first, chunks: chunks.slice(from) };
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
  /** Volumes to avoid, with how they failed. */
  readonly #excluded = new Map<VolumeId, ErrorCode>();
  /** How often no chain was left without some that may be had again. */
  #chances = 0;
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

  /** Chunk after chunk, until the source ends (after `chunks` of them) or any worker has failed. @throws what failed here; `finish` tells what failed first */
  async work(chunks: number): Promise<void> {
    const ring = new PieceRing();
    try {
      while (this.#nextChunk < chunks) {
        const taken = await this.#op.unlessAborted(this.#take());
        if (taken === undefined || this.#failure !== undefined) return;
        this.#op.progress();
        this.#written[taken.index] = await this.#writeOne(taken, ring);
        taken.source.release();
      }
    } catch (error) {
      this.#failure ??= { error };
      throw error;
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
    const { source } = chunk;
    const fileOffset = this.#write.fileOffset + chunk.fileOffset;
    let patience: Deadline | undefined;
    for (let failures = 0; ;) {
      const chances = this.#chances;
      const placement = await this.#place(source.bytes, patience);
      if (this.#chances > chances) failures = 0;
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
        patience ??= Deadline.in(this.#ctx.world.clock, this.#ctx.limits.clientTimeoutMs);
        await this.#afterFailure(error, failures, placement);
      }
    }
  }

  async #afterFailure({ volume, reason }: ChainFailure, failures: number, placement: Placement): Promise<void> {
    const { world, limits } = this.#ctx;
    const fields = { chunk: placement.handle, volume, reason: reason.message };
    world.events.emit("info", "put.chain-failed", fields);
    if (volume !== undefined && this.#excluded.size < excludedMax) this.#excluded.set(volume, reason.code);
    if (failures > limits.retryAttempts || this.#failure !== undefined || this.#op.deadline.expired)
      throw gaveUp(new GfsError(reason.code, reason.message, { details: reason.details, cause: reason }));
    const ms = Math.max(reason.retryAfterMs ?? 0, failures === 1 ? 0 : backoffMs(failures, world.random));
    if (ms > 0) await sleep(world.clock, ms, this.#op.signal);
  }

  async #place(bytes: number, patience: Deadline | undefined): Promise<Placement> {
    const given = this.#placement;
    this.#placement = undefined;
    if (given !== undefined) return given;
    for (;;) {
      try {
        return await this.#allocate(bytes);
      } catch (error) {
        if (!hasCode(error, "TooFewServers", "NoSpace") || patience?.expired !== false) throw error;
        await this.#otherChance(error);
      }
    }
  }

  async #allocate(bytes: number): Promise<Placement> {
    const { placement } = await askMaster(this.#ctx, this.#op, chunkAllocate, {
      draft: this.#write.draft,
      bytes,
      excluded: [...this.#excluded.keys()],
      ...this.#ctx.whereabouts,
    });
    return placement;
  }

  /** No chain can be had without the volumes that failed: after a while, with those that may have got over it. @throws the refusal where there is none, or no time */
  async #otherChance(refusal: GfsError): Promise<void> {
    const again = [...this.#excluded].filter(([, code]) => passing.includes(code)).map(([volume]) => volume);
    if (again.length === 0) throw refusal;
    this.#chances++;
    // Time for a server to be silent once more, and for the master to say again that there are too few.
    const needMs = 2 * this.#ctx.limits.putStallMs;
    await backOff(this.#ctx, this.#op, { failures: this.#chances, tryMs: needMs }, refusal);
    for (const volume of again) this.#excluded.delete(volume);
    this.#ctx.world.events.emit("info", "put.other-chance", { volumes: again.length, reason: refusal.message });
  }

  /** Progress never goes back, though a chunk may be sent again. */
  #sent(bytes: number): void {
    this.#sentBytes += bytes;
    if (this.#sentBytes <= this.#toldBytes) return;
    this.#toldBytes = this.#sentBytes;
    this.#write.onProgress?.(this.#toldBytes, this.#write.source.bytes);
  }
}
