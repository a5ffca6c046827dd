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
import { emptyTree, FileModel, keyOfTree, refusalsThatTell, type TreeState } from "./file-model.ts";

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
    const operations = history.operations.filter(
      (one) => (one.path === directory || one.path.startsWith(`${directory}/`)) && matters(one),
    );
    // What nobody ever saw need not have happened: mostly that explains all, and is quick to find.
    const seen = new Set(
      operations.flatMap((one) =>
        one.kind === "read" ? (one.content?.records.map((record) => record.operation) ?? []) : [],
      ),
    );
    const writes = (one: Operation): boolean => one.kind === "put" || one.kind === "append";
    const likely = operations.filter((one) => Number.isFinite(endOf(one)) || seen.has(one.id) || !writes(one));
    if (search(stepsOf(likely), stepsMax).kind === "found") continue;
    const result = search(stepsOf(operations), stepsMax);
    if (result.kind === "gave-up") undecided.push(directory);
    if (result.kind === "none")
      violations.push({
        promise: "P3",
        what: `no order of the operations under ${directory} explains what was seen. Explained at most: ${result.explained} of ${operations.length}, with the files then ${result.state}; not explained then:\n  ${result.stuck.map(describe).join("\n  ")}`,
      });
  }
  return { violations, undecided };
}

function matters(operation: Operation): boolean {
  if (wasRefused(operation)) return operation.ending?.kind === "refused" && refusalsThatTell.has(operation.ending.code);
  if (operation.kind === "range") return false;
  const looks = operation.kind === "read" || operation.kind === "stat" || operation.kind === "list";
  if (operation.kind === "read" && operation.content?.kind === "broken") return false;
  return !looks || isDone(operation);
}

/** What takes effect at one moment. */
interface Step {
  readonly operation: Operation;
  readonly called: Tick;
  /** Infinity: it need not have happened at all. */
  readonly end: Tick;
}

function stepsOf(operations: readonly Operation[]): Step[] {
  return operations
    .map((operation) => ({ operation, called: operation.called, end: endOf(operation) }))
    .sort((a, b) => a.called - b.called);
}

type SearchResult =
  | { readonly kind: "found" }
  | { readonly kind: "gave-up" }
  | { readonly kind: "none"; readonly explained: number; readonly state: string; readonly stuck: readonly Operation[] };

interface Node {
  readonly state: TreeState;
  /** Taken ones, by index. */
  readonly taken: Uint8Array;
  readonly takenCount: number;
  /** Of those that must have happened. */
  readonly definiteCount: number;
  readonly candidates: readonly number[];
  next: number;
}

function search(steps: readonly Step[], stepsMax: number): SearchResult {
  const definite = steps.filter(({ end }) => Number.isFinite(end)).length;
  const memory = new Set<string>();
  const model = new FileModel(steps.map(({ operation }) => operation));
  const empty = { state: emptyTree, taken: new Uint8Array(steps.length), takenCount: 0, definiteCount: 0 };
  const path: Node[] = [nodeOf(steps, empty)];
  let best = path[0]!;
  for (let count = 0; path.length > 0; count++) {
    if (count > stepsMax) return { kind: "gave-up" };
    const node = path.at(-1)!;
    if (node.definiteCount > best.definiteCount) best = node;
    if (node.definiteCount === definite) return { kind: "found" };
    const candidate = node.candidates[node.next++];
    if (candidate === undefined) {
      path.pop();
      continue;
    }
    const { operation, end } = steps[candidate]!;
    const taken = node.taken.slice();
    taken[candidate] = 1;
    const definiteCount = node.definiteCount + (Number.isFinite(end) ? 1 : 0);
    for (const state of model.apply(node.state, operation)) {
      const key = `${keyOfTaken(taken)} ${keyOfTree(state)}`;
      if (memory.has(key)) continue;
      memory.add(key);
      path.push(nodeOf(steps, { state, taken, takenCount: node.takenCount + 1, definiteCount }));
    }
  }
  return {
    kind: "none",
    explained: best.definiteCount,
    state: keyOfTree(best.state) || "(none)",
    stuck: best.candidates.map((index) => steps[index]!.operation),
  };
}

/** What is not taken before the last one that is, and how many are. */
function keyOfTaken(taken: Uint8Array): string {
  let left = "";
  const last = taken.lastIndexOf(1);
  for (let index = 0; index < last; index++) if (taken[index] === 0) left += `${index},`;
  return `${last}-${left}`;
}

/** Candidates: not taken, and called before any other one that is not taken had ended. Those that ended come first, by their ends. */
function nodeOf(
  steps: readonly Step[],
  at: {
    readonly state: TreeState;
    readonly taken: Uint8Array;
    readonly takenCount: number;
    readonly definiteCount: number;
  },
): Node {
  let firstEnd = Number.POSITIVE_INFINITY;
  for (const [index, { end }] of steps.entries()) if (at.taken[index] === 0 && end < firstEnd) firstEnd = end;
  const candidates: number[] = [];
  for (const [index, step] of steps.entries()) {
    if (step.called > firstEnd) break;
    if (at.taken[index] === 0) candidates.push(index);
  }
  candidates.sort((a, b) => (steps[a]!.end === steps[b]!.end ? a - b : steps[a]!.end - steps[b]!.end));
  return { ...at, candidates, next: 0 };
}
