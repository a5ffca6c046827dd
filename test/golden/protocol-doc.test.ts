import { describe, expect, test } from "bun:test";
import { errorCodes } from "../../src/base/errors.ts";
import { protocol } from "../../src/limits.ts";
import { decodeCbor, encodeCbor } from "../../src/wire/cbor.ts";
import { Uint53 } from "../../src/wire/control/common.ts";
import { frameTypes } from "../../src/wire/data/frame.ts";
import * as headers from "../../src/wire/data/headers.ts";
import { allMessages } from "./all-messages.ts";
import { fieldsOf, missingFields, readDoc, rowsOf } from "./doc-rows.ts";

const doc = readDoc("PROTOCOL.md");
const groups = { "*whereabouts*": ["location", "rack"], "*command*": ["clusterId", "epoch", "volume"] };

describe("docs/PROTOCOL.md", () => {
  test.each(allMessages.map((message) => [message.name, message] as const))(
    "has %s with all its fields",
    (name, message) => {
      const rows = rowsOf(doc, name);
      expect(rows).toHaveLength(1);
      const fields = [...fieldsOf(message.request), ...fieldsOf(message.reply)];
      expect(missingFields(rows[0]!, fields, groups)).toEqual([]);
    },
  );

  test.each(Object.entries(frameTypes))("has frame %s, code %d", (type, code) => {
    const rows = rowsOf(doc, type, 1);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toStartWith(`| ${code} |`);
    const schema = Object.entries(headers).find(([name]) => name.toLowerCase() === type.toLowerCase())?.[1];
    expect(missingFields(rows[0]!, fieldsOf(type === "error" ? headers.ErrorHeader : schema))).toEqual([]);
  });

  test("names only messages that there are", () => {
    const names = new Set(allMessages.map(({ name }) => name));
    const table = doc.slice(doc.indexOf("### Client → master: files"), doc.indexOf("## Data plane"));
    const titles = table.split("\n").flatMap((line) => /^\| `([a-z-]+)` \|/.exec(line)?.[1] ?? []);
    expect(titles.filter((title) => !names.has(title))).toEqual([]);
  });

  test("names only error codes that there are", () => {
    const words = doc.match(/`[A-Z][A-Za-z]+`/g) ?? [];
    expect(words.map((word) => word.slice(1, -1)).filter((word) => !Object.hasOwn(errorCodes, word))).toEqual([]);
  });

  test("has the version and the limits of the code", () => {
    expect([protocol.versionMin, protocol.versionMax]).toEqual([1, 1]);
    const limits = doc.slice(doc.indexOf("## Limits"));
    const { controlRequestBytesMax, controlResponseBytesMax, reportPageBytesMax, framePayloadBytesMax } = protocol;
    const mebi = [controlRequestBytesMax, controlResponseBytesMax, framePayloadBytesMax].map(
      (bytes) => bytes / 1_048_576,
    );
    for (const text of [...mebi.map((count) => `${count} MiB`), `${reportPageBytesMax / 1_024} KiB`])
      expect(limits).toContain(text);
    const { locateExtentsMax, listEntriesMax, writtenChunksMax, commitChunksMax, frameHeaderBytesMax } = protocol;
    for (const count of [locateExtentsMax, listEntriesMax, writtenChunksMax, commitChunksMax, frameHeaderBytesMax])
      expect(limits).toContain(count.toLocaleString("en").replaceAll(",", " "));
  });

  test("integers of 2^32 and above are sent as floats; the 64-bit integer form is accepted up to 2^53 − 1", () => {
    expect(encodeCbor(2 ** 32).toHex()).toBe("fb41f0000000000000");
    for (const [hex, value] of [
      ["fb41f0000000000000", 2 ** 32],
      ["1b0000000000000007", 7],
      ["1b0000000100000000", 2 ** 32],
      ["1b001fffffffffffff", 2 ** 53 - 1],
      ["1b0020000000000000", undefined],
      ["1b0020000000000001", undefined],
      ["1bffffffffffffffff", undefined],
      ["3b0000000100000000", undefined],
    ] as const)
      expect(Uint53.safeParse(decodeCbor(Uint8Array.fromHex(hex))).data).toBe(value);
  });
});
