import { describe, expect, test } from "bun:test";
import { hasCode } from "../../../src/base/errors.ts";
import { formatPath, parsePath, pathFromBytes } from "../../../src/wire/path.ts";

describe("parsePath()", () => {
  test.each([
    ["/", []],
    ["/a", ["a"]],
    ["/a/b/", ["a", "b"]],
    ["/with space/new\nline/🐟", ["with space", "new\nline", "🐟"]],
  ])("%j", (path, names) => {
    expect(parsePath(path)).toEqual(names);
    expect(parsePath(formatPath(names))).toEqual(names);
  });

  test.each([
    ["", "must begin"],
    ["a/b", "must begin"],
    ["//", "empty name"],
    ["/a//b", "empty name"],
    ["/a/./b", '"."'],
    ["/..", '".."'],
    ["/a\0b", "NUL"],
    ["/\ud800", "valid Unicode"],
  ])("%j is refused", (path, why) => {
    expect(() => parsePath(path)).toThrow(why);
  });

  test("a name has at most 255 bytes, a path 4096", () => {
    expect(parsePath(`/${"n".repeat(255)}`)).toHaveLength(1);
    for (const name of ["n".repeat(256), "é".repeat(128)]) expect(() => parsePath(`/${name}`)).toThrow("255 bytes");
    expect(parsePath("/abc".repeat(1_024))).toHaveLength(1_024);
    expect(() => parsePath(`${"/abc".repeat(1_024)}/`)).toThrow("4096 bytes");
  });

  test("bytes that are not UTF-8 are refused with a typed error", () => {
    let error: unknown;
    try {
      pathFromBytes(Uint8Array.of(0x2f, 0xff));
    } catch (caught) {
      error = caught;
    }
    expect(hasCode(error, "PathInvalid")).toBe(true);
  });
});
