/**
 * CBOR as gfs uses it: plain maps, byte strings, no private extensions. The `encode` entry of cbor-x is its portable build, so that
 * every gfs executable encodes and decodes alike (the other entry loads a native add-on where it finds one).
 */
import { Encoder } from "cbor-x/encode";
import { GfsError } from "../base/errors.ts";

const codec = new Encoder({
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  copyBuffers: true,
  variableMapSize: true,
});

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
