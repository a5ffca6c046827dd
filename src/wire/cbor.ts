/**
 * CBOR (RFC 8949) as gfs uses it: plain maps, byte strings, no private extensions. Written in its preferred form: shortest heads, maps in the order of their keys; numbers
 * that are no integers of 32 bits and a sign are doubles. The encoder of cbor-x, which gives the same bytes, takes two to three times as long as this one; its decoder judges what
 * readPlainCbor does not know. The `encode` entry of cbor-x is its portable build (the other one loads a native add-on where it finds one).
 */
import { Encoder } from "cbor-x/encode";
import { assert } from "../base/assert.ts";
import { viewOf } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";
import { readPlainCbor } from "./cbor-reader.ts";

const options = {
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  copyBuffers: true,
  variableMapSize: true,
  // Others may send integers of 2^32 and above as such; past 2^53 they come out inexact, but never as a safe integer, and every schema refuses them.
  int64AsNumber: true,
};

const decoder = new Encoder(options);

/**
 * The one value that `bytes` holds, with byte strings copied out of it. Callers cap the length before.
 *
 * @throws GfsError("ProtocolError") for anything that isn't exactly one CBOR value.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    throw new GfsError("ProtocolError", "Cannot decode a message: it is not valid CBOR", { cause: error });
  }
}

/** The same of what was kept on a disk; `what` names it. @throws GfsError("Corrupt") */
export function decodeStoredCbor(bytes: Uint8Array, what: string): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    throw new GfsError("Corrupt", `Cannot read ${what}: it is not valid CBOR`, { cause: error });
  }
}

function decode(bytes: Uint8Array): unknown {
  const plain = readPlainCbor(bytes);
  return plain === undefined ? (decoder.decode(bytes) as unknown) : plain.value;
}

const unsigned = 0 << 5;
const negative = 1 << 5;
const byteString = 2 << 5;
const text = 3 << 5;
const array = 4 << 5;
const map = 5 << 5;
const undefinedByte = 0xf7;
const doubleByte = 0xfb;

/** What is being written: one value at a time, for nothing here waits or calls anybody. */
let target = new Uint8Array(65_536);
let view = viewOf(target);
let end = 0;
/** A larger target is given up after the value that needed it. */
const keptBytes = 1 << 20;
/** Texts up to here are written as they are read, longer ones by the platform. */
const shortText = 64;
const encoder = new TextEncoder();

/**
 * A new array that the caller owns. Takes plain objects, arrays, `Uint8Array`, texts, numbers, booleans, null and undefined (also as the value of a key); no cycles.
 */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  end = 0;
  write(value);
  // By `set`: the copying constructors take as long as the encoding itself.
  const own = new Uint8Array(end);
  own.set(target.subarray(0, end));
  if (target.length > keptBytes) {
    target = new Uint8Array(65_536);
    view = viewOf(target);
  }
  return own;
}

function write(value: unknown): void {
  reserve(16);
  switch (typeof value) {
    case "string":
      return writeText(value);
    case "number":
      return writeNumber(value);
    case "boolean":
      target[end++] = value ? 0xf5 : 0xf4;
      return;
    case "undefined":
      target[end++] = undefinedByte;
      return;
    case "object":
      if (value === null) target[end++] = 0xf6;
      else if (Array.isArray(value)) {
        writeHead(array, value.length);
        for (const item of value) write(item);
      } else if (value instanceof Uint8Array) writeBytes(value);
      else {
        assert(isPlain(value), "no CBOR for an object that is not plain");
        writeMap(value);
      }
      return;
    case "bigint":
    case "function":
    case "symbol":
      assert(false, `no CBOR for a ${typeof value}`);
  }
}

function writeNumber(value: number): void {
  if (value >= 0 && value <= 0xffff_ffff && Number.isInteger(value)) writeHead(unsigned, value);
  else if (value < 0 && value >= -0x1_0000_0000 && Number.isInteger(value)) writeHead(negative, -1 - value);
  else {
    target[end] = doubleByte;
    view.setFloat64(end + 1, value);
    end += 9;
  }
}

function writeHead(major: number, value: number): void {
  if (value < 24) target[end++] = major | value;
  else if (value < 0x100) {
    target[end++] = major | 24;
    target[end++] = value;
  } else if (value < 0x1_0000) {
    target[end++] = major | 25;
    target[end++] = value >>> 8;
    target[end++] = value;
  } else {
    target[end] = major | 26;
    view.setUint32(end + 1, value);
    end += 5;
  }
}

function writeBytes(value: Uint8Array): void {
  writeHead(byteString, value.length);
  reserve(value.length);
  target.set(value, end);
  end += value.length;
}

function writeText(value: string): void {
  const { length } = value;
  if (length <= shortText) {
    reserve(length + 2);
    const start = end;
    writeHead(text, length);
    let i = 0;
    for (; i < length; i++) {
      const char = value.charCodeAt(i);
      if (char >= 0x80) break;
      target[end++] = char;
    }
    if (i === length) return;
    end = start;
  }
  const encoded = encoder.encode(value);
  writeHead(text, encoded.length);
  reserve(encoded.length);
  target.set(encoded, end);
  end += encoded.length;
}

function isPlain(value: object): value is Readonly<Record<string, unknown>> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function writeMap(value: Readonly<Record<string, unknown>>): void {
  const start = end++;
  let count = 0;
  for (const key in value) {
    reserve(16);
    writeText(key);
    write(value[key]);
    count++;
  }
  if (count < 24) target[start] = map | count;
  else {
    // The head is longer: once more, behind it.
    end = start;
    writeHead(map, count);
    for (const [key, held] of Object.entries(value)) {
      reserve(16);
      writeText(key);
      write(held);
    }
  }
}

/** Room for so many more bytes. */
function reserve(bytes: number): void {
  if (end + bytes <= target.length) return;
  const larger = new Uint8Array(Math.max(2 * target.length, end + bytes));
  larger.set(target);
  target = larger;
  view = viewOf(larger);
}
