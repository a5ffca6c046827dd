import { describe, expect, test } from "bun:test";
import { eventKinds } from "../../src/master/core/event-kinds.ts";
import { defaultLimits } from "../../src/limits.ts";
import { ClusterEvent } from "../../src/wire/control/events.ts";
import { readDoc } from "./doc-rows.ts";

const doc = readDoc("OPERATIONS.md");
const section = doc.slice(doc.indexOf("## Events"), doc.indexOf("\n## ", doc.indexOf("## Events") + 1) >>> 0);

describe("docs/OPERATIONS.md, events", () => {
  test.each([...eventKinds()])("has %s as the code does: what it means, what to do", (name, { about, todo }) => {
    expect(section.split("\n").filter((line) => line.startsWith(`| \`${name}\``))).toEqual([
      `| \`${name}\` | ${about} | ${todo} |`,
    ]);
  });

  test("has no other kinds", () => {
    const names = [...section.matchAll(/^\| `([a-z.-]+)` \|/gm)].map((row) => row[1] ?? "");
    expect(names.filter((name) => !eventKinds().has(name))).toEqual([]);
  });

  test("says how much is kept, in memory and on disk", () => {
    const { eventSegments, eventSegmentBytes, eventFoldMs } = defaultLimits;
    expect((eventSegments * eventSegmentBytes) / 1_048_576).toBe(8);
    expect(section).toContain("the last 8 MiB");
    expect(eventFoldMs).toBe(600_000);
    expect(Object.keys(ClusterEvent.shape)).toContain("count");
  });
});

describe("every kind of event", () => {
  test.each([...eventKinds()])("%s has a text, whatever is missing of its fields", (name, { text }) => {
    expect(name).toMatch(/^[a-z-]+\.[a-z-]+$/);
    const words = text({ fields: {}, server: "a server", chunk: "a chunk", because: "" });
    expect(words).toMatch(/^[a-z?]/);
    expect(words).not.toContain("undefined");
  });
});
