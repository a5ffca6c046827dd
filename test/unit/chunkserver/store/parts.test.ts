import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../../../src/base/bytes.ts";
import { crc32 } from "../../../../src/base/checksum.ts";
import { blockBytes, protocol } from "../../../../src/limits.ts";
import { partCrcs } from "../../../../src/wire/data/blocks.ts";
import { sequence } from "../../../../src/wire/ids.ts";
import { AppendAnswers } from "../../../../src/chunkserver/store/append-answers.ts";
import { BlockSums, combineParts } from "../../../../src/chunkserver/store/block-sums.ts";
import { LogRanges } from "../../../../src/chunkserver/store/log-ranges.ts";
import { ReplicaTable, type Row } from "../../../../src/chunkserver/store/replica-table.ts";
import { content } from "./sim-volume.ts";

describe("checksums of a growing chunk", () => {
  test("whatever the borders of the records, they are those of the bytes", () => {
    const data = content(300_000);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 8 }), fc.nat(), (sizes, cutAt) => {
        const sums = new BlockSums();
        for (const size of sizes) {
          const piece = data.subarray(sums.length, Math.min(data.length, sums.length + size));
          if (piece.length === 0) break;
          const parts = partCrcs(sums.length, [piece]);
          expect(combineParts(sums.length, parts, piece.length)).toBe(crc32(piece));
          sums.add(parts, piece.length);
        }
        expect(sums.crc).toBe(crc32(data.subarray(0, sums.length)));
        expect([...sums.blocks()]).toEqual(partCrcs(0, [data.subarray(0, sums.length)]));
        const length = cutAt % (sums.length + 1);
        const last = data.subarray(Math.floor(Math.max(0, length - 1) / blockBytes) * blockBytes, length);
        expect(sums.cut(length, crc32(last)).crc).toBe(crc32(data.subarray(0, length)));
      }),
      { numRuns: 40 },
    );
  });
});

describe("the replica table", () => {
  const row = (handle: number, length: number): Row => ({
    handle,
    promised: 2,
    dataVersion: 1,
    length,
    crc: length * 3,
    state: length % 5 === 0 ? "removed" : "sealed",
  });

  test("is a map, whatever comes and goes, and a snapshot stays as it was", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(100), fc.boolean()), { maxLength: 200 }),
        (steps) => {
          const table = new ReplicaTable();
          const model = new Map<number, Row>();
          let before: Row[] = [];
          let snapshot: IterableIterator<Row> | undefined;
          for (const [index, [small, length, removes]] of steps.entries()) {
            const handle = small * 2 ** 40;
            if (index === Math.floor(steps.length / 2)) {
              before = [...table.rows()];
              snapshot = table.snapshot();
            }
            if (removes) {
              table.delete(handle);
              model.delete(handle);
            } else {
              table.set(row(handle, length));
              model.set(handle, row(handle, length));
            }
          }
          const sorted = (rows: Iterable<Row>): Row[] => [...rows].sort((a, b) => a.handle - b.handle);
          expect(sorted(table.rows())).toEqual(sorted(model.values()));
          for (const [handle, kept] of model) expect(table.get(handle)).toEqual(kept);
          expect(table.rowCount).toBe(model.size);
          expect(table.replicaCount).toBe([...model.values()].filter(({ state }) => state !== "removed").length);
          if (snapshot !== undefined) expect([...snapshot]).toEqual(before);
        },
      ),
    );
  });

  test("takes at most 45 bytes a replica at a million", () => {
    Bun.gc(true);
    const before = process.memoryUsage();
    const table = new ReplicaTable();
    for (let handle = 1; handle <= 1_000_000; handle++) {
      table.set({ handle, promised: 1, dataVersion: 1, length: 64_000_000, crc: handle, state: "sealed" });
    }
    Bun.gc(true);
    const after = process.memoryUsage();
    const grown = after.arrayBuffers - before.arrayBuffers + after.heapUsed - before.heapUsed;
    expect(grown / 1_000_000).toBeLessThan(45);
    expect(table.get(999_999)?.crc).toBe(999_999);
  });
});

describe("ranges of the log", () => {
  test("give back exactly the bytes that were added, after any dropping and cutting", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 6_000 }), fc.boolean()), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.nat(),
        fc.nat(),
        (records, dropAt, cutAt) => {
          const segments: Uint8Array[] = [];
          const ranges = new LogRanges(0);
          const chunk: Uint8Array[] = [];
          let log: Uint8Array[] = [];
          let at = 0;
          for (const [bytes, gap, roll] of records) {
            if (roll) {
              segments.push(concatBytes([...log, new Uint8Array(0)]));
              log = [];
              at = 0;
            }
            const data = content(bytes, chunk.length);
            log.push(new Uint8Array(gap), data);
            ranges.add(segments.length, at + gap, bytes);
            at += gap + bytes;
            chunk.push(data);
          }
          segments.push(concatBytes([...log, new Uint8Array(0)]));
          const whole = concatBytes([...chunk, new Uint8Array(0)]);
          const cut = cutAt % (whole.length + 1);
          const drop = dropAt % (cut + 1);
          ranges.cutAt(cut);
          ranges.dropBefore(drop);
          expect([ranges.start, ranges.end]).toEqual([drop, Math.max(drop, cut)]);
          const found: Uint8Array[] = [new Uint8Array(0)];
          for (const span of drop < cut ? ranges.spans(drop, cut, 500) : []) {
            const bytes = segments[span.segment]!.subarray(span.offset, span.offset + span.bytes);
            for (const part of span.parts) found.push(bytes.subarray(part.at, part.at + part.bytes));
          }
          expect(concatBytes([...found, new Uint8Array(0)])).toEqual(whole.slice(drop, cut));
        },
      ),
    );
  });
});

describe("the append table", () => {
  test("keeps the last W answers of a session in order, and survives being handed on", () => {
    let answers = new AppendAnswers();
    for (let n = 1; n <= 200; n++) {
      answers.add(5, { sequence: sequence(n), fileOffset: n * 10, bytes: 10, crc: n });
      if (n % 37 === 0) answers = AppendAnswers.from(answers.table());
    }
    const [entry] = answers.table();
    expect(entry?.answers.map((answer) => answer.sequence)).toEqual(
      Array.from({ length: protocol.appendWindow }, (_, i) => sequence(200 - protocol.appendWindow + 1 + i)),
    );
    expect(entry?.answers.at(-1)).toEqual({ sequence: sequence(200), fileOffset: 2_000, bytes: 10, crc: 200 });
    expect(answers.lastSequence(5)).toBe(200);
  });
});
