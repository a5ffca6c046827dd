/** The cluster secret (DESIGN §4.6), and the keys that are made of it. */
import { concatBytes, utf8 } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";
import type { Crypto } from "../io.ts";

export const secretBytesMin = 32;
const secretBytesMax = 1_024;

/**
 * The secret in the text of a secret file: one line of hexadecimal or base64 digits.
 *
 * @throws GfsError("ConfigInvalid") naming `origin` (the file), never the content.
 */
export function parseSecret(text: string, origin: string): Uint8Array {
  const line = text.trim();
  const refuse = (why: string): never => {
    throw new GfsError("ConfigInvalid", `Cannot use the secret in ${origin}: ${why}`);
  };
  if (line === "") return refuse("it is empty");
  const bytes = /^(?:[0-9a-fA-F]{2})+$/.test(line) ? Uint8Array.fromHex(line) : fromBase64(line);
  if (bytes === undefined) return refuse("it is neither hexadecimal nor base64");
  if (bytes.length < secretBytesMin)
    return refuse(`it has ${bytes.length} bytes, at least ${secretBytesMin} are needed; gfs secret new makes one`);
  if (bytes.length > secretBytesMax) return refuse(`it has ${bytes.length} bytes, at most ${secretBytesMax} are used`);
  return bytes;
}

function fromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return undefined;
  try {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from({ length: plain.length }, (_, i) => plain.charCodeAt(i));
  } catch {
    return undefined;
  }
}

/** 32 bytes that only who has the secret can make, for one purpose (`label`) and these facts, each marked off by its length. */
export function proofOf(
  crypto: Crypto,
  secret: Uint8Array,
  label: string,
  facts: readonly (Uint8Array | string)[],
): Uint8Array<ArrayBuffer> {
  const pieces: Uint8Array[] = [];
  for (const fact of [label, ...facts]) {
    const bytes = typeof fact === "string" ? utf8(fact) : fact;
    pieces.push(new Uint8Array(new Uint32Array([bytes.length]).buffer), bytes);
  }
  return new Uint8Array(crypto.hmac(secret, concatBytes(pieces)));
}

/** Equality in a time that does not tell where two arrays differ. */
export function equalSecretBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}
