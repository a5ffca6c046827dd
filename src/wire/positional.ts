/**
 * Values of a schema as bytes without names: fields in the order of the schema, so that nothing is looked up, and what is read has the schema's form
 * (docs/DISK-FORMAT.md, "Entries of the operation log"). Integers have 7 bits a byte, low ones first, the high bit set while more follow; other numbers are f64;
 * text and bytes have their length before them, lists their count; an optional value has 0 or 1 before it; of an enum or a union its place among the options.
 * So the order of fields and options is part of the format.
 */
import { z } from "zod";
import { assert, fail } from "../base/assert.ts";
import { fromUtf8, utf8, viewOf } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";

export interface Positional<Value> {
  /** A new array. `first` stands before the value: the number of the form. */
  encode(first: number, value: Value): Uint8Array<ArrayBuffer>;
  /** @throws GfsError("Corrupt"), GfsError("FormatUnsupported") for an option that the schema does not have */
  decode(bytes: Uint8Array, from: number): Value;
}

interface Field {
  write(value: unknown): void;
  read(): unknown;
}

// One value is written or read at a time, synchronously: its place is kept here, and nothing is made for it.
let bytes = new Uint8Array(65_536);
let view = viewOf(bytes);
let at = 0;
let scratch = bytes;

/** @throws AssertionError for a kind of schema that has no form here */
export function positional<Schema extends z.ZodType>(schema: Schema): Positional<z.infer<Schema>> {
  const field = fieldOf(schema);
  return {
    encode(first, value) {
      look(scratch);
      room(1);
      bytes[at++] = first;
      field.write(value);
      scratch = bytes;
      const encoded = new Uint8Array(at);
      encoded.set(bytes.subarray(0, at));
      return encoded;
    },
    decode(encoded, from) {
      look(encoded);
      at = from;
      const value = field.read();
      if (at !== encoded.length) corrupt("something follows its end");
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the fields were made from the schema, and read nothing else
      return value as z.infer<Schema>;
    },
  };
}

function look(into: Uint8Array): void {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- shared memory is not used
  bytes = into as Uint8Array<ArrayBuffer>;
  view = viewOf(bytes);
  at = 0;
}

/** Checks that are made of what is read; any other would be passed over in silence. */
function knownChecks(schema: z.ZodType): readonly string[] {
  if (schema instanceof z.ZodString) return ["min_length", "max_length", "string_format"];
  if (schema instanceof z.ZodNumber) return ["number_format", "greater_than", "less_than"];
  return schema instanceof z.ZodArray ? ["min_length", "max_length"] : [];
}

function fieldOf(schema: unknown): Field {
  // Bytes are a custom schema, whose own check is that they are.
  if (schema instanceof z.ZodType && !(schema instanceof z.ZodCustom))
    for (const { _zod } of schema.def.checks ?? []) {
      const { def } = _zod;
      const known = knownChecks(schema).includes(def.check) && !("inclusive" in def && def.inclusive !== true);
      assert(known, `a check without a positional form: ${def.check}`);
    }
  if (schema instanceof z.ZodObject) return objectField(schema);
  if (schema instanceof z.ZodArray) return listField(fieldOf(schema.element), lengthsOf(schema));
  if (schema instanceof z.ZodOptional) return optionalField(fieldOf(schema.unwrap()));
  if (schema instanceof z.ZodDiscriminatedUnion) return unionField(schema);
  if (schema instanceof z.ZodEnum) return choiceField(schema.options.map(String));
  if (schema instanceof z.ZodLiteral) return { write: () => undefined, read: () => schema.value };
  if (schema instanceof z.ZodBoolean) return booleanField;
  if (schema instanceof z.ZodString) return textField(schema);
  if (schema instanceof z.ZodNumber && (schema.format === "safeint" || schema.format === null))
    return schema.format === "safeint"
      ? integerField(schema.minValue ?? 0, schema.maxValue ?? 0)
      : numberField(schema.minValue ?? -Infinity, schema.maxValue ?? Infinity);
  if (schema instanceof z.ZodCustom) return bytesField;
  return fail("a kind of schema without a positional form");
}

function objectField(schema: z.ZodObject): Field {
  const names = Object.keys(schema.shape);
  const fields = names.map((name) => fieldOf(schema.shape[name]));
  return {
    write(value) {
      assert(isRecord(value), "what is encoded is of the schema");
      for (let i = 0; i < fields.length; i++) fields[i]?.write(value[names[i] ?? ""]);
    },
    read() {
      const value: Record<string, unknown> = {};
      for (let i = 0; i < fields.length; i++) {
        const part = fields[i]?.read();
        if (part !== undefined) value[names[i] ?? ""] = part;
      }
      return value;
    },
  };
}

function listField(item: Field, { min, max }: { readonly min: number; readonly max: number }): Field {
  const fits = (count: number): boolean => count >= min && count <= max;
  return {
    write(value) {
      assert(Array.isArray(value) && fits(value.length), "what is encoded is of the schema");
      writeInteger(value.length);
      for (const each of value) item.write(each);
    },
    read() {
      const items: unknown[] = [];
      const count = readInteger();
      if (!fits(count)) corrupt(`a list of ${count} is out of bounds`);
      for (let left = count; left > 0; left--) items.push(item.read());
      return items;
    },
  };
}

