/** A stream that is put: kept in temporary files as it comes, so that a chunk can be sent again; they hold only chunks that are not safe yet. */
import { assert, AssertionError } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import type { DiskFile, World } from "../io.ts";
import { local } from "./local-files.ts";
import type { ChunkSource, OpenSource } from "./sources.ts";

export interface SpoolOptions {
  /** Read from the stream already. */
  readonly head: readonly Uint8Array[];
  readonly rest: AsyncIterator<Uint8Array>;
  readonly directory: string;
  /** Chunks that are kept at a time; the stream waits for the next one to be free. */
  readonly slots: number;
}

/**
 * A chunk is given out when it is whole: a stream may pause for as long as it likes, a server does not wait for it. The next one is filled while those before are sent.
 */
export class Spool implements OpenSource {
  readonly bytes = undefined;
  readonly #world: World;
  readonly #options: SpoolOptions;
  readonly #ready: Uint8Array[];
  readonly #files: DiskFile[] = [];
  readonly #free: DiskFile[] = [];
  #freed: (() => void)[] = [];
  #fileOffset = 0;
  #ended = false;
  #closed = false;

  constructor(world: World, options: SpoolOptions) {
    this.#world = world;
    this.#options = options;
    this.#ready = [...options.head];
  }

  async nextChunk(chunkBytes: number): Promise<{ fileOffset: number; source: ChunkSource } | undefined> {
    const file = await this.#freeFile();
    const bytes = await this.#fill(file, chunkBytes);
    if (bytes === 0) {
      this.#release(file);
      return undefined;
    }
    const fileOffset = this.#fileOffset;
    this.#fileOffset += bytes;
    const source: ChunkSource = {
      bytes,
      read: async (into, offset) => {
        const part = into.subarray(0, Math.min(into.length, bytes - offset));
        await local("spool from", file.read(part, offset));
        return part;
      },
      release: () => this.#release(file),
    };
    return { fileOffset, source };
  }

  rewind(): void {
    assert(false, "a stream can't be read twice");
  }

  content(): Promise<never> {
    return Promise.reject(new AssertionError("what is in a stream is not known before its end"));
  }

  async verify(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const resolve of this.#freed.splice(0)) resolve();
    if (!this.#ended) {
      // Not waited for: a stream that is silent may never answer.
      const ended = this.#options.rest.return?.();
      ended?.catch(() => {});
    }
    await Promise.allSettled(this.#files.map((file) => file.close()));
  }

  /** Up to `chunkBytes` of the stream into the file; how many. */
  async #fill(file: DiskFile, chunkBytes: number): Promise<number> {
    let bytes = 0;
    while (bytes < chunkBytes) {
      const piece = await this.#take();
      if (this.#closed) throw new GfsError("Interrupted", "Cannot read the stream any further: its put has ended");
      if (piece === undefined) break;
      const part = piece.subarray(0, chunkBytes - bytes);
      if (part.length < piece.length) this.#ready.unshift(piece.subarray(part.length));
      await local("spool to", file.write([part], bytes));
      bytes += part.length;
    }
    return bytes;
  }

  /** The next piece of the stream; undefined at its end. */
  async #take(): Promise<Uint8Array | undefined> {
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    while (!this.#ended) {
      const next = await this.#options.rest.next();
      if (next.done === true) this.#ended = true;
      else if (next.value.length > 0) return next.value;
    }
    return undefined;
  }

  async #freeFile(): Promise<DiskFile> {
    for (;;) {
      if (this.#closed) throw new GfsError("Interrupted", "Cannot read the stream any further: its put has ended");
      const free = this.#free.pop();
      if (free !== undefined) return free;
      if (this.#files.length < this.#options.slots) {
        const file = await openNameless(this.#world, this.#options.directory);
        this.#files.push(file);
        return file;
      }
      await new Promise<void>((resolve) => {
        this.#freed.push(resolve);
      });
    }
  }

  #release(file: DiskFile): void {
    this.#free.push(file);
    this.#freed.shift()?.();
  }
}

/** It has no name any more while it is used: nothing is left behind, however this process ends. */
async function openNameless({ disk, random }: World, directory: string): Promise<DiskFile> {
  const path = `${directory}/.gfs-spool-${random.bytes(8).toHex()}`;
  const file = await local("spool to", disk.open(path, "create"));
  await local("spool to", disk.remove(path));
  return file;
}

/** All of a stream in one file, which the caller closes. */
export async function spoolWhole(
  world: World,
  { head, rest, directory }: Omit<SpoolOptions, "slots">,
): Promise<{ readonly file: DiskFile; readonly bytes: number }> {
  const file = await openNameless(world, directory);
  try {
    let bytes = 0;
    const add = async (piece: Uint8Array): Promise<void> => {
      await local("spool to", file.write([piece], bytes));
      bytes += piece.length;
    };
    for (const piece of head) await add(piece);
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) await add(next.value);
    return { file, bytes };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}
