import { readFileSync } from "node:fs";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { GfsError } from "../../src/base/errors.ts";

/**
 * The runtime decodes arguments leniently: bytes that are not UTF-8 would become another name in silence. Where the system shows the
 * raw bytes (Linux), such arguments are refused.
 *
 * @throws GfsError("PathInvalid")
 */
export function refuseMangledArguments(): void {
  let raw: Uint8Array;
  try {
    raw = readFileSync("/proc/self/cmdline");
  } catch {
    return; // no such file on this system: the lenient decoding marks what it could not read
  }
  if (fromUtf8(raw) === undefined) throw new GfsError("PathInvalid", "Cannot use an argument: it is not valid UTF-8");
}
