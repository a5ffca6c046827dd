/** A seeded generator (sfc32). Not for keys: for repeatable bad luck. */
export class Prng {
  readonly #name: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** The same name gives the same numbers, in every process. */
  constructor(name: string) {
    this.#name = name;
    this.#a = hashText(name, 0x9e37_79b9);
    this.#b = hashText(name, 0x243f_6a88);
    this.#c = hashText(name, 0xb7e1_5162);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** A generator of its own, whatever has been drawn from this one. */
  fork(name: string): Prng {
    return new Prng(`${this.#name}/${name}`);
  }

  /** Uniform below 2^32. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.next() / 0x1_0000_0000;
  }

  /** True with this probability; 0 and 1 are certain, and draw nothing. */
  chance(probability: number): boolean {
    if (probability <= 0) return false;
    return probability >= 1 || this.fraction() < probability;
  }

  /** Uniform, both ends included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1));
  }

  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    const one = list[this.integer(0, list.length - 1)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  }

  /** Uniform in [min, max). */
  between(range: readonly [min: number, max: number]): number {
    return range[0] + this.fraction() * (range[1] - range[0]);
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = this.next() >>> 24;
    return bytes;
  }
}

/** 32 bits of a text (murmur3's mixing over code units). */
export function hashText(text: string, seed = 0): number {
  let hash = seed | 0;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x85eb_ca6b);
    hash ^= hash >>> 13;
  }
  hash = Math.imul(hash ^ text.length, 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
