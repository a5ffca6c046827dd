/**
 * CRC-32 (IEEE 802.3, reflected, as in zlib) of the bytes; with `seed`, of the bytes after those that `seed` is the CRC of.
 * Unsigned 32 bits; 0 for no bytes.
 */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return Bun.hash.crc32(bytes, seed) >>> 0;
}

/** CRC of A followed by B, from the CRCs of both and the length of B in bytes (zlib's `crc32_combine`). */
export function crc32Combine(crcA: number, crcB: number, bytesOfB: number): number {
  return (multiplyModP(xToThe8n(bytesOfB), crcA) ^ crcB) >>> 0;
}

const polynomial = 0xedb88320;

/** Product of two polynomials modulo the CRC's, coefficients reflected. */
function multiplyModP(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let mask = 0x8000_0000; mask !== 0; mask >>>= 1) {
    if ((a & mask) !== 0) product ^= shifted;
    shifted = (shifted & 1) !== 0 ? (shifted >>> 1) ^ polynomial : shifted >>> 1;
  }
  return product >>> 0;
}

/** x^(2^k) modulo the polynomial, for k = 0..63: enough for any length below 2^53 bytes. */
const squares: readonly number[] = (() => {
  const table = [0x4000_0000];
  for (let k = 1; k < 64; k++) {
    const last = table[k - 1] ?? 0;
    table.push(multiplyModP(last, last));
  }
  return table;
})();

const combined = new Map<number, number>();

function xToThe8n(bytes: number): number {
  const known = combined.get(bytes);
  if (known !== undefined) return known;
  let product = 0x8000_0000; // x^0
  let rest = bytes;
  for (let k = 3; rest > 0; k++) {
    if (rest % 2 === 1) product = multiplyModP(squares[k] ?? 0, product);
    rest = Math.floor(rest / 2);
  }
  // Few lengths recur (whole blocks, one record size): remember those, and start anew before the table grows.
  if (combined.size >= 1024) combined.clear();
  combined.set(bytes, product);
  return product;
}
