import { describe, expect, test } from "bun:test";
import type { Violation } from "../history.ts";
import { TailWatch } from "./tail-watch.ts";

type Step = readonly [machine: string, step: string, fields: Readonly<Record<string, unknown>>];

const opened: Step = ["master", "START", { chunk: 7, version: 1, inode: 3, members: [0, 1] }];
const prepared = (machine: string, length: number): Step => [machine, "PREPARE", { chunk: 7, version: 1, length }];
const committed = (machine: string, length: number): Step => [machine, "COMMIT", { chunk: 7, version: 1, length }];
const sealed = (length: number): Step => ["master", "SEAL", { chunk: 7, version: 2, length, members: [0, 1] }];

function judged(...steps: readonly Step[]): string {
  const violations: Violation[] = [];
  const watch = new TailWatch(violations);
  for (const [machine, step, fields] of steps) watch.see({ machine, name: `mutation.${step}`, fields });
  return violations.map(({ what }) => what).join("\n");
}

const good = [opened, prepared("s1", 10), prepared("s2", 10), committed("s1", 10)];

describe("the watch over open chunks", () => {
  test("finds nothing wrong where all is right", () => {
    expect(judged(...good, sealed(12))).toBe("");
  });

  test("sees a commit that a member has not synced", () => {
    expect(judged(opened, prepared("s1", 10), prepared("s2", 9), committed("s1", 10))).toContain("1 of 2 members");
  });

  test("sees two primaries of a version", () => {
    expect(judged(...good, committed("s2", 10))).toContain(
      "s2 commits to chunk 7 at version 1, of which s1 is primary",
    );
  });

  test("sees a seal that is shorter than what was committed", () => {
    expect(judged(...good, sealed(9))).toContain("sealed at version 2 with 9 bytes, after 10 were committed");
  });
});
