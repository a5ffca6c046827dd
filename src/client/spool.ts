/** A stream that is put: kept in temporary files as it comes, so that a chunk can be sent again; they hold only chunks that are not safe yet. */
import { GfsError } from "../base/errors.ts";
import type { DiskFile, World } from "../io.ts";
import { toHex } from "../net/secret.ts";
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

/** One chunk in its file: written at the end, read anywhere before it. */
class Slot {
  readonly file: DiskFile;
  written = 0;
  whole = false;
  failure: unknown;
  #waiting: (() => void)[] = [];

  constructor(file: DiskFile) {
    this.file = file;
  }

  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Until `bytes` are there, or the chunk is whole. */
  async until(bytes: number): Promise<void> {
    while (this.written < bytes && !this.whole && this.failure === undefined)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    if (this.failure !== undefined) throw this.failure;
  }
}

/** The files have no name any more while they are used: nothing is left behind, however this process ends. */
async function openSlotFile({ disk, random }: World, directory: string): Promise<DiskFile> {
  const path = `${directory}/.gfs-spool-${toHex(random.bytes(8))}`;
  const file = await local("spool to", disk.open(path, "create"));
  await local("spool to", disk.remove(path));
  return file;
}

export async function openSpool(world: World, options: SpoolOptions): Promise<OpenSource> {
  return new Spool(world, options);
}

class Spool implements OpenSource {
  readonly bytes = undefined;
  readonly #world: World;
  readonly #options: SpoolOptions;
  readonly #ready: Uint8Array[];
  readonly #files: DiskFile[] = [];
  readonly #free: DiskFile[] = [];
  #freeWaiting: (() => void)[] = [];
  #fileOffset = 0;
  #ended = false;
  /** The chunk that is being filled. */
  #filling: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(world: World, options: SpoolOptions) {
    this.#world = world;
    this.#options = options;
    this.#ready = [...options.head];
  }

  async nextChunk(chunkBytes: number): Promise<{ fileOffset: number; source: ChunkSource } | undefined> {
    await this.#filling;
    const first = await this.#take();
    if (first === undefined) return undefined;
    this.#ready.unshift(first);
    const slot = new Slot(await this.#freeFile());
    const fileOffset = this.#fileOffset;
    this.#filling = this.#fill(slot, chunkBytes);
    this.#filling.catch(() => {}); // whoever reads the chunk, or wants the next, hears of it
    let released = false;
    const source: ChunkSource = {
      bytes: undefined,
      read: async (into, offset) => {
        await slot.until(offset + into.length);
        const part = into.subarray(0, Math.max(0, Math.min(into.length, slot.written - offset)));
        if (part.length > 0) await local("spool from", slot.file.read(part, offset));
        return part;
      },
      release: () => {
        if (!released) this.#release(slot.file);
        released = true;
      },
    };
    return { fileOffset, source };
  }

  async verify(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const resolve of this.#freeWaiting.splice(0)) resolve();
    if (!this.#ended) {
      // Not waited for: a stream that is silent may never answer.
      const ended = this.#options.rest.return?.();
      ended?.catch(() => {});
    }
    await Promise.allSettled(this.#files.map((file) => file.close()));
  }

  /** The next piece of the stream; undefined at its end. */
  async #take(): Promise<Uint8Array | undefined> {
    for (;;) {
      const ready = this.#ready.shift();
      if (ready !== undefined && ready.length > 0) return ready;
      if (ready !== undefined) continue;
      if (this.#ended) return undefined;
      const next = await this.#options.rest.next();
      if (next.done === true) {
        this.#ended = true;
        return undefined;
      }
      this.#ready.push(next.value);
    }
  }

  async #fill(slot: Slot, chunkBytes: number): Promise<void> {
    try {
      while (slot.written < chunkBytes && !this.#closed) {
        const piece = await this.#take();
        if (piece === undefined) break;
        const part = piece.subarray(0, chunkBytes - slot.written);
        if (part.length < piece.length) this.#ready.unshift(piece.subarray(part.length));
        await local("spool to", slot.file.write([part], slot.written));
        slot.written += part.length;
        this.#fileOffset += part.length;
        slot.changed();
      }
      slot.whole = true;
    } catch (thrown) {
      slot.failure = thrown;
      throw thrown;
    } finally {
      slot.changed();
    }
  }

  async #freeFile(): Promise<DiskFile> {
    for (;;) {
      if (this.#closed) throw new GfsError("Interrupted", "Cannot read the stream any further: its put has ended");
      const free = this.#free.pop();
      if (free !== undefined) return free;
      if (this.#files.length < this.#options.slots) {
        const file = await openSlotFile(this.#world, this.#options.directory);
        this.#files.push(file);
        return file;
      }
      await new Promise<void>((resolve) => {
        this.#freeWaiting.push(resolve);
      });
    }
  }

  #release(file: DiskFile): void {
    this.#free.push(file);
    this.#freeWaiting.shift()?.();
  }
}
