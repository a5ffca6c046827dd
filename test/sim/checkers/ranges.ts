/** Of reads of a part of a file that is only appended to (P2, P3): the bytes are those of the whole file there, and none that was acknowledged before is missing. */
import { concatBytes } from "../../../src/base/bytes.ts";
import { firstDifference, recordOf } from "../content.ts";
import { type AppendCall, describe, endOf, type History, isDone, type RangeCall, type Violation } from "../history.ts";

export function checkRanges(history: History): Violation[] {
  const violations: Violation[] = [];
  const byPath = new Map<string, RangeCall[]>();
  for (const one of history.operations)
    if (one.kind === "range" && isDone(one)) byPath.set(one.path, [...(byPath.get(one.path) ?? []), one]);
  for (const [path, ranges] of byPath) {
    const whole = longestContent(history, path);
    const appends = history.operations.filter(
      (one): one is AppendCall => one.kind === "append" && one.path === path && isDone(one),
    );
    for (const range of ranges) {
      const { bytes, offset, length } = range;
      const wrong = firstDifference(whole.subarray(offset, offset + bytes.length), bytes);
      if (wrong !== undefined)
        violations.push({
          promise: "P2",
          what: `${describe(range)}: byte ${offset + wrong} is not that of the whole file, of ${whole.length} bytes`,
        });
      const known = appends.reduce((most, append) => {
        const end = (append.offsets[0] ?? 0) + append.bytes;
        return endOf(append) < range.called ? Math.max(most, end) : most;
      }, 0);
      if (bytes.length < Math.min(length, known - offset))
        violations.push({
          promise: "P3",
          what: `${describe(range)}: ${bytes.length} bytes, after ${known} were acknowledged`,
        });
    }
  }
  return violations;
}

/** As the longest read of the whole file had it. */
function longestContent(history: History, path: string): Uint8Array {
  let best: readonly { readonly operation: number; readonly bytes: number }[] = [];
  for (const read of history.operations) {
    if (read.kind !== "read" || read.path !== path || !isDone(read)) continue;
    const records = read.content?.records ?? [];
    if (records.length > best.length) best = records;
  }
  return concatBytes(best.map(({ operation, bytes }) => recordOf(operation, bytes)));
}
