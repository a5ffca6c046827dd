import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../../src/base/bytes.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { decodeEntry, encodeEntry, replayEntry } from "../../../src/master/log-batches.ts";
import { emptyState } from "../../../src/master/checkpoint.ts";
import { defaultLimits } from "../../../src/limits.ts";
import { sessionId } from "../../../src/wire/ids.ts";
import { storyBatches } from "../../golden/cluster-story.ts";

/** An integer of so many bytes with every bit set. */
const full = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(0xff, 0, bytes - 1).with(bytes - 1, 0x7f);

describe("an entry of the operation log", () => {
  const entry = encodeEntry({ clusterMs: 1, records: [{ kind: "feature-level", level: 3 }] });
  const [recordKind, level] = [entry.length - 2, entry.length - 1];
  const withByte = (at: number, byte: number): Uint8Array => entry.with(at, byte);

  test.each([
    ["of another form", withByte(0, 0xa2), "FormatUnsupported", "form 162"],
    ["of an unknown kind", withByte(recordKind, 99), "FormatUnsupported", "kind 99"],
    ["with a record out of range", concatBytes([entry.subarray(0, level), full(7)]), "Corrupt", "not between"],
    ["with an integer that is none", concatBytes([entry.subarray(0, level), full(8)]), "Corrupt", "too large"],
    ["that is cut short", entry.subarray(0, level), "Corrupt", "cut short"],
    ["with something behind it", concatBytes([entry, entry]), "Corrupt", "follows its end"],
    ["without a byte", new Uint8Array(), "FormatUnsupported", "form 0"],
  ])("%s is refused, naming it", (_, bytes, code, text) => {
    let thrown: unknown;
    try {
      decodeEntry(bytes, 7);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code });
    expect(String(thrown)).toContain("entry 7");
    expect(String(thrown)).toContain(text);
  });

  test("holds every batch of the story, and decodes to what was encoded", () => {
    for (const [i, batch] of storyBatches.entries()) expect(decodeEntry(encodeEntry(batch), i + 1)).toEqual(batch);
  });

  test("of any bytes is read, or refused with an error that names it", () => {
    const whole = storyBatches.map(encodeEntry);
    fc.assert(
      fc.property(fc.constantFrom(...whole), fc.nat(), fc.nat({ max: 255 }), (bytes, at, byte) => {
        try {
          decodeEntry(bytes.with(at % bytes.length, byte), 7);
        } catch (error) {
          expect(error).toBeInstanceOf(GfsError);
          expect(String(error)).toContain("entry 7");
        }
      }),
    );
  });

  test("that contradicts the state before it is corruption, not a crash", () => {
    const entry = encodeEntry({ clusterMs: 1, records: [{ kind: "session-closed", session: sessionId(5) }] });
    expect(() => replayEntry(emptyState(defaultLimits), 3, entry)).toThrow("Cannot apply entry 3");
  });

  test("of an epoch tells cluster time and wall clock of the start", () => {
    const replayed = emptyState(defaultLimits);
    const epoch = { number: 1, startId: "0123456789abcdef" };
    replayEntry(replayed, 1, encodeEntry({ clusterMs: 50, records: [{ kind: "epoch-begun", epoch, wallMs: 9_000 }] }));
    replayEntry(replayed, 2, encodeEntry({ clusterMs: 70, records: [] }));
    expect(replayed.time).toEqual({ clusterMs: 70, epochClusterMs: 50, epochWallMs: 9_000 });
  });
});
