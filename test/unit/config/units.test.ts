import { describe, expect, test } from "bun:test";
import { didYouMean, editDistance } from "../../../src/config/nearest.ts";
import { formatDuration, formatSize, parseLocation, parseSize } from "../../../src/config/units.ts";

describe("parseSize()", () => {
  test.each([
    ["0", 0],
    ["64MB", 64_000_000],
    ["64MiB", 67_108_864],
    ["1.5 kB", 1_500],
    ["1g", 1e9],
    ["", undefined],
    ["MB", undefined],
    ["-1", undefined],
    ["1XB", undefined],
    ["9e9", undefined],
    ["99999999TB", undefined],
  ])("%s is %p bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});

describe("formatSize()", () => {
  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [1_000, "1.00 kB"],
    [999_949, "1.00 MB"],
    [64_000_000, "64.0 MB"],
    [1_234_567_890, "1.23 GB"],
  ])("%d is %s", (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
});

test("formatDuration() gives two units at most", () => {
  expect([3_210, 40_000, 125_000, 4_320_000, 200_000_000].map((ms) => formatDuration(ms))).toEqual([
    "3.2 s",
    "40 s",
    "2 min 5 s",
    "1 h 12 min",
    "2 d 7 h",
  ]);
});

test("parseLocation() takes two finite numbers", () => {
  expect(parseLocation("-5, 3.5")).toEqual({ x: -5, y: 3.5 });
  for (const bad of ["", "1", "1,", ",1", "1,x", "1,NaN", "1,Infinity", "1,2,3"])
    expect(parseLocation(bad)).toBeUndefined();
});

test("editDistance() counts a swap of neighbours once", () => {
  expect(editDistance("prot", "port")).toBe(1);
  expect(editDistance("", "abc")).toBe(3);
});

test("didYouMean() is silent rather than wild", () => {
  expect(didYouMean("stauts", ["status", "stat"])).toBe(" (did you mean status?)");
  expect(didYouMean("xyzzy", ["status", "stat"])).toBe("");
});
