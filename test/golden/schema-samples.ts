/**
 * Values of a schema, made from the schema alone and always the same: with all optional fields and with none, and each member of each union. A field that is added,
 * renamed or removed changes them, so that no change of a message or record goes unnoticed by the golden files.
 */
import { z } from "zod";

const texts = ["text", "/a/b", "127.0.0.1:4370", "00112233445566778899aabbccddeeff", "0011223344556677"];
const lengths = [32, 28, 3];

interface Style {
  /** Which member of unions is taken. */
  readonly member: number;
  readonly optionals: "all" | "none";
  count: number;
}

/** Samples by name: `all.0`, `all.1` … for the members of its unions, `none` without optional fields. */
export function samplesOf(schema: z.ZodType): Map<string, unknown> {
  const samples = new Map<string, unknown>();
  const members = membersMax(schema);
  for (let member = 0; member < members; member++)
    samples.set(`all.${member}`, parsed(schema, sample(schema, { member, optionals: "all", count: 0 })));
  samples.set("none", parsed(schema, sample(schema, { member: 0, optionals: "none", count: 0 })));
  return samples;
}

function parsed(schema: z.ZodType, value: unknown): unknown {
  return schema.parse(value);
}

function membersMax(schema: unknown): number {
  if (schema instanceof z.ZodUnion)
    return Math.max(schema.options.length, ...schema.options.map((option) => membersMax(option)));
  if (schema instanceof z.ZodObject)
    return Math.max(1, ...Object.values(schema.shape).map((field) => membersMax(field)));
  if (schema instanceof z.ZodArray) return membersMax(schema.element);
  if (schema instanceof z.ZodOptional) return membersMax(schema.unwrap());
  return 1;
}

function sample(schema: unknown, style: Style): unknown {
  if (schema instanceof z.ZodUnion) return sample(schema.options[style.member % schema.options.length], style);
  if (schema instanceof z.ZodOptional) return sample(schema.unwrap(), style);
  if (schema instanceof z.ZodArray) {
    const element: unknown = schema.element;
    const one = sample(element, style);
    const two = [one, sample(element, style)];
    return style.optionals === "all" && schema.safeParse(two).success ? two : [one];
  }
  if (schema instanceof z.ZodObject) {
    const value: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(schema.shape)) {
      if (field instanceof z.ZodOptional && style.optionals === "none") continue;
      value[name] = sample(field, style);
    }
    return value;
  }
  if (schema instanceof z.ZodLiteral) return schema.value;
  if (schema instanceof z.ZodEnum) return schema.options[style.count++ % schema.options.length];
  if (schema instanceof z.ZodBoolean) return style.count++ % 2 === 0;
  if (schema instanceof z.ZodRecord) return { name: "value" };
  if (schema instanceof z.ZodType) return firstThatFits(schema, candidates(++style.count));
  throw new Error("no schema");
}

/** Numbers differ from field to field, so that two fields that change places are noticed. */
function candidates(count: number): unknown[] {
  const numbers = [2 ** 33 + count, 0x10_0000 + count, 0x1_0000 + count, 300 + count, 3, 0.5];
  const bytes = lengths.map((length) => Uint8Array.from({ length }, (_, i) => (i * 7 + count) & 0xff));
  return [...texts.map((text) => (text === "text" ? `text ${count}` : text)), ...numbers, ...bytes];
}

function firstThatFits(schema: z.ZodType, values: readonly unknown[]): unknown {
  const value = values.find((each) => schema.safeParse(each).success);
  if (value === undefined) throw new Error(`no sample fits a ${schema.def.type}`);
  return value;
}
