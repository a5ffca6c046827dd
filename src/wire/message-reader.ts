/**
 * Messages and headers by their schema: CBOR in, a value of the schema out, in one go and without the value between them. Made for what gfs itself writes. Of all else it
 * says nothing, and the decoder and the schema judge: so there is one judge, and one wording, of what is wrong.
 */
import { z } from "zod";
import { decodeCbor, decodeStoredCbor, encodeCbor } from "./cbor.ts";
import { giveUp, lookAhead, readCount, readValue, readWith, skipBytes } from "./cbor-reader.ts";

/** Reads one value; gives up where it is not surely of the schema. Of schemas that hold themselves there are none. */
type Reader = () => unknown;

const readers = new WeakMap<z.ZodType, Reader>();

/** As `schema.safeParse(decodeCbor(bytes))`. @throws GfsError("ProtocolError") for what is no CBOR */
export function parseCbor<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Uint8Array,
): z.ZodSafeParseResult<z.infer<Schema>> {
  const read = readMessage(schema, bytes);
  return read === undefined ? schema.safeParse(decodeCbor(bytes)) : { success: true, data: read.value };
}

/** As `schema.safeParse(decodeStoredCbor(bytes, what))`. @throws GfsError("Corrupt") for what is no CBOR */
export function parseStoredCbor<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Uint8Array,
  what: string,
): z.ZodSafeParseResult<z.infer<Schema>> {
  const read = readMessage(schema, bytes);
  return read === undefined ? schema.safeParse(decodeStoredCbor(bytes, what)) : { success: true, data: read.value };
}

