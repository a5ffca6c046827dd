/** What a correct file system would do, one operation after the other: files by path, each a list of records. */
import { endOf, isDone, type Operation, type Tick } from "../history.ts";

interface Written {
  readonly operation: number;
  readonly bytes: number;
}

/** Never changed in place. */
interface ModelFile {
  readonly records: readonly Written[];
  /** Where it was before it was moved, and until when at most: who found it there may still append to it. */
  readonly left: readonly { readonly path: string; readonly until: Tick }[];
}

/** Paths without a file are absent. Never changed in place. */
export type FilesState = ReadonlyMap<string, ModelFile>;

/** The states after the operation, none where it can't have ended as it did in this one. */
export function applyToFiles(state: FilesState, operation: Operation): readonly FilesState[] {
  const file = state.get(operation.path);
  const same = (as: boolean): readonly FilesState[] => (as ? [state] : []);
  const refused = operation.ending?.kind === "refused" ? operation.ending.code : undefined;
  // It may mean the file that was there when it was called, where another has taken its place.
  if (refused === "NotFound") return same(operation.kind === "append" || file === undefined);
  if (refused === "Exists") return same(state.has(operation.kind === "move" ? operation.to : operation.path));
  if (refused !== undefined) return [state];
  switch (operation.kind) {
    case "put": {
      if (file !== undefined && !operation.overwrite) return [];
      return [changed(state, operation.path, fileOf(operation.bytes === 0 ? [] : [writtenBy(operation)]))];
    }
    case "append":
      return appended(state, operation);
    case "read": {
      const { content } = operation;
      if (content === undefined || file === undefined) return same(content === undefined && file === undefined);
      return same(
        content.records.length === file.records.length &&
          file.records.every((one, index) => one.operation === content.records[index]?.operation),
      );
    }
    case "stat":
      return same(operation.bytes === (file === undefined ? undefined : bytesOf(file)));
    case "remove":
      return file === undefined ? [] : [changed(state, operation.path, undefined)];
    case "move": {
      if (file === undefined || (state.has(operation.to) && !operation.overwrite)) return [];
      const left = [...file.left, { path: operation.path, until: endOf(operation) }];
      return [changed(changed(state, operation.path, undefined), operation.to, { ...file, left })];
    }
    case "list": {
      const prefix = `${operation.path}/`;
      const paths = [...state.keys()].filter((path) => path.startsWith(prefix));
      const names = paths.map((path) => path.slice(prefix.length));
      return same(names.sort().join("\n") === [...operation.names].sort().join("\n"));
    }
    default:
      return operation satisfies never;
  }
}

/** At its path; or to a file that was there since it was looked up, and has been moved. */
function appended(state: FilesState, operation: Extract<Operation, { kind: "append" }>): FilesState[] {
  const after: FilesState[] = [];
  const { path, found, create } = operation;
  for (const [at, file] of state.has(path) || !create ? state : [...state, [path, fileOf([])] as const]) {
    const reachable = at === path || file.left.some((one) => one.path === path && one.until > found);
    const end = bytesOf(file);
    if (!reachable || (isDone(operation) && operation.offsets.some((offset) => offset !== end))) continue;
    after.push(changed(state, at, { ...file, records: [...file.records, writtenBy(operation)] }));
  }
  return after;
}

/** Equal for equal states. */
export function keyOfFiles(state: FilesState): string {
  return [...state.keys()]
    .sort()
    .map((path) => {
      const file = state.get(path);
      const records = file?.records.map(({ operation }) => operation).join(",") ?? "";
      return `${path}=${records}${file?.left.map((one) => `~${one.path}`).join("") ?? ""}`;
    })
    .join(" ");
}

function fileOf(records: readonly Written[]): ModelFile {
  return { records, left: [] };
}

function writtenBy(operation: { readonly id: number; readonly bytes: number }): Written {
  return { operation: operation.id, bytes: operation.bytes };
}

function bytesOf(file: ModelFile): number {
  return file.records.reduce((sum, { bytes }) => sum + bytes, 0);
}

function changed(state: FilesState, path: string, file: ModelFile | undefined): FilesState {
  const next = new Map(state);
  if (file === undefined) next.delete(path);
  else next.set(path, file);
  return next;
}