function lengthsOf(schema: z.ZodArray): { readonly min: number; readonly max: number } {
  const bounds = { min: 0, max: Number.POSITIVE_INFINITY };
  for (const { _zod } of schema.def.checks ?? []) {
    const { def } = _zod;
    if (def.check === "min_length" && "minimum" in def) bounds.min = Number(def.minimum);
    if (def.check === "max_length" && "maximum" in def) bounds.max = Number(def.maximum);
  }
  assert(Number.isFinite(bounds.max), "a list has a bound");
  return bounds;
}

function optionalField(inner: Field): Field {
  return {
    write(value) {
      writeInteger(value === undefined ? 0 : 1);
      if (value !== undefined) inner.write(value);
    },
    read: () => (readBelow(2) === 0 ? undefined : inner.read()),
  };
}

function unionField(schema: z.ZodDiscriminatedUnion): Field {
  const name = schema.def.discriminator;
  const fields = schema.options.map(fieldOf);
  const values = schema.options.map((option) => {
    const tag: unknown = option instanceof z.ZodObject ? option.shape[name] : undefined;
    return tag instanceof z.ZodLiteral ? tag.value : fail("options of a union are told apart by a literal");
  });
  const places = new Map(values.map((value, place) => [value, place]));
  return {
    write(value) {
      assert(isRecord(value), "what is encoded is of the schema");
      const place = places.get(String(value[name])) ?? fail(`no such option: ${String(value[name])}`);
      writeInteger(place);
      fields[place]?.write(value);
    },
    read() {
      const place = readInteger();
      const field = fields[place];
      if (field === undefined)
        throw new GfsError("FormatUnsupported", `it has ${name} ${place}, which this version of gfs does not know`);
      return field.read();
    },
  };
}

function choiceField(options: readonly string[]): Field {
  return {
    write(value) {
      const place = options.indexOf(String(value));
      assert(place >= 0, "what is encoded is of the schema");
      writeInteger(place);
    },
    read: () => options[readBelow(options.length)],
  };
}

const booleanField: Field = {
  write: (value) => writeInteger(value === true ? 1 : 0),
  read: () => readBelow(2) === 1,
};

function integerField(min: number, max: number): Field {
  return {
    write(value) {
      assert(typeof value === "number" && value >= min && value <= max, "what is encoded is of the schema");
      writeInteger(value);
    },
    read() {
      const value = readInteger();
      if (value < min || value > max) corrupt(`${value} is not between ${min} and ${max}`);
      return value;
    },
  };
}

function numberField(min: number, max: number): Field {
  const fits = (value: number): boolean => Number.isFinite(value) && value >= min && value <= max;
  return {
    write(value) {
      assert(typeof value === "number" && fits(value), "what is encoded is of the schema");
      room(8);
      view.setFloat64(at, value, true);
      at += 8;
    },
    read() {
      need(8);
      at += 8;
      const value = view.getFloat64(at - 8, true);
      if (!fits(value)) corrupt(`${value} is no number that fits`);
      return value;
    },
  };
}

function textField(schema: z.ZodString): Field {
  const max = schema.maxLength ?? Number.MAX_SAFE_INTEGER;
  const min = schema.minLength ?? 0;
  // Few have a form of their own, and those are rare.
  const formed = schema.def.checks?.some((check) => check._zod.def.check === "string_format") === true;
  const isOfForm = (text: string): boolean =>
    text.length <= max && text.length >= min && (!formed || schema.safeParse(text).success);
  return {
    write(value) {
      assert(typeof value === "string" && isOfForm(value), "what is encoded is of the schema");
      writeBytes(utf8(value));
    },
    read() {
      const text = fromUtf8(readBytes()) ?? corrupt("a text is not UTF-8");
      return isOfForm(text) ? text : corrupt("a text is out of form");
    },
  };
}

const bytesField: Field = {
  write(value) {
    assert(value instanceof Uint8Array, "what is encoded is of the schema");
    writeBytes(value);
  },
  read: () => readBytes().slice(),
};

function writeInteger(value: number): void {
  room(8);
  let left = value;
  for (; left > 0x7f; left = left > 0x7fff_ffff ? Math.floor(left / 128) : left >>> 7)
    bytes[at++] = (left & 0x7f) | 0x80;
  bytes[at++] = left;
}

function writeBytes(value: Uint8Array): void {
  writeInteger(value.length);
  room(value.length);
  bytes.set(value, at);
  at += value.length;
}

function readInteger(): number {
  let value = 0;
  let unit = 1;
  for (let count = 0; count < 8; count++) {
    need(1);
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * unit;
    if (byte < 0x80) return Number.isSafeInteger(value) ? value : corrupt("an integer is too large");
    unit *= 128;
  }
  return corrupt("an integer is too long");
}

function readBelow(limit: number): number {
  const value = readInteger();
  return value < limit ? value : corrupt(`${value} is not below ${limit}`);
}

/** A view. */
function readBytes(): Uint8Array {
  const length = readInteger();
  need(length);
  at += length;
  return bytes.subarray(at - length, at);
}

function room(more: number): void {
  if (at + more <= bytes.length) return;
  const larger = new Uint8Array(Math.max(bytes.length * 2, at + more));
  larger.set(bytes);
  bytes = larger;
  view = viewOf(larger);
}

function need(count: number): void {
  if (count > bytes.length - at) corrupt("it is cut short");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function corrupt(why: string): never {
  throw new GfsError("Corrupt", why);
}
