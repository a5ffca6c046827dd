import { describe, expect, test } from "bun:test";
import { decodeBatch, replayEntry } from "../../../src/master/log-batches.ts";
import { emptyState } from "../../../src/master/checkpoint.ts";
import { defaultLimits } from "../../../src/limits.ts";
import { encodeCbor } from "../../../src/wire/cbor.ts";

describe("an entry of the operation log", () => {
  test.each([
    [
      "of an unknown kind",
      { clusterMs: 1, records: [{ kind: "of-the-future" }] },
      "FormatUnsupported",
      "of-the-future",
    ],
    [
      "with a record out of range",
      { clusterMs: 1, records: [{ kind: "feature-level", level: -1 }] },
      "Corrupt",
      "level",
    ],
    ["that is no batch", [1, 2], "Corrupt", "entry 7"],
  ])("%s is refused, naming it", (_, value, code, text) => {
    let thrown: unknown;
    try {
      decodeBatch(encodeCbor(value), 7);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code });
    expect(String(thrown)).toContain(text);
  });

  test("that contradicts the state before it is corruption, not a crash", () => {
    const entry = encodeCbor({ clusterMs: 1, records: [{ kind: "session-closed", session: 5 }] });
    expect(() => replayEntry(emptyState(defaultLimits), 3, entry)).toThrow("Cannot apply entry 3");
  });

  test("of an epoch tells cluster time and wall clock of the start", () => {
    const replayed = emptyState(defaultLimits);
    const epoch = { number: 1, startId: "0123456789abcdef" };
    replayEntry(replayed, 1, encodeCbor({ clusterMs: 50, records: [{ kind: "epoch-begun", epoch, wallMs: 9_000 }] }));
    replayEntry(replayed, 2, encodeCbor({ clusterMs: 70, records: [] }));
    expect(replayed.time).toEqual({ clusterMs: 70, epochClusterMs: 50, epochWallMs: 9_000 });
  });
});
