/**
 * Of every content that any client read of a whole file (P2, P4): whole records only; each from an operation that was called and not refused; an append at most
 * once in all files, where its acknowledgement said; a file only grows. A file is known by its first record: that never changes, wherever it is moved.
 */
import type { ParsedContent } from "../content.ts";
import {
  type AppendCall,
  describe,
  describeRecords,
  endOf,
  type History,
  isDone,
  type Operation,
  type ReadCall,
  type Violation,
  wasRefused,
} from "../history.ts";

interface SeenRead {
  readonly read: ReadCall;
  readonly content: ParsedContent;
}

export function checkWholeFiles(history: History): Violation[] {
  const violations: Violation[] = [];
  const byId = new Map(history.operations.map((operation) => [operation.id, operation]));
  const files = new Map<number, SeenRead[]>();
  for (const read of history.operations) {
    if (read.kind !== "read" || !isDone(read) || read.content === undefined) continue;
    const { content } = read;
    if (content.kind === "broken") {
      violations.push({ promise: "P2", what: `${describe(read)}: ${content.why}` });
      continue;
    }
    const first = content.records[0];
    if (first === undefined) continue;
    const seen = files.get(first.operation) ?? [];
    seen.push({ read, content });
    files.set(first.operation, seen);
    violations.push(...checkRecords(read, content, byId));
  }
  const places = new Map<number, { readonly file: number; readonly offset: number }>();
  for (const [file, reads] of files) {
    violations.push(...checkGrowth(reads));
    const longest = longestOf(reads);
    for (const { operation, offset } of longest.content.records) {
      const place = places.get(operation);
      if (place === undefined) places.set(operation, { file, offset });
      else
        violations.push({
          promise: "P4",
          what: `operation #${operation} took effect twice: in the file that begins with #${place.file} at ${place.offset}, and in the one that begins with #${file} at ${offset}`,
        });
    }
    violations.push(...checkOrder(longest, byId));
  }
  return violations;
}

function longestOf(reads: readonly SeenRead[]): SeenRead {
  return reads.reduce((best, one) => (one.content.records.length > best.content.records.length ? one : best));
}

function checkRecords(read: ReadCall, content: ParsedContent, byId: ReadonlyMap<number, Operation>): Violation[] {
  const violations: Violation[] = [];
  const seen = new Set<number>();
  for (const [index, record] of content.records.entries()) {
    const operation = byId.get(record.operation);
    const say = (promise: string, what: string): void => {
      violations.push({ promise, what: `${what}; seen by ${describe(read)}` });
    };
    if (operation === undefined || (operation.kind !== "append" && operation.kind !== "put")) {
      say("P2", `a record of operation #${record.operation}, which wrote nothing, is at ${record.offset}`);
      continue;
    }
    if (seen.has(operation.id)) say("P4", `${describe(operation)} is in the file twice`);
    seen.add(operation.id);
    if (record.bytes !== operation.bytes) say("P2", `${describe(operation)} is there with ${record.bytes} bytes`);
    if (operation.called > endOf(read)) say("P2", `${describe(operation)} was seen before it was called`);
    if (wasRefused(operation)) say("P3", `${describe(operation)} took effect although it was refused`);
    if (operation.kind === "put" && index > 0) say("P3", `${describe(operation)} is not at the beginning of the file`);
    if (operation.kind !== "append") continue;
    const wrong = operation.offsets.find((offset) => offset !== record.offset);
    if (wrong !== undefined)
      say("P4", `${describe(operation)} was acknowledged at ${wrong} and is at ${record.offset}`);
  }
  return violations;
}

function checkGrowth(reads: readonly SeenRead[]): Violation[] {
  const violations: Violation[] = [];
  const longest = longestOf(reads);
  for (const { read, content } of reads) {
    const wrong = content.records.findIndex(
      (record, index) => record.operation !== longest.content.records[index]?.operation,
    );
    if (wrong >= 0)
      violations.push({
        promise: "P2",
        what: `two reads of one file differ from record ${wrong} on: ${describe(read)} and ${describe(longest.read)}`,
      });
  }
  const ended = [...reads].sort((a, b) => endOf(a.read) - endOf(b.read));
  const begun = [...reads].sort((a, b) => a.read.called - b.read.called);
  let next = 0;
  let before: SeenRead | undefined;
  for (const one of begun) {
    for (let read = ended[next]; read !== undefined && endOf(read.read) < one.read.called; read = ended[++next]) {
      if (before === undefined || read.content.records.length > before.content.records.length) before = read;
    }
    if (before !== undefined && one.content.records.length < before.content.records.length)
      violations.push({
        promise: "P2",
        what: `bytes once read have vanished: ${describe(one.read)} after ${describe(before.read)}`,
      });
  }
  return violations;
}

/** In a file: what was acknowledged before another append was called lies before it, and what one lane sent lies in its order. */
function checkOrder(longest: SeenRead, byId: ReadonlyMap<number, Operation>): Violation[] {
  const appends: AppendCall[] = [];
  for (const { operation } of longest.content.records) {
    const found = byId.get(operation);
    if (found?.kind === "append" && isDone(found)) appends.push(found);
  }
  let firstEndAfter: AppendCall | undefined;
  for (let i = appends.length - 1; i >= 0; i--) {
    const append = appends[i]!;
    if (firstEndAfter !== undefined && endOf(firstEndAfter) < append.called)
      return [
        {
          promise: "P2",
          what: `${describe(append)} lies before ${describe(firstEndAfter)}, which was acknowledged before it was called`,
        },
      ];
    if (firstEndAfter === undefined || endOf(append) < endOf(firstEndAfter)) firstEndAfter = append;
  }
  const lanes = new Map<string, AppendCall>();
  for (const append of appends) {
    const before = lanes.get(append.lane);
    if (before !== undefined && before.called > append.called)
      return [
        {
          promise: "P2",
          what: `${describe(append)} was sent before ${describe(before)} and lies after it in ${describeRecords(longest.content.records)}`,
        },
      ];
    lanes.set(append.lane, append);
  }
  return [];
}
