import { GfsError } from "../../src/base/errors.ts";
import { parseSize } from "../../src/config/units.ts";
import type { Arguments } from "./verb.ts";

/** A flag's whole number from `min` to `max`, if it was given. @throws GfsError("Usage") */
export function wholeNumber(
  args: Arguments,
  flag: string,
  { min, max = Number.MAX_SAFE_INTEGER }: { readonly min: number; readonly max?: number },
): number | undefined {
  const text = args.text(flag);
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new GfsError("Usage", `--${flag} wants a whole number ${range}, not ${JSON.stringify(text)}`);
}

/** A flag's size in bytes, if it was given. @throws GfsError("Usage") */
export function sizeValue(args: Arguments, flag: string): number | undefined {
  const text = args.text(flag);
  if (text === undefined) return undefined;
  const bytes = parseSize(text);
  if (bytes !== undefined) return bytes;
  throw new GfsError("Usage", `--${flag} wants a size like 64MB, 64MiB or plain bytes, not ${JSON.stringify(text)}`);
}

/** @throws GfsError("Usage") where one of these flags is given, which only `where` takes */
export function onlyFor(args: Arguments, flags: readonly string[], where: string): void {
  const given = flags.find((flag) => args.text(flag) !== undefined || args.on(flag));
  if (given !== undefined) throw new GfsError("Usage", `--${given} is for: ${where}`);
}
