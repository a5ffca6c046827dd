/**
 * Header lists as bytes (RFC 7541). This side sends each value literally, so that a block of its means the same whatever came before it; the other side's table of what
 * it sent before is kept: nearly all headers of an answer are in it, and cost nothing then.
 */
import { assert } from "../../base/assert.ts";
import { errorCode, Http2Error } from "./frames.ts";
import { decodeHuffman } from "./huffman.ts";

export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

/** From index 1; fields without a value serve for their name alone. */
const staticTable: readonly HeaderField[] = `
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|:status 304|:status 400|:status 404|:status 500|
accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|
content-encoding|content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|
if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|
set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`
  .replaceAll("\n", "")
  .split("|")
  .map((field) => {
    const [name = "", ...value] = field.split(" ");
    return { name, value: value.join(" ") };
  });

/** Longest header block that is sent or taken. */
export const headerBlockBytesMax = 16_384;

const tokenPattern = /^:?[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** By name: the bytes of a literal field before its value. Names are the code's own: few. */
const literalStarts = new Map<string, Uint8Array>();

/** What is being written, and where from: one block at a time. */
const scratch = new Uint8Array(headerBlockBytesMax);
let end = 0;

/** The block of these fields, in their order, after those of another block. Names are in lower case; values are printable ASCII. */
export function encodeHeaderBlock(
  fields: Iterable<readonly [name: string, value: string]>,
  start: Uint8Array = new Uint8Array(0),
): Uint8Array {
  scratch.set(start);
  end = start.length;
  for (const [name, value] of fields) writeField(name, value);
  return scratch.slice(0, end);
}

function writeField(name: string, value: string): void {
  const start = startOf(name);
  assert(end + start.length + value.length + 8 <= headerBlockBytesMax, "a request's headers are too long");
  scratch.set(start, end);
  end += start.length;
  writeInteger(value.length, 7, 0);
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if (char < 0x20 || char > 0x7e) assert(false, `the value of header ${name} is no printable ASCII`);
    scratch[end++] = char;
  }
}

/** Of a literal field that no table keeps. */
function startOf(name: string): Uint8Array {
  const known = literalStarts.get(name);
  if (known !== undefined) return known;
  assert(tokenPattern.test(name) && name.length < 127, `no name of a header: ${JSON.stringify(name)}`);
  const before = end;
  const index = staticTable.findIndex((field) => field.name === name) + 1;
  writeInteger(index, 4, 0);
  if (index === 0) {
    writeInteger(name.length, 7, 0);
    for (const char of name) scratch[end++] = char.charCodeAt(0);
  }
  const start = scratch.slice(before, end);
  end = before;
  literalStarts.set(name, start);
  return start;
}

/** RFC 7541 §5.1: in the low `bits` of a byte with these `high` ones, and more bytes where they don't suffice. */
function writeInteger(value: number, bits: number, high: number): void {
  const most = (1 << bits) - 1;
  if (value < most) {
    scratch[end++] = high | value;
    return;
  }
  scratch[end++] = high | most;
  let left = value - most;
  for (; left >= 128; left >>>= 7) scratch[end++] = (left & 127) | 128;
  scratch[end++] = left;
}

/** The size that a table has before anything else is agreed, and may not exceed. */
const tableBytesDefault = 4_096;
/** What a field in the table counts for, beyond its texts (RFC 7541 §4.1). */
const fieldOverheadBytes = 32;

/** Of one connection: every header block that comes on it must be given to `decode`, in order. */
export class HeaderDecoder {
  readonly #bytesMost: number;
  /** Newest first. */
  #table: HeaderField[] = [];
  #bytes = 0;
  #bytesMax: number;

  constructor(tableBytesMax = tableBytesDefault) {
    this.#bytesMost = tableBytesMax;
    this.#bytesMax = tableBytesMax;
  }

  /** The fields of a block. @throws Http2Error for what is no header block */
  decode(block: Uint8Array): HeaderField[] {
    const fields: HeaderField[] = [];
    const reader = new BlockReader(block);
    while (!reader.atEnd) {
      const first = reader.peek();
      if (first >= 0x80) fields.push(this.#field(reader.integer(7)));
      else if (first >= 0x20 && first < 0x40) {
        const bytes = reader.integer(5);
        if (bytes > this.#bytesMost || fields.length > 0) throw broken("a size of the table that was not agreed");
        this.#bytesMax = bytes;
        this.#evict(0);
      } else {
        // Literal: to be kept in the table, or not, or never.
        const index = reader.integer(first >= 0x40 ? 6 : 4);
        const name = index === 0 ? reader.text() : this.#field(index).name;
        const field = { name, value: reader.text() };
        fields.push(field);
        if (first >= 0x40) this.#keep(field);
      }
    }
    return fields;
  }

  #field(index: number): HeaderField {
    const field = staticTable[index - 1] ?? this.#table[index - 1 - staticTable.length];
    if (field === undefined) throw broken(`header ${index}, which no table has`);
    return field;
  }

  #keep(field: HeaderField): void {
    const bytes = sizeOf(field);
    this.#evict(bytes);
    // One that is larger than the whole table only empties it.
    if (bytes > this.#bytesMax) return;
    this.#table.unshift(field);
    this.#bytes += bytes;
  }

  /** Drops the oldest until there is room. */
  #evict(room: number): void {
    while (this.#bytes + room > this.#bytesMax) {
      const oldest = this.#table.pop();
      if (oldest === undefined) return;
      this.#bytes -= sizeOf(oldest);
    }
  }
}

function sizeOf({ name, value }: HeaderField): number {
  return name.length + value.length + fieldOverheadBytes;
}

function broken(what: string): Http2Error {
  return new Http2Error(errorCode.compression, what);
}

class BlockReader {
  readonly #block: Uint8Array;
  #at = 0;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  get atEnd(): boolean {
    return this.#at >= this.#block.length;
  }

  peek(): number {
    const byte = this.#block[this.#at];
    if (byte === undefined) throw broken("headers that end within a field");
    return byte;
  }

  integer(bits: number): number {
    const most = (1 << bits) - 1;
    let value = this.peek() & most;
    this.#at++;
    if (value < most) return value;
    for (let shift = 0; ; shift += 7) {
      // Nothing here comes near 2^28.
      if (shift > 21) throw broken("a number out of range");
      const byte = this.peek();
      this.#at++;
      value += (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }

  text(): string {
    const huffman = this.peek() >= 0x80;
    const length = this.integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#block.length) throw broken("headers that end within a text");
    this.#at = to;
    if (huffman) {
      const text = decodeHuffman(this.#block, from, to);
      if (text === undefined) throw broken("a text that is not encoded");
      return text;
    }
    let text = "";
    for (let at = from; at < to; at++) text += String.fromCharCode(this.#block[at] ?? 0);
    return text;
  }
}
