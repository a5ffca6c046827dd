import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HashIndex, hashBytes, hashNumber } from "../../../src/base/hash-index.ts";

/** An index over keys[value]. */
function indexOver(keys: number[]): HashIndex<number> {
  return new HashIndex((value, key) => keys[value] === key);
}

describe("hash index", () => {
  const hashes: [string, (key: number) => number][] = [
    ["spread", hashNumber],
    ["all the same", () => 0xffff_ffff],
    ["few", (key) => (key % 7) * 0x2000_0001],
  ];
  test.each(hashes)("finds exactly what a Map finds, with hashes that are %s", (_, hash) => {
    const step = fc.record({ insert: fc.boolean(), key: fc.nat(300) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400, size: "max" }), (steps) => {
        const keys: number[] = [];
        const index = indexOver(keys);
        const model = new Map<number, number>();
        for (const { insert, key } of steps) {
          const held = model.get(key);
          expect(index.find(hash(key), key)).toBe(held ?? -1);
          if (insert && held === undefined) {
            model.set(key, keys.length);
            index.insert(hash(key), keys.push(key) - 1);
          } else if (!insert && held !== undefined) {
            model.delete(key);
            index.remove(hash(key), held);
          }
          expect(index.size).toBe(model.size);
        }
        for (const [key, value] of model) expect(index.find(hash(key), key)).toBe(value);
      }),
      { numRuns: 60 },
    );
  });

  test("keeps every entry while segments are split and shrink again", () => {
    const keys = Array.from({ length: 60_000 }, (_, i) => i * 977);
    const index = indexOver(keys);
    for (const [value, key] of keys.entries()) index.insert(hashNumber(key), value);
    const lost = () => keys.filter((key, value) => index.find(hashNumber(key), key) !== value).length;
    expect(lost()).toBe(0);
    const full = index.bytes;
    for (const [value, key] of keys.entries()) if (value % 100 !== 0) index.remove(hashNumber(key), value);
    expect(index.size).toBe(600);
    expect(lost()).toBe(60_000 - 600);
    expect(index.bytes).toBeLessThan(full / 8);
  });

  test("moves the entries of one segment at most for one more entry", () => {
    const keys: number[] = [];
    const index = indexOver(keys);
    let before = index.bytes;
    for (let key = 0; key < 200_000; key++) {
      index.insert(hashNumber(key), keys.push(key) - 1);
      if (key % 16 !== 0) continue;
      const grown = index.bytes - before;
      before = index.bytes;
      // 16 entries at once, of which each may split a segment of 32 KiB; what doubles is the directory, of 8 bytes a segment.
      expect(grown).toBeLessThanOrEqual(16 * 33_000 + before / 1_000);
    }
  });

  test("takes many keys of one hash without losing one", () => {
    const keys = Array.from({ length: 9_000 }, (_, i) => i);
    const index = indexOver(keys);
    for (const key of keys) index.insert(hashNumber(key % 3), key);
    for (const key of [0, 1, 4_444, 8_999]) expect(index.find(hashNumber(key % 3), key)).toBe(key);
  });

  test.each([0, 1, 100, 50_000])("with room for %i entries finds them all, and more", (entries) => {
    const keys: number[] = [];
    const index = indexOver(keys);
    index.reserve(entries);
    const held = index.bytes;
    for (let key = 0; key < entries; key++) index.insert(hashNumber(key), keys.push(key) - 1);
    expect(index.bytes).toBe(held);
    for (let key = entries; key < entries * 2 + 50; key++) index.insert(hashNumber(key), keys.push(key) - 1);
    for (const key of keys) expect(index.find(hashNumber(key), key)).toBe(key);
    expect(index.find(hashNumber(-1), -1)).toBe(-1);
  });

  test("hashes are unsigned, and tell seeds and high halves apart", () => {
    const name = new TextEncoder().encode("name");
    expect(hashBytes(name, 1)).not.toBe(hashBytes(name, 2));
    expect(hashNumber(5)).not.toBe(hashNumber(5 + 2 ** 32));
    for (let i = 0; i < 100; i++) expect(hashNumber(i * 2 ** 33)).toBeGreaterThanOrEqual(0);
  });
});
