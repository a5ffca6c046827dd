/** What waits to be deleted on one volume: first in, first out, in blocks, so that with a million removed files no entry pauses the master. */
import type { VolumeIndex } from "./chunk-table.ts";
import { HandleSet } from "./handle-set.ts";

/** released: our own log let go of the chunk. The others rest on reports. surplus: the goal is kept without it. */
export type GarbageCause = "released" | "unknown" | "stale" | "corrupt" | "surplus";
const causes: readonly GarbageCause[] = ["released", "unknown", "stale", "corrupt", "surplus"];

export interface GarbageEntry {
  readonly handle: number;
  readonly cause: GarbageCause;
  readonly dueMs: number;
}

const blockEntries = 4_096;

interface Block {
  readonly handles: Float64Array;
  readonly causes: Uint8Array;
  readonly dueMs: Float64Array;
}

function newBlock(): Block {
  const [handles, dueMs] = [new Float64Array(blockEntries), new Float64Array(blockEntries)];
  return { handles, causes: new Uint8Array(blockEntries), dueMs };
}

export class GarbageQueue {
  readonly volume: VolumeIndex;
  /** The first entry is in the first block at `head`, the next new one goes to the last block at `end`. */
  readonly #blocks: Block[] = [];
  #head = 0;
  #end = blockEntries;
  #size = 0;
  readonly #queued = new HandleSet();

  constructor(volume: VolumeIndex) {
    this.volume = volume;
  }

  get size(): number {
    return this.#size;
  }

  has(handle: number): boolean {
    return this.#queued.has(handle);
  }

  /** A handle that is not in the queue. */
  push({ handle, cause, dueMs }: GarbageEntry): void {
    if (this.#end === blockEntries) {
      this.#blocks.push(newBlock());
      this.#end = 0;
    }
    const block = this.#blocks.at(-1);
    if (block === undefined) return;
    block.handles[this.#end] = handle;
    block.causes[this.#end] = causes.indexOf(cause);
    block.dueMs[this.#end] = dueMs;
    this.#end++;
    this.#size++;
    this.#queued.add(handle);
  }

  first(): GarbageEntry | undefined {
    return this.#size === 0 ? undefined : entryAt(this.#blocks[0], this.#head);
  }

  /** Takes the first one out, where there is one. */
  shift(): void {
    const first = this.first();
    if (first === undefined) return;
    this.#queued.delete(first.handle);
    this.#size--;
    this.#head++;
    if (this.#head < blockEntries && this.#size > 0) return;
    this.#blocks.shift();
    this.#head = 0;
    if (this.#size === 0) {
      this.#blocks.length = 0;
      this.#end = blockEntries;
    }
  }

  *[Symbol.iterator](): Generator<GarbageEntry> {
    for (let i = 0, at = this.#head; i < this.#size; i++, at++) {
      const entry = entryAt(this.#blocks[Math.floor(at / blockEntries)], at % blockEntries);
      if (entry !== undefined) yield entry;
    }
  }
}

function entryAt(block: Block | undefined, at: number): GarbageEntry | undefined {
  if (block === undefined) return undefined;
  const { handles, dueMs } = block;
  return { handle: handles[at] ?? 0, cause: causes[block.causes[at] ?? 0] ?? "unknown", dueMs: dueMs[at] ?? 0 };
}
