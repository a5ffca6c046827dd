import { describe, expect, test } from "bun:test";
import { drainLine } from "../../../cmd/cli/drain-text.ts";
import type { DrainReport } from "../../../src/wire/control/drains.ts";
import { volumeId } from "../../../src/wire/ids.ts";

const moving: DrainReport = {
  volume: volumeId("1".repeat(32)),
  label: "s1",
  liveness: "live",
  state: "moving",
  why: "2 chunks (3.00 MB) have too few replicas on other servers",
  chunksLeft: 2,
  bytesLeft: 3_000_000,
  openChunks: 1,
  bytesPerSecond: 1_000_000,
  estimateMs: 3_000,
};
const stuck: DrainReport = { ...moving, state: "stuck", why: "no space", openChunks: 0 };

describe("the line of a drain", () => {
  test.each<[string, string, DrainReport, ...("moving" | "still")[]]>([
    ["tells how fast it goes", "s1: 2 chunks (3.00 MB) left, 1 being written, 1.00 MB/s, about 3.0 s", moving],
    ["tells why nothing moves", `s1: 2 chunks (3.00 MB) left, 1 being written; ${moving.why}`, moving, "still"],
    [
      "says STUCK where it can't go on",
      "s1: 2 chunks (3.00 MB) left; STUCK: no space",
      { ...stuck, bytesPerSecond: 0 },
    ],
    ["does not while something has just moved", "s1: 2 chunks (3.00 MB) left, 1.00 MB/s, about 3.0 s", stuck, "moving"],
    [
      "tells why nothing is known",
      "s1: safe mode: servers are awaited",
      { ...moving, chunksLeft: undefined, why: "safe mode: servers are awaited" },
    ],
    [
      "says that it may be stopped",
      "s1 is safe to stop: no chunk needs it (gfs decommission s1 forgets it)",
      { ...moving, state: "safe" },
    ],
  ])("%s", (_, line, report, ...[pace]) => {
    expect(drainLine(report, pace)).toBe(line);
  });
});
