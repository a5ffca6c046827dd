import { describe, expect, test } from "bun:test";
import { type EventFields, eventKind } from "../../../../src/master/core/event-kinds.ts";

function textOf(kind: string, fields: EventFields, because = ""): string | undefined {
  return eventKind(kind)?.text({ fields, server: "s2", chunk: "chunk 7 of /a", because });
}

test("a list in an event has its commas, and spaces behind them", () => {
  expect(textOf("master.confirmed", { accepted: ["a", "b"] })).toBe("an operator confirmed: a, b");
  expect(textOf("health.lost", { lost: 2, total: 9, away: 1, chunks: [7, 8] })).toBe(
    "2 of 9 chunks have no replica that can be read, 1 of them on dead servers: 7, 8",
  );
});

describe("the text of an event is what people read", () => {
  test.each<[string, EventFields, string]>([
    [
      "server.full",
      { freeBytes: 5_000_000, totalBytes: 100_000_000 },
      "s2 is full: 5.00 MB of 100 MB are left, for repair",
    ],
    ["seal.done", { length: 134_291_456 }, "chunk 7 of /a is sealed, at 134 MB"],
  ])("sizes have units: %s", (kind, fields, text) => {
    expect(textOf(kind, fields)).toBe(text);
  });

  test.each<[string, EventFields, string]>([
    ["drain.stuck", { chunks: 1 }, "s2 can't be emptied as things are: 1 chunk is left"],
    ["drain.stuck", { chunks: 2 }, "s2 can't be emptied as things are: 2 chunks are left"],
    ["drain.resumed", { chunks: 1 }, "s2 is not safe to stop yet: 1 chunk is left"],
    ["volume.forgotten", { lost: 1 }, "s2 is forgotten, and 1 chunk with it"],
    ["volume.forgotten", { lost: 0 }, "s2 is forgotten"],
    ["health.healthy", { total: 1 }, "the only chunk has its replicas"],
    ["health.healthy", { total: 12 }, "all 12 chunks have their replicas"],
    ["health.degraded", { short: 1, total: 1 }, "1 of 1 chunk has fewer replicas than wanted"],
    ["health.degraded", { short: 3, total: 3 }, "3 of 3 chunks have fewer replicas than wanted"],
    ["health.at-risk", { atRisk: 1, total: 9 }, "1 of 9 chunks has one copy left"],
    ["scrub.corrupt", { found: 1 }, "the scrub of s2 found 1 bad replica"],
    [
      "scrub.order-ended",
      { target: "/a", healthy: 1, corrupt: 0, missing: 2, unverified: 3 },
      "/a was read: 1 replica good, 0 corrupt, 2 missing, 3 not read",
    ],
  ])("one is not many: %s %j", (kind, fields, text) => {
    expect(textOf(kind, fields)).toBe(text);
  });
});
