/** Of paths that were only ever appended to and read (P1, P3): whoever reads after an acknowledgement sees the record. */
import { describe, endOf, type History, isDone, type Operation, type Violation } from "../history.ts";

export function checkAppendOnly(history: History): Violation[] {
  const violations: Violation[] = [];
  for (const operations of appendOnlyPaths(history).values()) {
    const acknowledged = operations
      .filter((operation) => operation.kind === "append" && isDone(operation))
      .sort((a, b) => endOf(a) - endOf(b));
    for (const read of operations) {
      if ((read.kind !== "read" && read.kind !== "stat") || !isDone(read)) continue;
      const before = acknowledged.filter((append) => endOf(append) < read.called);
      if (read.kind === "stat") {
        const least = before.reduce((most, append) => Math.max(most, endOffset(append)), 0);
        if (before.length > 0 && (read.bytes ?? -1) < least)
          violations.push({
            promise: "P3",
            what: `${describe(read)} says ${read.bytes ?? "no such file"}, after appends up to ${least} were acknowledged`,
          });
        continue;
      }
      const seen = new Set(read.content?.records.map(({ operation }) => operation));
      for (const append of before) {
        if (!seen.has(append.id)) {
          violations.push({
            promise: "P1",
            what: `acknowledged and not there: ${describe(append)}; not seen by ${describe(read)}`,
          });
          break;
        }
      }
    }
  }
  return violations;
}

function endOffset(operation: Operation): number {
  return operation.kind === "append" ? (operation.offsets[0] ?? 0) + operation.bytes : 0;
}

/** Operations by path, of those that nothing ever replaced, removed or moved, neither itself nor what it lies in. */
function appendOnlyPaths(history: History): Map<string, Operation[]> {
  const paths = new Map<string, Operation[]>();
  const others = new Set<string>();
  for (const operation of history.operations) {
    if (changes.has(operation.kind)) others.add(operation.path);
    if (operation.kind === "move") others.add(operation.to);
    const operations = paths.get(operation.path) ?? [];
    operations.push(operation);
    paths.set(operation.path, operations);
  }
  for (const path of paths.keys()) if (pathAndParents(path).some((one) => others.has(one))) paths.delete(path);
  return paths;
}

const changes: ReadonlySet<Operation["kind"]> = new Set(["put", "remove", "move", "restore"]);

function pathAndParents(path: string): string[] {
  const names = path.split("/");
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}
