import { describe, expect, test } from "bun:test";
import { CheckpointHeader } from "../../src/chunkserver/store/checkpoint.ts";
import { volumeFormat } from "../../src/chunkserver/store/identity.ts";
import { Trailer } from "../../src/chunkserver/store/trailer.ts";
import { logFormat, segmentHeaderBytes } from "../../src/log/segment.ts";
import { batchHeaderBytes } from "../../src/log/batch.ts";
import { checkpointFormat } from "../../src/master/checkpoint-file.ts";
import { entryForm } from "../../src/master/log-batches.ts";
import { applyBatch } from "../../src/master/core/apply.ts";
import { dumpState } from "../../src/master/core/dump.ts";
import { newMasterState } from "../../src/master/core/state.ts";
import { decodeCbor } from "../../src/wire/cbor.ts";
import { CheckpointHead, CheckpointPiece } from "../../src/wire/checkpoint.ts";
import { LogRecord } from "../../src/wire/log-records.ts";
import { decodeVolumeRecord } from "../../src/wire/volume-records.ts";
import { storyBatches } from "./cluster-story.ts";
import { fieldsOf, missingFields, readDoc, rowsOf } from "./doc-rows.ts";
import { readGolden } from "./golden-file.ts";

const doc = readDoc("DISK-FORMAT.md");

describe("docs/DISK-FORMAT.md", () => {
  test.each(LogRecord.options.map((option) => [option.shape.kind.value, option] as const))(
    "has the log record %s with all its fields",
    (kind, option) => {
      const rows = rowsOf(doc, kind);
      expect(rows).toHaveLength(1);
      const fields = fieldsOf(option).filter((field) => field !== "kind");
      expect(missingFields(rows[0]!, fields)).toEqual([]);
    },
  );

  test.each([...readGolden("volume-records.hex")])(
    "has the volume record %s with its code and fields",
    (kind, bytes) => {
      const rows = rowsOf(doc, kind, 1);
      expect(rows).toHaveLength(1);
      expect(rows[0]).toStartWith(`| ${bytes[0]} |`);
      const fields = Object.keys(decodeVolumeRecord(bytes).record).filter((field) => field !== "kind");
      expect(missingFields(rows[0]!, fields)).toEqual([]);
    },
  );

  test("has every section of a master's checkpoint, and the fields of its head", () => {
    const state = newMasterState();
    for (const batch of storyBatches) applyBatch(state, batch);
    const sections = [...dumpState(state)].map((piece) => CheckpointPiece.parse(decodeCbor(piece)).section);
    expect(new Set(sections).size).toBeGreaterThan(10);
    for (const section of sections) expect(rowsOf(doc, section), section).toHaveLength(1);
    expect(missingFields(rowsOf(doc, "head")[0]!, fieldsOf(CheckpointHead))).toEqual([]);
  });

  test("has the fields of trailers and of a volume's checkpoint", () => {
    expect(missingFields(doc, fieldsOf(Trailer))).toEqual([]);
    expect(missingFields(doc, fieldsOf(CheckpointHeader))).toEqual([]);
  });

  test("has the formats and sizes of the code", () => {
    expect([logFormat, entryForm, checkpointFormat, volumeFormat]).toEqual([1, 1, 2, 1]);
    expect(doc).toContain(`A segment begins with ${segmentHeaderBytes} bytes`);
    expect(rowsOf(doc.replaceAll(`${batchHeaderBytes} + 4 N`, "`entries`"), "entries")).toHaveLength(1);
  });
});
