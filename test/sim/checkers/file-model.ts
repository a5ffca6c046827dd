/** What a correct file system would do, one operation after the other: a tree of directories and of files, each a list of records, and a trash. */
import type { ErrorCode } from "../../../src/base/errors.ts";
import { endOf, isDone, type Operation, type Tick } from "../history.ts";

interface Written {
  readonly operation: number;
  readonly bytes: number;
}

/** Never changed in place. */
interface ModelFile {
  readonly kind: "file";
  readonly records: readonly Written[];
  /** Where it was before it was moved, and until when at most: who found it there may still append to it. */
  readonly left: readonly { readonly path: string; readonly until: Tick }[];
}

/** `keeps`: of what is removed in it and below; without it as the directory above says. Briefly: for less time than where none says anything. */
interface ModelDirectory {
  readonly kind: "directory";
  readonly keeps?: "nothing" | "briefly" | undefined;
}

type Node = ModelFile | ModelDirectory;

interface Trashed {
  readonly path: string;
  /** By the rest of their paths, "" for what was removed itself. */
  readonly nodes: ReadonlyMap<string, Node>;
  /** It may expire before what was removed earlier. */
  readonly brief: boolean;
}

/** By path; the root is always there, and not among them. Never changed in place. */
export interface TreeState {
  readonly nodes: ReadonlyMap<string, Node>;
  /** The newest last. */
  readonly trash: readonly Trashed[];
}

export const emptyTree: TreeState = { nodes: new Map(), trash: [] };

/** Refusals that tell of the tree; others say nothing about it. */
export const refusalsThatTell: ReadonlySet<string> = new Set<ErrorCode>([
  "NotFound",
  "Exists",
  "IsDirectory",
  "DirectoryNotEmpty",
  "MoveIntoItself",
]);

const directory: Node = { kind: "directory" };

/** `restorable`: paths that somebody takes out of the trash; of all others it need not be remembered. */
export class FileModel {
  readonly #restorable: ReadonlySet<string>;

  constructor(operations: readonly Operation[]) {
    this.#restorable = new Set(operations.flatMap(({ kind, path }) => (kind === "restore" ? [path] : [])));
  }

  /** The states after the operation, none where it can't have ended as it did in this one. */
  apply(state: TreeState, operation: Operation): readonly TreeState[] {
    const { ending, kind } = operation;
    const outcome = this.#outcome(state, operation);
    if (ending?.kind !== "refused") return typeof outcome === "string" ? [] : outcome;
    if (!refusalsThatTell.has(ending.code)) return [state];
    // An append may mean the file that was there when it was called, where another has taken its place; what is in the trash may expire at any time.
    if (ending.code === "NotFound" && (kind === "append" || kind === "restore" || kind === "purge")) return [state];
    return outcome === ending.code ? [state] : [];
  }

