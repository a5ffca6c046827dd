/** Inputs made from good ones: of bytes by their places, of values by their shape. */
import fc from "fast-check";
import { concatBytes, viewOf } from "../../src/base/bytes.ts";
import type { Prng } from "../sim/world/prng.ts";

const numbers = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

export function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[prng.integer(0, from.length - 1)]!;
}

/** One to a few changes; of whole other samples too. */
export function mutateBytes(
  prng: Prng,
  sample: Uint8Array,
  others: readonly Uint8Array[] = [sample],
): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array = sample.slice();
  for (let count = prng.chance(0.6) ? 1 : prng.integer(2, 6); count > 0; count--) bytes = changed(prng, bytes, others);
  return new Uint8Array(bytes);
}

function changed(prng: Prng, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (bytes.length === 0) return prng.bytes(prng.integer(0, 40));
  const at = prng.integer(0, bytes.length - 1);
  const end = Math.min(bytes.length, at + prng.integer(1, prng.chance(0.8) ? 16 : bytes.length));
  switch (prng.integer(0, 8)) {
    case 0:
    case 1:
      return bytes.with(at, bytes[at]! ^ (1 << prng.integer(0, 7)));
    case 2:
      return bytes.with(at, pick(prng, numbers) & 0xff);
    case 3: {
      if (at + 4 > bytes.length) return bytes;
      const own = bytes.slice();
      viewOf(own).setUint32(at, prng.chance(0.7) ? pick(prng, numbers) : prng.next(), true);
      return own;
    }
    case 4:
      return bytes.slice(0, at);
    case 5:
      return concatBytes([bytes.subarray(0, at), bytes.subarray(end)]);
    case 6:
      return concatBytes([bytes.subarray(0, end), bytes.subarray(at)]);
    case 7: {
      const other = pick(prng, others);
      const from = prng.integer(0, other.length);
      return concatBytes([bytes.subarray(0, at), other.subarray(from)]);
    }
    default:
      return concatBytes([bytes.subarray(0, at), prng.bytes(prng.integer(1, 20)), bytes.subarray(at)]);
  }
}

/** Values that might fit where one of their kind stood. */
export interface Pool {
  readonly texts: readonly string[];
  readonly numbers: readonly number[];
  readonly bytes: readonly Uint8Array[];
}

const strangeNumbers = [0, -1, 1, 2, 3, 0.5, Number.NaN, 1e300, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53];

/** The value with some of its parts replaced, left out, doubled or of another type: mostly still close to what is expected. */
export function mutateValue(prng: Prng, value: unknown, pool: Pool, rate = 0.15): unknown {
  if (prng.chance(rate * 0.15)) return stranger(prng, pool);
  if (value instanceof Uint8Array)
    return prng.chance(rate) ? (prng.chance(0.5) ? pick(prng, pool.bytes) : mutateBytes(prng, value)) : value;
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => mutateValue(prng, item, pool, rate));
    if (prng.chance(rate * 0.3)) return prng.chance(0.5) ? [] : [...items, ...items, ...items];
    return items;
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value)
      .filter(() => !prng.chance(rate * 0.1))
      .map(([name, field]): [string, unknown] => [name, mutateValue(prng, field, pool, rate)]);
    if (prng.chance(rate * 0.05)) fields.push(["__proto__", 1]);
    return Object.fromEntries(fields);
  }
  if (!prng.chance(rate)) return value;
  if (typeof value === "number") return pick(prng, prng.chance(0.7) ? pool.numbers : strangeNumbers);
  if (typeof value === "string") return prng.chance(0.8) ? pick(prng, pool.texts) : text(prng);
  return stranger(prng, pool);
}

function stranger(prng: Prng, pool: Pool): unknown {
  const kinds = [undefined, null, true, "", [], {}, pick(prng, strangeNumbers), pick(prng, pool.bytes), text(prng)];
  return pick(prng, kinds);
}

const anyText = fc.string({ unit: "binary", maxLength: 60 });
const likelyText = fc.string({ unit: fc.constantFrom(..."/./..-_=,:[]%\"'\\ \n\0a0é🐟".split("")), maxLength: 60 });

/** Any text at all, half surrogates too, or one of letters that matter somewhere. */
export function text(prng: Prng): string {
  const halves = prng.chance(0.1) ? "\ud800" : "";
  return `${sampleOf(prng, prng.chance(0.5) ? anyText : likelyText)}${halves}`;
}

export function sampleOf<T>(prng: Prng, arbitrary: fc.Arbitrary<T>): T {
  return fc.sample(arbitrary, { numRuns: 1, seed: prng.next() | 0 })[0]!;
}
