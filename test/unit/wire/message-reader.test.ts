import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { GfsError } from "../../../src/base/errors.ts";
import { decodeCbor, encodeCbor } from "../../../src/wire/cbor.ts";
import { ErrorBody } from "../../../src/wire/control/handshake.ts";
import * as headers from "../../../src/wire/data/headers.ts";
import { parseCbor, readMessage } from "../../../src/wire/message-reader.ts";
import { mutateBytes, mutateValue, type Pool } from "../../fuzz/mutate.ts";
import { allMessages } from "../../golden/all-messages.ts";
import { samplesOf } from "../../golden/schema-samples.ts";
import { Prng } from "../../sim/world/prng.ts";

const schemas: readonly (readonly [string, z.ZodType])[] = [
  ["error", ErrorBody],
  ...allMessages.flatMap(({ name, request, reply }) => [
    [`${name}.request`, request] as const,
    [`${name}.reply`, reply] as const,
  ]),
  ...Object.entries(headers).flatMap(([name, value]) => (value instanceof z.ZodType ? [[name, value] as const] : [])),
];

/** In words of its own, with the order of fields, undefined ones, and what is refused and why. */
function judged(parse: () => z.ZodSafeParseResult<unknown>): string {
  try {
    const { success, data, error } = parse();
    return success ? encodeCbor(data).toHex() : error.message;
  } catch (error) {
    return error instanceof GfsError ? `${error.code} ${error.message}` : `? ${String(error)}`;
  }
}

function same(schema: z.ZodType, bytes: Uint8Array): void {
  const told = judged(() => parseCbor(schema, bytes));
  expect(told).toBe(judged(() => schema.safeParse(decodeCbor(bytes))));
}

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => reversed(item));
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, field]) => [name, reversed(field)]),
  );
}

const pool: Pool = { texts: ["", "/a", "ok", "a:1"], numbers: [0, 1, 2 ** 32, 0.5, -0], bytes: [new Uint8Array(32)] };

describe("a message read by its schema", () => {
  test.each(schemas)("%s: is what the decoder and the schema make of it", (name, schema) => {
    const prng = new Prng(name);
    for (const sample of samplesOf(schema).values()) {
      const bytes = encodeCbor(sample);
      expect(readMessage(schema, bytes), "what gfs writes is read in one go").toEqual({ value: sample });
      same(schema, bytes);
      same(schema, encodeCbor(reversed(sample)));
      for (let i = 0; i < 30; i++) {
        same(schema, encodeCbor(mutateValue(prng, sample, pool)));
        same(schema, mutateBytes(prng, bytes));
      }
    }
  });

  const checked = z.object({
    plain: z.string().optional(),
    trimmed: z.string().trim().optional(),
    even: z.int().multipleOf(2).optional(),
    above: z.number().gt(1).optional(),
    missing: z.number().default(7),
    nothing: z.null().optional(),
    pair: z.tuple([z.int(), z.string()]).optional(),
    strict: z.strictObject({ a: z.int() }).optional(),
    loose: z.looseObject({ a: z.int() }).optional(),
    refined: z
      .object({ a: z.int(), b: z.int() })
      .refine(({ a, b }) => a < b)
      .optional(),
    many: z.array(z.int()).length(2).optional(),
    either: z.union([z.int(), z.string()]).optional(),
    map: z.record(z.string(), z.int()).optional(),
    choice: z
      .enum(["a", "b"])
      .refine((value) => value === "a")
      .optional(),
    literal: z
      .literal(["a", "b"])
      .refine((value) => value === "a")
      .optional(),
    flag: z
      .boolean()
      .refine((value) => value)
      .optional(),
    union: z
      .discriminatedUnion("kind", [
        z.object({ kind: z.literal("a"), n: z.int() }),
        z.object({ kind: z.literal("b"), n: z.int() }),
      ])
      .refine(({ n }) => n > 0)
      .optional(),
    maybe: z
      .string()
      .optional()
      .refine((value) => value !== "b"),
    mail: z.email().optional(),
    small: z.int32().optional(),
  });
  test.each([
    [{ plain: undefined }],
    [{ trimmed: " a " }],
    [{ even: 3 }],
    [{ even: 4, unknown: { deep: [1] } }],
    [{ above: 1 }],
    [{ above: Number.NaN }],
    [{ missing: 3, nothing: null }],
    [{ pair: [1, "a"] }],
    [{ strict: { a: 1 } }],
    [{ strict: { a: 1, b: 1 } }],
    [{ loose: { a: 1, b: 1 } }],
    [{ refined: { a: 1, b: 2 } }],
    [{ refined: { a: 2, b: 1 } }],
    [{ many: [1] }],
    [{ many: [1, 2] }],
    [{ either: "a" }],
    [{ map: { a: 1, b: 2 } }],
    [{ map: { a: "1" } }],
    [{ choice: "a" }],
    [{ choice: "b" }],
    [{ literal: "a" }],
    [{ literal: "b" }],
    [{ flag: true }],
    [{ flag: false }],
    [{ union: { kind: "a", n: 1 } }],
    [{ union: { kind: "b", n: 0 } }],
    [{ maybe: "a" }],
    [{ maybe: "b" }],
    [{ mail: "a@b.org" }],
    [{ mail: "a" }],
    [{ small: 2 ** 40 }],
    [[]],
    [null],
  ])("whatever the schema asks for: %j", (value) => {
    same(checked, encodeCbor(value));
    // With what has a default, the reader need not give up for want of it.
    if (value !== null && !Array.isArray(value)) same(checked, encodeCbor({ missing: 1, ...value }));
  });

  test("and of a field that is not there", () => {
    const either = z.object({
      a: z
        .string()
        .optional()
        .refine((value) => value !== undefined),
    });
    for (const value of [{}, { a: undefined }, { a: "a" }]) same(either, encodeCbor(value));
  });

  test.each([
    ["a field that comes twice", "a2656f74686572016161f6"],
    ["a field that comes twice, of the schema", "a2616101616102"],
    ["a list without an end", "a161619f01ff"],
    ["something behind it", "a161610100"],
    ["an end before the end", "a16161"],
  ])("%s", (_, hex) => same(z.object({ a: z.int().nullable() }), Uint8Array.fromHex(hex)));
});