  /** How it ends: with which states, none where it says that it saw another, or with which error. */
  #outcome(state: TreeState, operation: Operation): readonly TreeState[] | ErrorCode {
    const node = state.nodes.get(operation.path);
    const same = (as: boolean): readonly TreeState[] => (as ? [state] : []);
    switch (operation.kind) {
      case "put": {
        if (node?.kind === "directory") return "IsDirectory";
        if (node !== undefined && !operation.overwrite) return "Exists";
        const file = fileOf(operation.bytes === 0 ? [] : [writtenBy(operation)]);
        return [this.#trashed(state, operation.path).with(operation.path, file).state];
      }
      case "append":
        return appended(state, operation);
      case "read": {
        const { content } = operation;
        if (content === undefined || node?.kind !== "file") return same(content === undefined && node?.kind !== "file");
        return same(
          content.records.length === node.records.length &&
            node.records.every((one, index) => one.operation === content.records[index]?.operation),
        );
      }
      case "range":
        // Judged by `checkRanges`.
        return [state];
      case "stat":
        return same(operation.bytes === (node?.kind === "file" ? bytesOf(node) : undefined));
      case "mkdir": {
        if (node !== undefined) return node.kind === "directory" && operation.parents ? [state] : "Exists";
        if (!operation.parents && isMissing(state, parentOf(operation.path))) return "NotFound";
        return [new Change(state).with(operation.path, directory).state];
      }
      case "remove": {
        if (node === undefined) return "NotFound";
        if (node.kind === "directory" && !operation.recursive && childrenOf(state, operation.path).length > 0)
          return "DirectoryNotEmpty";
        if (operation.skipTrash) return [new Change(state).without(operation.path).state];
        return [this.#trashed(state, operation.path).state];
      }
      case "move":
        return this.#moved(state, operation);
      case "restore": {
        const index = state.trash.findLastIndex(({ path }) => path === operation.path);
        if (index < 0) return "NotFound";
        if (node !== undefined) return "Exists";
        return restoredFrom(state, operation.path, index);
      }
      case "purge": {
        const { path, below } = operation;
        const stays = (one: Trashed): boolean => one.path !== path && !(below && one.path.startsWith(`${path}/`));
        return [{ ...state, trash: state.trash.filter(stays) }];
      }
      case "retain": {
        if (node?.kind !== "directory") return node === undefined ? "NotFound" : "NotDirectory";
        const { trashMs } = operation;
        const keeps = trashMs === undefined ? undefined : trashMs === 0 ? "nothing" : "briefly";
        const kept: ModelDirectory = { kind: "directory", keeps };
        return [new Change(state).with(operation.path, keeps === undefined ? directory : kept).state];
      }
      case "replicate":
        return node === undefined ? "NotFound" : [state];
      case "list": {
        const exists = node?.kind === "directory";
        if (operation.names === undefined || !exists) return same(operation.names === undefined && !exists);
        const names = childrenOf(state, operation.path);
        return same(names.sort().join("\n") === [...operation.names].sort().join("\n"));
      }
      default:
        return operation satisfies never;
    }
  }

  #moved(state: TreeState, operation: Extract<Operation, { readonly kind: "move" }>): readonly TreeState[] | ErrorCode {
    const { path, to, overwrite } = operation;
    const node = state.nodes.get(path);
    if (node === undefined) return "NotFound";
    const into = state.nodes.get(to)?.kind === "directory";
    const target = into ? `${to}${path.slice(path.lastIndexOf("/"))}` : to;
    if (target === path) return [state];
    if (target.startsWith(`${path}/`)) return "MoveIntoItself";
    if (isMissing(state, parentOf(target))) return "NotFound";
    const there = state.nodes.get(target);
    if (there?.kind === "directory") return node.kind === "file" ? "IsDirectory" : "Exists";
    if (there !== undefined && node.kind === "directory") return "NotDirectory";
    if (there !== undefined && !overwrite) return "Exists";
    const change = this.#trashed(state, target);
    const moved = subtreeOf(state, path);
    change.without(path);
    for (const [rest, one] of moved) {
      const left = { path: path + rest, until: endOf(operation) };
      change.with(target + rest, one.kind === "file" ? { ...one, left: [...one.left, left] } : one);
    }
    return [change.state];
  }

  /** What is at the path, if anything, goes to the trash. */
  #trashed(state: TreeState, path: string): Change {
    const nodes = subtreeOf(state, path);
    const change = new Change(state);
    if (nodes.size === 0) return change;
    const keeps = keepsOf(state, path, nodes);
    if (this.#restorable.has(path) && keeps !== "nothing")
      change.trash = [...state.trash, { path, nodes, brief: keeps === "briefly" }];
    return change.without(path);
  }
}

/** A state that is being made. */
class Change {
  readonly #nodes: Map<string, Node>;
  trash: readonly Trashed[];

  constructor(state: TreeState) {
    this.#nodes = new Map(state.nodes);
    this.trash = state.trash;
  }

