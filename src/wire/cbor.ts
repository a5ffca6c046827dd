/**
 * CBOR as gfs uses it: plain maps, byte strings, no private extensions. The `encode` entry of cbor-x is its portable build, so that
 * every gfs executable encodes and decodes alike (the other entry loads a native add-on where it finds one).
 */
import { Encoder } from "cbor-x/encode";
import { GfsError } from "../base/errors.ts";

const options = {
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  copyBuffers: true,
  variableMapSize: true,
  // Others may send integers of 2^32 and above as such; past 2^53 they come out inexact, but never as a safe integer, and every schema refuses them.
  int64AsNumber: true,
};

const codec = new Encoder(options);

/** A new array that the caller owns. */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  const shared = codec.encode(value);
  // By `set`: the copying constructors take as long as the encoding itself.
  const own = new Uint8Array(shared.length);
  own.set(shared);
  return own;
}

/**
 * The one value that `bytes` holds, with byte strings copied out of it. Callers cap the length before.
 *
 * @throws GfsError("ProtocolError") for anything that isn't exactly one CBOR value.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  try {
    return codec.decode(bytes) as unknown;
  } catch (error) {
    throw new GfsError("ProtocolError", "Cannot decode a message: it is not valid CBOR", { cause: error });
  }
}

/** The same of what was kept on a disk; `what` names it. @throws GfsError("Corrupt") */
export function decodeStoredCbor(bytes: Uint8Array, what: string): unknown {
  try {
    return codec.decode(bytes) as unknown;
  } catch (error) {
    throw new GfsError("Corrupt", `Cannot read ${what}: it is not valid CBOR`, { cause: error });
  }
}
