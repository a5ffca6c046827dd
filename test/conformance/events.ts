import { describe, expect, test } from "bun:test";
import type { EventLevel } from "../../src/io.ts";
import { inWorld, type MakeWorld } from "./world-under-test.ts";

const levels: readonly EventLevel[] = ["debug", "info", "warn", "error"];

export function describeEvents(name: string, make: MakeWorld): void {
  describe(`events of ${name}`, () => {
    test(
      "errors are always enabled, and a level that is enabled enables all above it",
      inWorld(make, async ({ world: { events } }) => {
        expect(events.enabled("error")).toBe(true);
        const lowest = levels.findIndex((level) => events.enabled(level));
        for (const level of levels.slice(lowest)) expect(events.enabled(level)).toBe(true);
      }),
    );

    test(
      "emit() below the level, without fields and with undefined ones does not throw",
      inWorld(make, async ({ world: { events } }) => {
        events.emit("debug", "conformance.checked", { handle: 1, absent: undefined, names: ["a", 2] });
        events.emit("debug", "conformance.checked");
      }),
    );
  });
}