/** Undefined for what the decoder and the schema must judge. */
export function readMessage<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Uint8Array,
): { readonly value: z.infer<Schema> } | undefined {
  let reader = readers.get(schema);
  if (reader === undefined) {
    reader = readerOf(schema);
    readers.set(schema, reader);
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the reader was made from the schema, and reads nothing else
  return readWith(bytes, reader) as { readonly value: z.infer<Schema> } | undefined;
}

function readerOf(schema: z.core.$ZodType): Reader {
  // Readers of these look at their checks themselves.
  const looksAtChecks = schema instanceof z.ZodString || schema instanceof z.ZodNumber || schema instanceof z.ZodArray;
  if (hasChecks(schema) && !looksAtChecks) return checkedReader(schema);
  return (
    objectReader(schema) ?? listReader(schema) ?? unionReader(schema) ?? simpleReader(schema) ?? checkedReader(schema)
  );
}

function hasChecks(schema: z.core.$ZodType): boolean {
  return (schema._zod.def.checks ?? []).length > 0;
}

function simpleReader(schema: z.core.$ZodType): Reader | undefined {
  if (schema instanceof z.ZodString) return textReader(schema);
  if (schema instanceof z.ZodNumber) return numberReader(schema);
  if (schema instanceof z.ZodEnum) return choiceReader(schema.options);
  if (schema instanceof z.ZodLiteral) return choiceReader([...schema.values]);
  if (schema instanceof z.ZodBoolean) return () => only(readValue(), (value) => typeof value === "boolean");
  if (!(schema instanceof z.ZodOptional)) return undefined;
  const inner = readerOf(schema.unwrap());
  return () => (skipBytes(undefinedValue) ? undefined : inner());
}

const undefinedValue = encodeCbor(undefined);

/** For whatever has no reader of its own: the schema judges the part. */
function checkedReader(schema: z.core.$ZodType): Reader {
  return () => {
    const parsed = z.safeParse(schema, readValue());
    return parsed.success ? parsed.data : giveUp();
  };
}

function only(value: unknown, fits: (value: unknown) => boolean): unknown {
  return fits(value) ? value : giveUp();
}

function choiceReader(values: readonly unknown[]): Reader | undefined {
  if (!values.every((value) => typeof value === "string")) return undefined;
  return () => {
    const value = readValue();
    return values.some((one) => one === value) ? value : giveUp();
  };
}

/** What the checks of a text or a list ask for; undefined where one of them is not known here. */
function boundsOf(checks: readonly z.core.$ZodCheck[]): { min: number; max: number; pattern?: RegExp } | undefined {
  const bounds: { min: number; max: number; pattern?: RegExp } = { min: 0, max: Infinity };
  for (const { _zod } of checks) {
    const { def } = _zod;
    if (def.check === "min_length" && "minimum" in def) bounds.min = Math.max(bounds.min, Number(def.minimum));
    else if (def.check === "max_length" && "maximum" in def) bounds.max = Math.min(bounds.max, Number(def.maximum));
    else if (def.check === "string_format" && "pattern" in def && def.pattern instanceof RegExp && !bounds.pattern)
      bounds.pattern = def.pattern;
    else return undefined;
  }
  return bounds;
}

function textReader(schema: z.ZodString): Reader | undefined {
  const bounds = boundsOf(schema.def.checks ?? []);
  if (bounds === undefined || bounds.pattern?.global === true || bounds.pattern?.sticky === true) return undefined;
  const { min, max, pattern } = bounds;
  return () => {
    const value = readValue();
    if (typeof value !== "string" || value.length < min || value.length > max) return giveUp();
    return pattern === undefined || pattern.test(value) ? value : giveUp();
  };
}

function numberReader(schema: z.ZodNumber): Reader | undefined {
  const whole = schema.format === "safeint";
  let min = -Infinity;
  let max = Infinity;
  for (const { _zod } of schema.def.checks ?? []) {
    const { def } = _zod;
    if (def.check === "number_format") continue;
    if (!("inclusive" in def) || def.inclusive !== true || !("value" in def)) return undefined;
    if (def.check === "greater_than") min = Math.max(min, Number(def.value));
    else if (def.check === "less_than") max = Math.min(max, Number(def.value));
    else return undefined;
  }
  if (!whole && schema.format !== null) return undefined;
  return () => {
    const value = readValue();
    if (typeof value !== "number" || !(value >= min && value <= max)) return giveUp();
    return (whole ? Number.isSafeInteger(value) : Number.isFinite(value)) ? value : giveUp();
  };
}

function listReader(schema: z.core.$ZodType): Reader | undefined {
  if (!(schema instanceof z.ZodArray)) return undefined;
  const bounds = boundsOf(schema.def.checks ?? []);
  if (bounds === undefined || bounds.pattern !== undefined) return undefined;
  const { min, max } = bounds;
  const item = readerOf(schema.element);
  return () => {
    const count = readCount("list");
    if (count < min || count > max) return giveUp();
    const items: unknown[] = [];
    for (let i = 0; i < count; i++) items.push(item());
    return items;
  };
}

interface Field {
  readonly name: string;
  /** As it stands in the message. */
  readonly key: Uint8Array;
  readonly read: Reader;
}

/** A bit for each field. */
const fieldsMax = 31;

function objectReader(schema: z.core.$ZodType): Reader | undefined {
  if (!(schema instanceof z.ZodObject) || schema.def.catchall !== undefined) return undefined;
  const parts: readonly (readonly [string, z.core.$ZodType])[] = Object.entries(schema.shape);
  if (parts.length > fieldsMax) return undefined;
  const fields = parts.map(([name, part]): Field => ({ name, key: encodeCbor(name), read: readerOf(part) }));
  // An optional one with checks has them also where it is absent.
  const mayBeAbsent = (part: z.core.$ZodType): boolean => part instanceof z.ZodOptional && !hasChecks(part);
  const needed = parts.reduce((bits, [, part], i) => (mayBeAbsent(part) ? bits : bits | (1 << i)), 0);
  return () => {
    const value: Record<string, unknown> = {};
    let seen = 0;
    let next = 0;
    let ordered = true;
    for (let left = readCount("map"); left > 0; left--) {
      let place = placeOf(fields, next, fields.length);
      if (place === -1) {
        place = placeOf(fields, 0, next);
        ordered = false;
      }
      const field = fields[place];
      if (field === undefined || (seen & (1 << place)) !== 0) return giveUp();
      value[field.name] = field.read();
      seen |= 1 << place;
      next = place + 1;
    }
    if ((seen & needed) !== needed) return giveUp();
    return ordered ? value : inOrder(fields, value);
  };
}

/** Past the key that comes next, of one of these fields; -1 where it is of none of them. */
function placeOf(fields: readonly Field[], from: number, to: number): number {
  for (let i = from; i < to; i++) {
    const field = fields[i];
    if (field !== undefined && skipBytes(field.key)) return i;
  }
  return -1;
}

/** As the schema gives it: values of one kind have their fields in one order, whoever sent them. */
function inOrder(fields: readonly Field[], value: Readonly<Record<string, unknown>>): unknown {
  const ordered: Record<string, unknown> = {};
  for (const { name } of fields) if (Object.hasOwn(value, name)) ordered[name] = value[name];
  return ordered;
}

/** Options are told apart where their field comes first, as gfs writes it. */
function unionReader(schema: z.core.$ZodType): Reader | undefined {
  if (!(schema instanceof z.ZodDiscriminatedUnion)) return undefined;
  const key = encodeCbor(schema.def.discriminator);
  const options = new Map<unknown, Reader>();
  for (const option of schema.options) {
    const tag: unknown = option instanceof z.ZodObject ? option.shape[schema.def.discriminator] : undefined;
    if (!(tag instanceof z.ZodLiteral) || tag.values.size !== 1) return undefined;
    options.set(tag.value, readerOf(option));
  }
  const readTag = (): unknown => (readCount("map") > 0 && skipBytes(key) ? readValue() : undefined);
  return () => {
    const read = options.get(lookAhead(readTag));
    return read === undefined ? giveUp() : read();
  };
}
