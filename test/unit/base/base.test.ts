import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes, fromUtf8, readUint53, utf8, viewOf, writeUint53 } from "../../../src/base/bytes.ts";
import { crc32, crc32Combine } from "../../../src/base/checksum.ts";
import { asGfsError, errorCodes, GfsError, hasCode, isErrorCode } from "../../../src/base/errors.ts";

describe("crc32", () => {
  test("is the CRC-32 of zlib", () => {
    expect(crc32(utf8("123456789"))).toBe(0xcbf43926);
    expect(crc32(new Uint8Array(0))).toBe(0);
  });

  test("with a seed goes on where the seed's bytes ended", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        expect(crc32(b, crc32(a))).toBe(crc32(concatBytes([a, b])));
      }),
    );
  });

  test("crc32Combine() of two runs is the CRC of both", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (a, b) => {
        expect(crc32Combine(crc32(a), crc32(b), b.length)).toBe(crc32(concatBytes([a, b])));
      }),
    );
  });
});

test("writeUint53() and readUint53() agree, and a value of 2^53 is refused", () => {
  const view = viewOf(new Uint8Array(8));
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      writeUint53(view, 0, value);
      expect(readUint53(view, 0)).toBe(value);
    }),
  );
  view.setUint32(4, 0x20_0000, true);
  expect(readUint53(view, 0)).toBeUndefined();
});

test("fromUtf8() refuses what is not UTF-8 rather than mangle it", () => {
  expect(fromUtf8(utf8("\uFEFFnaïve 🐟"))).toBe("\uFEFFnaïve 🐟");
  expect(fromUtf8(Uint8Array.of(0xff, 0x41))).toBeUndefined();
});

describe("GfsError", () => {
  test("every code has an exit status that a shell can see", () => {
    for (const { exit } of Object.values(errorCodes)) expect(exit > 0 && exit < 256).toBe(true);
  });

  test("asGfsError() keeps a GfsError and makes anything else a Bug with its cause", () => {
    const own = new GfsError("NoSpace", "x");
    expect(asGfsError(own)).toBe(own);
    const foreign = new TypeError("y");
    expect(asGfsError(foreign)).toMatchObject({ code: "Bug", cause: foreign });
    expect(hasCode(own, "Busy", "NoSpace")).toBe(true);
    expect(isErrorCode("toString")).toBe(false);
  });
});
