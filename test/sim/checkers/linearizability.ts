/**
 * Is there one order of all operations that explains what every client saw, each taking effect at one moment between its call and its end (P2, P3, P4)?
 * The search of Wing and Gong with Lowe's memory, as porcupine does it, for directories that are small enough.
 */
import {
  describe,
  endOf,
  type History,
  isDone,
  type Operation,
  type Tick,
  type Violation,
  wasRefused,
} from "../history.ts";
import { applyToFiles, type FilesState, keyOfFiles } from "./file-model.ts";

export interface LinearizabilityReport {
  readonly violations: readonly Violation[];
  /** Directories for which the search was given up. */
  readonly undecided: readonly string[];
}

const stepsMaxDefault = 300_000;

/** Operations under each of the directories are judged together; moves stay within one. */
export function checkLinearizable(
  history: History,
  directories: readonly string[],
  stepsMax = stepsMaxDefault,
): LinearizabilityReport {
  const violations: Violation[] = [];
  const undecided: string[] = [];
  for (const directory of directories) {
    const operations = history.operations
      .filter(({ path }) => path === directory || path.startsWith(`${directory}/`))
      .filter(matters);
    // What nobody ever saw need not have happened: mostly that explains all, and is quick to find.
    const seen = new Set(
      operations.flatMap((one) =>
        one.kind === "read" ? (one.content?.records.map((record) => record.operation) ?? []) : [],
      ),
    );
    const likely = operations.filter(
      (one) => Number.isFinite(endOf(one)) || seen.has(one.id) || one.kind === "remove" || one.kind === "move",
    );
    if (search(likely, stepsMax).kind === "found") continue;
    const result = search(operations, stepsMax);
    if (result.kind === "gave-up") undecided.push(directory);
    if (result.kind === "none")
      violations.push({
        promise: "P3",
        what: `no order of the operations under ${directory} explains what was seen. Explained at most: ${result.explained} of ${operations.length}, with the files then ${result.state}; not explained then:\n  ${result.stuck.map(describe).join("\n  ")}`,
      });
  }
  return { violations, undecided };
}

const refusalsThatTell = new Set(["NotFound", "Exists"]);

function matters(operation: Operation): boolean {
  if (wasRefused(operation)) return operation.ending?.kind === "refused" && refusalsThatTell.has(operation.ending.code);
  const looks = operation.kind === "read" || operation.kind === "stat" || operation.kind === "list";
  if (operation.kind === "read" && operation.content?.kind === "broken") return false;
  return !looks || isDone(operation);
}

type SearchResult =
  | { readonly kind: "found" }
  | { readonly kind: "gave-up" }
  | { readonly kind: "none"; readonly explained: number; readonly state: string; readonly stuck: readonly Operation[] };

interface Node {
  readonly state: FilesState;
  /** Taken ones, by index. */
  readonly taken: Uint8Array;
  readonly takenCount: number;
  readonly candidates: readonly number[];
  next: number;
}

function search(unsorted: readonly Operation[], stepsMax: number): SearchResult {
  const operations = [...unsorted].sort((a, b) => a.called - b.called);
  const definite = operations.filter((one) => Number.isFinite(endOf(one))).length;
  const ends: readonly Tick[] = operations.map(endOf);
  const memory = new Set<string>();
  const root = nodeOf(operations, ends, { state: new Map(), taken: new Uint8Array(operations.length), takenCount: 0 });
  const path: Node[] = [root];
  let best = root;
  for (let steps = 0; path.length > 0; steps++) {
    if (steps > stepsMax) return { kind: "gave-up" };
    const node = path.at(-1)!;
    if (node.takenCount > best.takenCount) best = node;
    if (definiteTaken(node, ends) === definite) return { kind: "found" };
    const candidate = node.candidates[node.next++];
    if (candidate === undefined) {
      path.pop();
      continue;
    }
    const state = applyToFiles(node.state, operations[candidate]!);
    if (state === undefined) continue;
    const taken = node.taken.slice();
    taken[candidate] = 1;
    const key = `${taken.join("")} ${keyOfFiles(state)}`;
    if (memory.has(key)) continue;
    memory.add(key);
    path.push(nodeOf(operations, ends, { state, taken, takenCount: node.takenCount + 1 }));
  }
  return {
    kind: "none",
    explained: best.takenCount,
    state: keyOfFiles(best.state) || "(none)",
    stuck: best.candidates.map((index) => operations[index]!),
  };
}

function definiteTaken(node: Node, ends: readonly Tick[]): number {
  let count = 0;
  for (const [index, taken] of node.taken.entries()) if (taken === 1 && Number.isFinite(ends[index])) count++;
  return count;
}

/** Candidates: not taken, and called before any other one that is not taken had ended. Those that ended come first, by their ends. */
function nodeOf(
  operations: readonly Operation[],
  ends: readonly Tick[],
  at: { readonly state: FilesState; readonly taken: Uint8Array; readonly takenCount: number },
): Node {
  let firstEnd = Number.POSITIVE_INFINITY;
  for (const [index, end] of ends.entries()) if (at.taken[index] === 0 && end < firstEnd) firstEnd = end;
  const candidates: number[] = [];
  for (const [index, operation] of operations.entries()) {
    if (operation.called > firstEnd) break;
    if (at.taken[index] === 0) candidates.push(index);
  }
  candidates.sort((a, b) => (ends[a] === ends[b] ? a - b : ends[a]! - ends[b]!));
  return { ...at, candidates, next: 0 };
}
