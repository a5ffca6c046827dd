import { describe, expect, test } from "bun:test";
import { fileLine, summaryLine } from "../../../cmd/cli/fsck-text.ts";

describe("what fsck says", () => {
  const file = { path: "/d/log", bytes: 3, replicas: 1, chunks: 2, problems: 0 };

  test("of a file", () => {
    expect(fileLine(file)).toBe("/d/log: 3 B, 2 chunks, 1 replica wanted: ok");
    expect(fileLine({ ...file, open: true, problems: 2, replicas: 3 })).toBe(
      "/d/log: 3 B as last told (open for append), 2 chunks, 3 replicas wanted: 2 problems",
    );
  });

  test("at last, of all", () => {
    const sums = { files: 2, openFiles: 0, chunks: 3, bytes: 1_500 };
    expect(summaryLine(sums, new Map())).toBe("2 files, 3 chunks, 1.50 kB: all is well");
    expect(summaryLine({ ...sums, openFiles: 1 }, new Map([["short", 2]]))).toBe(
      "2 files, 3 chunks, 1.50 kB as last told (1 open for append): 2 short",
    );
  });
});
