/** Values of flags: what is taken, and that all else is refused with what was expected. */
import { describe, expect, test } from "bun:test";
import { limitText, percentValue, rateText, rateValue, sizeValue, wholeNumber } from "../../../cmd/cli/values.ts";
import type { Arguments } from "../../../cmd/cli/verb.ts";

type Parse = (args: Arguments, flag: string) => number | undefined;
const days: Parse = (args, flag) => wholeNumber(args, flag, { min: 0, or: ", or default" });

function parse(read: Parse, text: string | undefined): number | undefined {
  return read({ positionals: [], text: () => text, texts: () => [], on: () => false, off: () => false }, "flag");
}

describe("the value of a flag", () => {
  test.each<[Parse, string, number]>([
    [days, "0", 0],
    [days, "14", 14],
    [percentValue, "10%", 10],
    [percentValue, "10 %", 10],
    [percentValue, "1", 1],
    [percentValue, "100", 100],
    [rateValue, "50MB", 50_000_000],
    [rateValue, "50MB/s", 50_000_000],
    [rateValue, "1MiB", 1_048_576],
    [rateValue, "none", 0],
    [sizeValue, "64MB", 64_000_000],
  ])("%p takes %j", (read, text, value) => {
    expect(parse(read, text)).toBe(value);
    expect(parse(read, undefined)).toBeUndefined();
  });

  const none = ["abc", "NaN", "Infinity", "-Infinity", "-1", "", " ", "1e3", "0x10", "1_000", "default"];
  test.each<[Parse, string, readonly string[]]>([
    [days, "--flag wants a whole number of at least 0, or default, not ", [...none, "1.5", "9".repeat(20)]],
    [percentValue, "--flag wants a whole percentage like 10%, not ", [...none, "1.5%", "0%", "101", "%", "10%%"]],
    [
      rateValue,
      "--flag wants bytes per second like 50MB, or none for no limit, not ",
      [...none, "0", "0MB", "/s", "5 parsecs", "9".repeat(20)],
    ],
    [sizeValue, "--flag wants a size like 64MB, 64MiB or plain bytes, not ", none],
  ])("%p says what it expects", (read, expected, texts) => {
    for (const text of texts) expect(() => parse(read, text)).toThrow(`${expected}${JSON.stringify(text)}`);
  });
});

test("rates are shown a second, and a limit of 0 is none", () => {
  expect(rateText(1_234_567.8)).toBe("1.23 MB/s");
  expect(limitText(50_000_000)).toBe("50.0 MB/s");
  expect(limitText(0)).toBe("no limit");
});
