/**
 * Reads the CBOR that encodeCbor writes: definite lengths, texts as keys, integers of 32 bits and a sign, doubles. Of all else it says nothing, and the full decoder judges.
 * More than twice as fast as that one, mostly because the few texts that messages are made of are known already.
 */

/** What was read, or undefined for whatever the full decoder must judge: unusual, cut, or no CBOR. */
export function readPlainCbor(bytes: Uint8Array): { readonly value: unknown } | undefined {
  return readWith(bytes, () => readValue());
}

/** The same by a reader of a certain form, made of the functions below. */
export function readWith<Value>(bytes: Uint8Array, read: () => Value): { readonly value: Value } | undefined {
  source = bytes;
  at = 0;
  const value = read();
  const whole = at === bytes.length;
  source = nothing;
  return whole ? { value } : undefined;
}

const nothing = new Uint8Array(0);
/** What is being read: one value at a time, for nothing here waits or calls anybody. */
let source: Uint8Array = nothing;
/** Where the next byte lies; past every end once something was met that is not read here. */
let at = 0;
const gaveUp = Infinity;
const depthMax = 64;

/** Doubles are turned round here: a view of every message would cost more than reading it. */
const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Texts met before, by the hash of their bytes; a newer one takes the place of an older. */
const known = Array.from({ length: 2_048 }, () => "");
const knownBytesMax = 40;

/** The full decoder must judge: nothing more is read. */
export function giveUp(): undefined {
  at = gaveUp;
}

/** Past the bytes that are expected next; false, and no further, where there are others. */
export function skipBytes(expected: Uint8Array): boolean {
  const { length } = expected;
  for (let i = 0; i < length; i++) if (source[at + i] !== expected[i]) return false;
  at += length;
  return true;
}

/** Runs `read`, and is before what it read again. */
export function lookAhead<Value>(read: () => Value): Value {
  const before = at;
  const value = read();
  if (at !== gaveUp) at = before;
  return value;
}

/** How many items a list has that comes next, or pairs a map; gives up, and says 0, where there is none. */
export function readCount(kind: "list" | "map"): number {
  const first = source[at++] ?? 0;
  const low = first & 0x1f;
  const count = first >>> 5 === (kind === "list" ? 4 : 5) ? (low < 24 ? low : readHead(low)) : gaveUp;
  // Each item takes a byte at least: a short message must not ask for much memory.
  if (at + (kind === "list" ? count : 2 * count) <= source.length) return count;
  giveUp();
  return 0;
}

/** Any value. */
export function readValue(depth = 0): unknown {
  if (at >= source.length || depth > depthMax) return giveUp();
  const first = source[at++] ?? 0;
  const low = first & 0x1f;
  const major = first >>> 5;
  if (major === 7) return readSimple(first);
  const value = low < 24 ? low : readHead(low);
  switch (major) {
    case 0:
      return value;
    case 1:
      return -1 - value;
    case 2:
      return readBytes(value);
    case 3:
      return readText(value);
    case 4:
      return readArray(value, depth);
    case 5:
      return readMap(value, depth);
    default:
      return giveUp();
  }
}

/** The number in a head; Infinity for one that is not read here. */
function readHead(low: number): number {
  const length = low === 24 ? 1 : low === 25 ? 2 : low === 26 ? 4 : 0;
  if (length === 0 || at + length > source.length) {
    giveUp();
    return gaveUp;
  }
  let value = 0;
  for (let i = 0; i < length; i++) value = value * 256 + (source[at++] ?? 0);
  return value;
}

function readSimple(first: number): unknown {
  switch (first) {
    case 0xf4:
      return false;
    case 0xf5:
      return true;
    case 0xf6:
      return null;
    case 0xf7:
      return undefined;
    case 0xfb: {
      if (at + 8 > source.length) return giveUp();
      for (let i = 0; i < 8; i++) eight[i] = source[at++] ?? 0;
      return eightView.getFloat64(0);
    }
    default:
      return giveUp();
  }
}

function readBytes(length: number): unknown {
  if (!(at + length <= source.length)) return giveUp();
  const own = new Uint8Array(length);
  own.set(source.subarray(at, at + length));
  at += length;
  return own;
}

function readText(length: number): string | undefined {
  const end = at + length;
  if (!(end <= source.length)) return giveUp();
  if (length > knownBytesMax) return decode(end);
  let hash = length;
  for (let i = at; i < end; i++) hash = (Math.imul(hash, 31) + (source[i] ?? 0)) | 0;
  const slot = (hash ^ (hash >>> 11)) & 2_047;
  const before = known[slot] ?? "";
  if (isText(before, length)) {
    at = end;
    return before;
  }
  const text = decode(end);
  // Only what has a character for each byte can be compared with bytes.
  if (text?.length === length) known[slot] = text;
  return text;
}

/** Whether these are the bytes that come next. */
function isText(text: string, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== source[at + i]) return false;
  return true;
}

function decode(end: number): string | undefined {
  const bytes = source.subarray(at, end);
  at = end;
  try {
    return decoder.decode(bytes);
  } catch {
    return giveUp();
  }
}

function readArray(length: number, depth: number): unknown {
  // Each item takes a byte at least: a short message must not ask for much memory.
  if (!(at + length <= source.length)) return giveUp();
  const items: unknown[] = [];
  for (let i = 0; i < length && at !== gaveUp; i++) items.push(readValue(depth + 1));
  return items;
}

function readMap(length: number, depth: number): unknown {
  if (!(at + 2 * length <= source.length)) return giveUp();
  const map: Record<string, unknown> = {};
  for (let i = 0; i < length && at !== gaveUp; i++) {
    const key = readKey();
    if (key === undefined || key === "__proto__") return giveUp();
    map[key] = readValue(depth + 1);
  }
  return map;
}

function readKey(): string | undefined {
  const first = source[at++] ?? 0;
  const low = first & 0x1f;
  return first >>> 5 === 3 ? readText(low < 24 ? low : readHead(low)) : giveUp();
}
