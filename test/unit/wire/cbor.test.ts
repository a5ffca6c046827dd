import { describe, expect, test } from "bun:test";
import { Encoder } from "cbor-x/encode";
import fc from "fast-check";
import { AssertionError } from "../../../src/base/assert.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { decodeCbor, encodeCbor } from "../../../src/wire/cbor.ts";

const peer = new Encoder({ useRecords: false, tagUint8Array: false, variableMapSize: true });
const hex = (value: unknown): string => encodeCbor(value).toHex();

const wellFormed = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.string({ unit: "grapheme", maxLength: 80 }),
  fc.string({ minLength: 200, maxLength: 400 }),
);
const number = fc.oneof(
  fc.integer(),
  fc.nat(300),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  fc.constantFrom(
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    0xffff_ffff,
    0x1_0000_0000,
    -24,
    -25,
    -256,
    -257,
    -65_537,
    -0x1_0000_0000,
    -0x1_0000_0001,
  ),
);
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    wellFormed,
    number,
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 30 }),
    fc.dictionary(wellFormed, tie("value"), { maxKeys: 30 }),
  ),
}));

describe("CBOR", () => {
  test.each<[unknown, string]>([
    // RFC 8949, appendix A
    [0, "00"],
    [23, "17"],
    [24, "1818"],
    [100, "1864"],
    [1_000, "1903e8"],
    [1_000_000, "1a000f4240"],
    [-1, "20"],
    [-100, "3863"],
    [-1_000, "3903e7"],
    [1.1, "fb3ff199999999999a"],
    [-4.1, "fbc010666666666666"],
    [false, "f4"],
    [null, "f6"],
    [undefined, "f7"],
    [Uint8Array.of(1, 2, 3, 4), "4401020304"],
    ["IETF", "6449455446"],
    ["ü", "62c3bc"],
    ["水", "63e6b0b4"],
    [[1, [2, 3], [4, 5]], "8301820203820405"],
    [{ a: 1, b: [2, 3] }, "a26161016162820203"],
    [Array.from({ length: 25 }, (_, i) => i + 1), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"],
  ])("of %p has the bytes of the standard", (value, bytes) => {
    expect(hex(value)).toBe(bytes);
  });

  test("has the bytes that cbor-x gives, and reads as it was written", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeCbor(value);
        expect(bytes.toHex()).toBe(new Uint8Array(peer.encode(value)).toHex());
        expect(decodeCbor(bytes)).toEqual(decodeCbor(new Uint8Array(peer.encode(value))));
      }),
      { numRuns: 500 },
    );
  });

  test("of a large value is whole, and belongs to the caller", () => {
    const values = [
      new Uint8Array(3_000_000).fill(7),
      "ä".repeat(100_000),
      Array.from({ length: 50_000 }, (_, i) => `name ${i}`),
    ];
    const first = values.map((value) => encodeCbor(value));
    encodeCbor(new Uint8Array(4_000_000));
    for (const [i, bytes] of first.entries()) expect(decodeCbor(bytes)).toEqual(values[i]);
  });

  test("is not made of what a peer could not read", () => {
    for (const value of [new Map(), new Date(0), 1n, () => 1, Symbol("a"), { a: new Set() }])
      expect(() => encodeCbor(value)).toThrow(AssertionError);
  });

  test("that is cut, goes on, or is no CBOR is refused", () => {
    const whole = encodeCbor({ a: [1, "text", Uint8Array.of(1)] });
    for (let bytes = 0; bytes < whole.length; bytes++)
      expect(() => decodeCbor(whole.slice(0, bytes))).toThrow(GfsError);
    expect(() => decodeCbor(Uint8Array.of(...whole, 0))).toThrow(GfsError);
    expect(() => decodeCbor(Uint8Array.of(0xff))).toThrow(GfsError);
  });
});
