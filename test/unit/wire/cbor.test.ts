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

const fullOptions = {
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  copyBuffers: true,
  variableMapSize: true,
  int64AsNumber: true,
};
const fullPeer = new Encoder(fullOptions);

/** What came of it, without the words of a refusal. */
function outcome(decode: () => unknown): unknown {
  try {
    return { value: decode() };
  } catch {
    return "refused";
  }
}

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

  test("that is changed anywhere is read as cbor-x reads it, or refused as well", () => {
    const change = fc.tuple(fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(anyValue, fc.array(change, { maxLength: 3 }), fc.nat(3), (value, changes, cut) => {
        const bytes = encodeCbor(value);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const message = bytes.subarray(0, bytes.length - (cut === 3 ? 1 : 0));
        const wanted = outcome(() => fullPeer.decode(message) as unknown);
        expect(outcome(() => decodeCbor(message))).toEqual(wanted);
      }),
      { numRuns: 800 },
    );
  });

  test.each([
    ["an integer of 64 bits", "1b0000000100000000"],
    ["a half", "f93c00"],
    ["an endless list", "9f01ff"],
    ["a tag", "c11a514b67b0"],
    ["numbers as keys", "a201020304"],
    ["a key that objects take for themselves", "a1695f5f70726f746f5f5f01"],
    ["a text that is no UTF-8", "62c328"],
    ["a head longer than it need be", "7a0000000161"],
    ["lists within lists", `${"81".repeat(100)}00`],
  ])("with %s is read as cbor-x reads it", (_, digits) => {
    const message = Uint8Array.fromHex(digits);
    expect(decodeCbor(message)).toEqual(fullPeer.decode(message));
  });

  test("gives byte strings that belong to the caller, and texts of equal hash each as it is", () => {
    const message = encodeCbor(Uint8Array.of(1, 2, 3));
    const bytes = decodeCbor(message);
    message.fill(0);
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3));
    const texts = Array.from({ length: 20_000 }, (_, i) => `text ${i}`);
    expect(decodeCbor(encodeCbor([...texts, ...texts]))).toEqual([...texts, ...texts]);
  });

  test("that is cut, goes on, or is no CBOR is refused", () => {
    const whole = encodeCbor({ a: [1, "text", Uint8Array.of(1)] });
    for (let bytes = 0; bytes < whole.length; bytes++)
      expect(() => decodeCbor(whole.slice(0, bytes))).toThrow(GfsError);
    expect(() => decodeCbor(Uint8Array.of(...whole, 0))).toThrow(GfsError);
    expect(() => decodeCbor(Uint8Array.of(0xff))).toThrow(GfsError);
  });
});