  get state(): TreeState {
    return { nodes: this.#nodes, trash: this.trash };
  }

  /** With the directories that it lies in. */
  with(path: string, node: Node): this {
    for (let parent = parentOf(path); parent !== "" && !this.#nodes.has(parent); parent = parentOf(parent))
      this.#nodes.set(parent, directory);
    this.#nodes.set(path, node);
    return this;
  }

  without(path: string): this {
    for (const key of this.#nodes.keys()) if (key === path || key.startsWith(`${path}/`)) this.#nodes.delete(key);
    return this;
  }
}

/** At its path; or to a file that was there since it was looked up, and has been moved. */
function appended(state: TreeState, operation: Extract<Operation, { kind: "append" }>): readonly TreeState[] {
  const after: TreeState[] = [];
  const { path, found, create } = operation;
  const files = [...state.nodes].filter((one): one is [string, ModelFile] => one[1].kind === "file");
  if (create && !state.nodes.has(path)) files.push([path, fileOf([])]);
  for (const [at, file] of files) {
    const reachable = at === path || file.left.some((one) => one.path === path && one.until > found);
    const end = bytesOf(file);
    if (!reachable || (isDone(operation) && operation.offsets.some((offset) => offset !== end))) continue;
    const longer = { ...file, records: [...file.records, writtenBy(operation)] };
    after.push(new Change(state).with(at, longer).state);
  }
  return after;
}

/** Equal for equal states. */
export function keyOfTree({ nodes, trash }: TreeState): string {
  const removed = trash.map((one) => `${one.path}(${keyOfNodes(one.nodes)})${one.brief ? "?" : ""}`);
  return [keyOfNodes(nodes), ...removed].join(" trash ");
}

function keyOfNodes(nodes: ReadonlyMap<string, Node>): string {
  return [...nodes.keys()]
    .sort()
    .map((path) => {
      const node = nodes.get(path);
      if (node?.kind !== "file") return `${path}/${node?.keeps ?? ""}`;
      const records = node.records.map(({ operation }) => operation).join(",");
      return `${path}=${records}${node.left.map((one) => `~${one.path}`).join("")}`;
    })
    .join(" ");
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** The newest entry of a path; or where that may have expired the one before, and so on. */
function restoredFrom(state: TreeState, path: string, newest: number): readonly TreeState[] {
  const states: TreeState[] = [];
  const gone = new Set<Trashed>();
  for (let index = newest; index >= 0; index--) {
    const entry = state.trash[index];
    if (entry?.path !== path) continue;
    const change = new Change(state);
    for (const [rest, one] of entry.nodes) change.with(path + rest, one);
    gone.add(entry);
    states.push({ ...change.state, trash: state.trash.filter((each) => !gone.has(each)) });
    if (!entry.brief) break;
  }
  return states;
}

/** The nearest directory says what is kept, the removed one itself too; of a tree no less than any directory in it says. Undefined: for the usual time. */
function keepsOf(state: TreeState, path: string, nodes: ReadonlyMap<string, Node>): ModelDirectory["keeps"] {
  let nearest: ModelDirectory["keeps"];
  for (let at = path; at !== "" && nearest === undefined; at = parentOf(at)) {
    const node = state.nodes.get(at);
    if (node?.kind === "directory") nearest = node.keeps;
  }
  if (nearest !== "nothing") return nearest;
  for (const node of nodes.values()) if (node.kind === "directory" && node.keeps === "briefly") return "briefly";
  return "nothing";
}

function isMissing(state: TreeState, path: string): boolean {
  return path !== "" && !state.nodes.has(path);
}

function subtreeOf(state: TreeState, path: string): Map<string, Node> {
  const nodes = new Map<string, Node>();
  for (const [key, node] of state.nodes)
    if (key === path || key.startsWith(`${path}/`)) nodes.set(key.slice(path.length), node);
  return nodes;
}

function childrenOf(state: TreeState, path: string): string[] {
  return [...state.nodes.keys()].filter((key) => parentOf(key) === path).map((key) => key.slice(path.length + 1));
}

function fileOf(records: readonly Written[]): ModelFile {
  return { kind: "file", records, left: [] };
}

function writtenBy(operation: { readonly id: number; readonly bytes: number }): Written {
  return { operation: operation.id, bytes: operation.bytes };
}

function bytesOf(file: ModelFile): number {
  return file.records.reduce((sum, { bytes }) => sum + bytes, 0);
}
