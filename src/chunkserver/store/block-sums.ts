/** CRCs of a growing chunk: of each 64 KiB block, the last one perhaps partial, and of the whole (DESIGN §3). */
import { assert } from "../../base/assert.ts";
import { crc32Combine } from "../../base/checksum.ts";
import { blockBytes } from "../../limits.ts";

/**
 * CRCs of the first `length` bytes of a chunk, combined from the CRCs that came with the bytes and never computed from memory again. Grows only.
 */
export class BlockSums {
  #length = 0;
  #crc = 0;
  #blocks = new Uint32Array(1);

  /** @param blocks one for each block that `length` touches */
  static of(length: number, blocks: Iterable<number>): BlockSums {
    const sums = new BlockSums();
    let left = length;
    for (const crc of blocks) {
      const bytes = Math.min(left, blockBytes);
      assert(bytes > 0, "more block checksums than blocks");
      sums.addPart(crc, bytes);
      left -= bytes;
    }
    assert(left === 0, "fewer block checksums than blocks");
    return sums;
  }

  get length(): number {
    return this.#length;
  }

  get crc(): number {
    return this.#crc;
  }

  get blockCount(): number {
    return Math.ceil(this.#length / blockBytes);
  }

  /** CRC of the bytes that there are of this block. */
  block(index: number): number {
    assert(index < this.blockCount, "no such block");
    return this.#blocks[index] ?? 0;
  }

  blocks(): Uint32Array {
    return this.#blocks.slice(0, this.blockCount);
  }

  /** The next bytes, which must not cross a block border. */
  addPart(crc: number, bytes: number): void {
    const index = Math.floor(this.#length / blockBytes);
    const inBlock = this.#length - index * blockBytes;
    assert(bytes > 0 && inBlock + bytes <= blockBytes, "a part crosses a block border");
    if (index >= this.#blocks.length) {
      const grown = new Uint32Array(this.#blocks.length * 2);
      grown.set(this.#blocks);
      this.#blocks = grown;
    }
    this.#blocks[index] = inBlock === 0 ? crc : crc32Combine(this.#blocks[index] ?? 0, crc, bytes);
    this.#crc = crc32Combine(this.#crc, crc, bytes);
    this.#length += bytes;
  }

  /** The next bytes, cut at the borders of blocks, a CRC for each part. */
  add(crcs: readonly number[], bytes: number): void {
    let left = bytes;
    for (const crc of crcs) {
      const part = Math.min(left, blockBytes - (this.#length % blockBytes));
      this.addPart(crc, part);
      left -= part;
    }
    assert(left === 0, "fewer checksums than parts");
  }

  /** What is left when the chunk is cut to `length` bytes, of which the last block's CRC is `lastBlock`. */
  cut(length: number, lastBlock: number): BlockSums {
    assert(length <= this.#length, "a cut can't extend");
    const count = Math.ceil(length / blockBytes);
    const blocks = this.#blocks.slice(0, count);
    if (count > 0) blocks[count - 1] = lastBlock;
    return BlockSums.of(length, blocks);
  }

  copy(): BlockSums {
    const sums = new BlockSums();
    sums.#length = this.#length;
    sums.#crc = this.#crc;
    sums.#blocks = this.#blocks.slice();
    return sums;
  }
}

/** CRC of parts that follow one another, the first beginning at `offset` of a chunk, each reaching to a block border but the last. */
export function combineParts(offset: number, crcs: readonly number[], bytes: number): number {
  let crc = 0;
  let at = offset;
  const end = offset + bytes;
  for (const part of crcs) {
    const length = Math.min(end, (Math.floor(at / blockBytes) + 1) * blockBytes) - at;
    crc = crc32Combine(crc, part, length);
    at += length;
  }
  return crc;
}
