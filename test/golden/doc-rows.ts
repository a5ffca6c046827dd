/** Tables of a page in docs/, to compare with the code. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

export function readDoc(name: string): string {
  return readFileSync(join(import.meta.dir, "../../docs", name), "utf8");
}

/** Rows of all tables whose cell `column` (from 0) is exactly the text in backticks; without padding. */
export function rowsOf(doc: string, text: string, column = 0): string[] {
  return doc
    .split("\n")
    .map((line) => line.replaceAll(/ +/g, " "))
    .filter((line) => line.startsWith("|") && line.split("|")[column + 1]?.trim() === `\`${text}\``);
}

/** Names of the fields of a schema; of all members of a union. */
export function fieldsOf(schema: unknown): string[] {
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => fieldsOf(option));
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** Fields that the row does not name; `groups`: words that stand for several fields. */
export function missingFields(
  row: string,
  fields: readonly string[],
  groups: Readonly<Record<string, readonly string[]>> = {},
): string[] {
  const grouped = Object.entries(groups).flatMap(([word, names]) => (row.includes(word) ? names : []));
  return fields.filter((field) => !row.includes(`\`${field}\``) && !grouped.includes(field));
}
