/** Put and clone streams: a small chunk is held and goes to the log whole, a larger one goes straight to its data file (DESIGN §4.7). */
import { assert } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import type { DiskFile } from "../../io.ts";
import type { BlockRun } from "../../wire/data/blocks.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import { BlockSums } from "./block-sums.ts";
import { FileStream } from "./file-stream.ts";
import type { Ground, RunningWriter } from "./ground.ts";
import { type SpaceHold, spaceUse } from "./space-account.ts";
import type { ChunkWriter, WriteOptions } from "./store.ts";
import { encodeTrailer } from "./trailer.ts";

/** Room that a `closed` record's header takes of a log entry, at most: a path of 4 096 characters and 16 block CRCs fit. */
const closedHeaderBytesMax = 16_384;

/** The most that a chunk may have to lie in the log; larger ones go to their data files. */
export function heldBytesMax({ limits, log }: Ground): number {
  return Math.min(limits.smallChunkBytesMax, log.entryBytesMax - closedHeaderBytesMax);
}

export class PutWriter implements ChunkWriter, RunningWriter {
  readonly #ground: Ground;
  readonly #options: WriteOptions;
  readonly #sums = new BlockSums();
  readonly #space: SpaceHold;
  #held: Uint8Array[] = [];
  #file: { readonly file: DiskFile; readonly stream: FileStream } | undefined;
  #failure: Error | undefined;
  #ended = false;
  /** Calls of `write` follow one another. */
  #writing: Promise<void> = Promise.resolve();

  /** The caller holds the handle's lock and has checked that the replica may be made. */
  constructor(ground: Ground, options: WriteOptions) {
    this.#ground = ground;
    this.#options = options;
    this.#space = ground.space.hold(options.bytes ?? 0, spaceUse(options.purpose));
    ground.writers.set(options.handle, this);
  }

  get handle(): ChunkHandle {
    return this.#options.handle;
  }

  get version(): number {
    return this.#options.version;
  }

  get length(): number {
    return this.#sums.length;
  }

  get crc(): number {
    return this.#sums.crc;
  }

  write(run: BlockRun): Promise<void> {
    const write = this.#writing.then(() => this.#write(run));
    this.#writing = write.catch(() => undefined);
    return write;
  }

  async #write(run: BlockRun): Promise<void> {
    this.#check();
    const { handle, chunkBytes } = this.#options;
    if (run.offset !== this.length) {
      throw this.#broken(
        new GfsError(
          "ProtocolError",
          `Cannot write chunk ${handle} at byte ${run.offset}: byte ${this.length} is next`,
        ),
      );
    }
    if (run.offset + run.bytes > chunkBytes) {
      throw this.#broken(new GfsError("ChunkFull", `Cannot write chunk ${handle}: it has at most ${chunkBytes} bytes`));
    }
    try {
      await this.#ground.space.refresh();
      this.#space.take(run.bytes, `write chunk ${handle}`);
      this.#sums.add(run.crcs, run.bytes);
      if (this.#file === undefined) {
        this.#held.push(...run.payload);
        if (Math.max(this.length, this.#options.bytes ?? 0) <= heldBytesMax(this.#ground)) return;
        await this.#spill();
      } else {
        await this.#file.stream.write(run.payload, run.bytes);
      }
    } catch (error) {
      throw this.#broken(this.#ground.retirement.translate(`write chunk ${handle}`, error));
    }
    this.#check();
  }

  close(length: number, crc: number): Promise<void> {
    return this.#ground.locks.run(this.handle, async () => {
      await this.#writing;
      this.#check();
      try {
        if (length !== this.length || crc !== this.crc) {
          throw new GfsError(
            "Corrupt",
            `Cannot close chunk ${this.handle} with ${length} bytes and checksum ${crc}: ${this.length} bytes came, with ${this.crc}`,
          );
        }
        await this.#seal();
        this.#ended = true;
        this.#release();
      } catch (error) {
        const failure = this.#broken(this.#ground.retirement.translate(`close chunk ${this.handle}`, error));
        await this.#discard();
        throw failure;
      }
    });
  }

  abort(): Promise<void> {
    return this.#ground.locks.run(this.handle, () =>
      this.fail(new GfsError("Interrupted", `Cannot write chunk ${this.handle}: the stream was aborted`)),
    );
  }

  async fail(reason: Error): Promise<void> {
    if (this.#ended) return;
    this.#broken(reason);
    await this.#writing;
    await this.#discard();
  }

  async #spill(): Promise<void> {
    const file = await this.#ground.files.create(this.handle);
    const stream = new FileStream(file, 0);
    this.#file = { file, stream };
    const held = this.#held;
    this.#held = [];
    await stream.write(held, this.length);
  }

  async #seal(): Promise<void> {
    const ground = this.#ground;
    const { handle, version, origin } = this.#options;
    const { length, crc } = this.#sums;
    if (this.#file === undefined && length > 0) {
      await ground.log.room();
      const blocks = [...this.#sums.blocks()];
      await ground.log.commit({ kind: "closed", handle, version, length, crc, blocks, origin }, this.#held);
      return;
    }
    if (this.#file === undefined) await this.#spill();
    const file = this.#file;
    assert(file !== undefined, "a chunk that is not held has a file");
    const { volume, clusterId } = ground.identity;
    const blocks = this.#sums.blocks();
    const trailer = encodeTrailer({ handle, version, volume, clusterId, length, crc, origin }, blocks);
    await file.stream.write([trailer], trailer.length);
    await Promise.all([file.stream.finish(), ground.files.syncName(handle)]);
    await file.stream.close();
    this.#file = undefined;
    ground.files.forget(handle);
    await ground.log.commit({ kind: "closed", handle, version, length, crc, blocks: [], origin });
  }

  #check(): void {
    this.#ground.retirement.check();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) throw new GfsError("ChunkClosed", `Cannot write chunk ${this.handle}: the stream has ended`);
  }

  #broken(error: unknown): Error {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    return this.#failure;
  }

  /** Nothing of it stays, unless its record may already be on its way to the disk. */
  async #discard(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const { files, retirement, state } = this.#ground;
    try {
      if (this.#file !== undefined) await this.#file.stream.close();
      // After a failed sync of the log the record may be there all the same: its file must not go.
      if (retirement.reason === undefined && state.table.get(this.handle)?.state !== "sealed")
        await files.remove(this.handle);
    } catch (error) {
      retirement.translate(`remove what came of chunk ${this.handle}`, error);
    } finally {
      this.#release();
    }
  }

  #release(): void {
    this.#held = [];
    this.#file = undefined;
    this.#space.release();
    if (this.#ground.writers.get(this.handle) === this) this.#ground.writers.delete(this.handle);
  }
}
