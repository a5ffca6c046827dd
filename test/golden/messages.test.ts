import { describe, expect, test } from "bun:test";
import type { z } from "zod";
import { decodeEntry, encodeEntry } from "../../src/master/log-batches.ts";
import { decodeCbor, encodeCbor } from "../../src/wire/cbor.ts";
import { ErrorBody } from "../../src/wire/control/handshake.ts";
import { LogBatch, LogRecord } from "../../src/wire/log-records.ts";
import { allMessages } from "./all-messages.ts";
import { expectGolden, readGolden } from "./golden-file.ts";
import { samplesOf } from "./schema-samples.ts";

interface Pinned {
  /** Of what is pinned, by name. */
  readonly schemas: ReadonlyMap<string, z.ZodType>;
  readonly encode: (value: unknown) => Uint8Array;
  /** Reads what was written, and writes it again. */
  readonly again: (bytes: Uint8Array, schema: z.ZodType) => Uint8Array;
}

/**
 * What the file has is read, and written again as it was: fields may be added to a message (optional ones), but none renamed, moved or taken away. Today's samples of every schema are in it.
 */
function pin(file: string, { schemas, encode, again }: Pinned): void {
  const known = new Map<string, Uint8Array>();
  for (const [title, bytes] of readGolden(file)) {
    const schema = schemas.get(title.split(" ", 1)[0]!);
    expect(schema, `${title} of ${file}`).toBeDefined();
    known.set(title, again(bytes, schema!));
  }
  const held = new Set([...known.values()].map((bytes) => bytes.toHex()));
  for (const [name, schema] of schemas)
    for (const [style, value] of samplesOf(schema)) {
      const bytes = encode(value);
      if (held.has(bytes.toHex())) continue;
      const before = [...known.keys()].filter((title) => title.startsWith(`${name} ${style}`)).length;
      known.set(`${name} ${style}${before === 0 ? "" : ` (${before + 1})`}`, bytes);
      held.add(bytes.toHex());
    }
  expectGolden(file, known);
}

describe("messages and records that were written once stay readable, and are written alike", () => {
  test("control messages", () => {
    const schemas = new Map<string, z.ZodType>([["error", ErrorBody]]);
    for (const { name, request, reply } of allMessages) {
      schemas.set(`${name}.request`, request);
      schemas.set(`${name}.reply`, reply);
    }
    expect(schemas.size).toBe(2 * allMessages.length + 1);
    pin("control-messages.hex", {
      schemas,
      encode: encodeCbor,
      again: (bytes, schema) => encodeCbor(schema.parse(decodeCbor(bytes))),
    });
  });

  test("records of the operation log", () => {
    const schemas = new Map<string, z.ZodType>([
      ["batch", LogBatch.omit({ records: true }).extend({ records: LogRecord.options[0].array() })],
    ]);
    for (const option of LogRecord.options)
      schemas.set(option.shape.kind.value, LogBatch.pick({ clusterMs: true }).extend({ records: option.array() }));
    pin("operation-log-records.hex", {
      schemas,
      encode: (value) => encodeEntry(LogBatch.parse(value)),
      again: (bytes) => encodeEntry(decodeEntry(bytes, 1)),
    });
  });
});
