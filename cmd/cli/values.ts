import { GfsError } from "../../src/base/errors.ts";
import { formatSize, parseSize } from "../../src/config/units.ts";
import type { Arguments } from "./verb.ts";

/** A flag's whole number from `min` to `max`, if it was given. `or`: what the caller takes besides, for the error. @throws GfsError("Usage") */
export function wholeNumber(
  args: Arguments,
  flag: string,
  {
    min,
    max = Number.MAX_SAFE_INTEGER,
    or = "",
  }: { readonly min: number; readonly max?: number; readonly or?: string },
): number | undefined {
  const text = args.text(flag);
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new GfsError("Usage", `--${flag} wants a whole number ${range}${or}, not ${JSON.stringify(text)}`);
}

/** A flag's size in bytes, if it was given. @throws GfsError("Usage") */
export function sizeValue(args: Arguments, flag: string): number | undefined {
  const text = args.text(flag);
  if (text === undefined) return undefined;
  const bytes = parseSize(text);
  if (bytes !== undefined) return bytes;
  throw new GfsError("Usage", `--${flag} wants a size like 64MB, 64MiB or plain bytes, not ${JSON.stringify(text)}`);
}

/** A flag's whole percentage, `10%` or `10`, if it was given. @throws GfsError("Usage") */
export function percentValue(args: Arguments, flag: string): number | undefined {
  const text = args.text(flag);
  if (text === undefined) return undefined;
  const value = Number(/^(\d{1,3})\s*%?$/.exec(text)?.[1]);
  if (value >= 1 && value <= 100) return value;
  throw new GfsError("Usage", `--${flag} wants a whole percentage like 10%, not ${JSON.stringify(text)}`);
}

/**
 * A flag's bytes a second, if it was given: `50MB` or `50MB/s`; `none` is 0, which is no limit to whoever takes it. A 0 that somebody writes could be meant as nothing at all: it is refused.
 * `or`: what the caller takes besides, for the error.
 *
 * @throws GfsError("Usage")
 */
export function rateValue(
  args: Arguments,
  flag: string,
  { or = "" }: { readonly or?: string } = {},
): number | undefined {
  const text = args.text(flag);
  if (text === undefined) return undefined;
  if (text === "none") return 0;
  const bytes = parseSize(text.replace(/\/s$/, ""));
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new GfsError(
    "Usage",
    `--${flag} wants bytes per second like 50MB, or none for no limit${or}, not ${JSON.stringify(text)}`,
  );
}

/** `50.0 MB/s`, of what was measured. */
export function rateText(bytesPerSecond: number): string {
  return `${formatSize(Math.round(bytesPerSecond))}/s`;
}

/** Of a limit by bytes a second, where 0 is none. */
export function limitText(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? "no limit" : rateText(bytesPerSecond);
}

/** @throws GfsError("Usage") where one of these flags is given, which only `where` takes */
export function onlyFor(args: Arguments, flags: readonly string[], where: string): void {
  const given = flags.find((flag) => args.text(flag) !== undefined || args.on(flag));
  if (given !== undefined) throw new GfsError("Usage", `--${given} is for: ${where}`);
}
