import { crc32 } from "../../../src/base/checksum.ts";
import { hashText } from "./prng.ts";

/** A running hash (64 bits) over all that happens: two runs with equal hashes went the same way. */
export class Trace {
  #low = 0x6a09_e667;
  #high = 0xbb67_ae85;
  readonly #names = new Map<string, number>();

  mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x9e37_79b1);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul((this.#high + this.#low) ^ (value / 0x1_0000_0000), 0x85eb_ca77);
    this.#high ^= this.#high >>> 13;
  }

  /** A name out of few. */
  mixName(name: string): void {
    let hash = this.#names.get(name);
    if (hash === undefined) {
      hash = hashText(name);
      this.#names.set(name, hash);
    }
    this.mix(hash);
  }

  mixBytes(bytes: Uint8Array): void {
    this.mix(crc32(bytes));
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
