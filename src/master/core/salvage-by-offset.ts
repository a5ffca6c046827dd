/** Chunks of one file that have no place yet, found by where they begin (DESIGN §4.7): a file may have tens of thousands. Pure. */
import type { FoundChunk } from "./salvage-chunks.ts";

/** What is asked for goes forward: `after` and `isAnyBefore` take offsets that never fall. */
export class ByOffset {
  readonly #left: Set<FoundChunk>;
  readonly #at: Map<number, FoundChunk[]>;
  readonly #sorted: readonly FoundChunk[];
  #after = 0;
  #first = 0;

  constructor(chunks: readonly FoundChunk[]) {
    this.#left = new Set(chunks);
    this.#sorted = chunks.toSorted((a, b) => a.fileOffset - b.fileOffset || byHandle(a, b));
    this.#at = Map.groupBy(this.#sorted, ({ fileOffset }) => fileOffset);
  }

  get left(): ReadonlySet<FoundChunk> {
    return this.#left;
  }

  /** False: it was not there. */
  delete(chunk: FoundChunk): boolean {
    return this.#left.delete(chunk);
  }

  /** By handle. */
  at(offset: number): FoundChunk[] {
    return (this.#at.get(offset) ?? []).filter((chunk) => this.#left.has(chunk));
  }

  /** The next offset above this one; infinite where there is none. What begins there has no place yet: places are given from the beginning on. */
  after(offset: number): number {
    while ((this.#sorted[this.#after]?.fileOffset ?? Number.POSITIVE_INFINITY) <= offset) this.#after++;
    return this.#sorted[this.#after]?.fileOffset ?? Number.POSITIVE_INFINITY;
  }

  isAnyBefore(offset: number): boolean {
    for (let chunk = this.#sorted[this.#first]; chunk !== undefined; chunk = this.#sorted[++this.#first])
      if (this.#left.has(chunk)) return chunk.fileOffset < offset;
    return false;
  }
}

export function byHandle(a: FoundChunk, b: FoundChunk): number {
  return a.handle - b.handle;
}
