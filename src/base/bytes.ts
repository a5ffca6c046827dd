/** The pieces one after the other in a new array; a single piece is returned as it is, without a copy. */
export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const only = pieces.length === 1 ? pieces[0] : undefined;
  if (only !== undefined) return only;
  const whole = new Uint8Array(byteLengthOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export function byteLengthOf(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  return bytes;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text, or undefined where the bytes are not valid UTF-8: names are refused, never mangled. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Writes 32 bits, little endian. For arrays that are made for a few fields: a view of one costs more than to make and to fill it. */
export function putUint32(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
}

/** Writes an integer below 2^53 as 64 bits, little endian. */
export function putUint53(into: Uint8Array, at: number, value: number): void {
  putUint32(into, at, value % 0x1_0000_0000);
  putUint32(into, at + 4, Math.floor(value / 0x1_0000_0000));
}

/** Reads an unsigned 64-bit integer, little endian. Undefined at 2^53 and above, which no field of gfs may reach. */
export function readUint53(view: DataView, offset: number): number | undefined {
  const high = view.getUint32(offset + 4, true);
  if (high >= 0x20_0000) return undefined;
  return high * 0x1_0000_0000 + view.getUint32(offset, true);
}

/** Writes an integer below 2^53 as 64 bits, little endian. */
export function writeUint53(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 0x1_0000_0000, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}
