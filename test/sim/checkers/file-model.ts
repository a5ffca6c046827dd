/** What a correct file system would do, one operation after the other: files by path, each a list of records. */
import { isDone, type Operation } from "../history.ts";

/** Records of a file: numbers of operations with their bytes. Paths without a file are absent. Never changed in place. */
export type FilesState = ReadonlyMap<string, readonly { readonly operation: number; readonly bytes: number }[]>;

/** The first half of an append that may create its file: others can see the file while it is empty, and it stays where the second half fails. */
export interface CreateStep {
  readonly kind: "create";
  readonly path: string;
}

/** The state after the operation, or undefined where it can't have ended as it did in this one. */
export function applyToFiles(state: FilesState, operation: Operation | CreateStep): FilesState | undefined {
  const file = state.get(operation.path);
  if (operation.kind === "create") return file === undefined ? changed(state, operation.path, []) : undefined;
  const refused = operation.ending?.kind === "refused" ? operation.ending.code : undefined;
  // It may mean the file that was there when it was called, where another has taken its place.
  if (refused === "NotFound" && operation.kind === "append") return state;
  if (refused === "NotFound") return file === undefined ? state : undefined;
  if (refused === "Exists")
    return state.has(operation.kind === "move" ? operation.to : operation.path) ? state : undefined;
  if (refused !== undefined) return state;
  switch (operation.kind) {
    case "put": {
      if (file !== undefined && !operation.overwrite) return undefined;
      return changed(state, operation.path, operation.bytes === 0 ? [] : [record(operation)]);
    }
    case "append": {
      if (file === undefined && !operation.create) return undefined;
      const end = bytesOf(file ?? []);
      if (isDone(operation) && operation.offsets.some((offset) => offset !== end)) return undefined;
      return changed(state, operation.path, [...(file ?? []), record(operation)]);
    }
    case "read": {
      const content = operation.content;
      if (content === undefined || file === undefined) return content === file ? state : undefined;
      const same =
        content.records.length === file.length &&
        file.every((one, index) => one.operation === content.records[index]?.operation);
      return same ? state : undefined;
    }
    case "stat":
      return operation.bytes === (file === undefined ? undefined : bytesOf(file)) ? state : undefined;
    case "remove":
      return file === undefined ? undefined : changed(state, operation.path, undefined);
    case "move": {
      if (file === undefined || (state.has(operation.to) && !operation.overwrite)) return undefined;
      return changed(changed(state, operation.path, undefined), operation.to, file);
    }
    case "list": {
      const prefix = `${operation.path}/`;
      const names = [...state.keys()]
        .filter((path) => path.startsWith(prefix))
        .map((path) => path.slice(prefix.length));
      return names.sort().join("\n") === [...operation.names].sort().join("\n") ? state : undefined;
    }
    default:
      return operation satisfies never;
  }
}

/** Equal for equal states. */
export function keyOfFiles(state: FilesState): string {
  return [...state.keys()]
    .sort()
    .map(
      (path) =>
        `${path}=${
          state
            .get(path)
            ?.map(({ operation }) => operation)
            .join(",") ?? ""
        }`,
    )
    .join(" ");
}

function record(operation: { readonly id: number; readonly bytes: number }): { operation: number; bytes: number } {
  return { operation: operation.id, bytes: operation.bytes };
}

function bytesOf(file: readonly { readonly bytes: number }[]): number {
  return file.reduce((sum, { bytes }) => sum + bytes, 0);
}

function changed(
  state: FilesState,
  path: string,
  file: readonly { readonly operation: number; readonly bytes: number }[] | undefined,
): FilesState {
  const next = new Map(state);
  if (file === undefined) next.delete(path);
  else next.set(path, file);
  return next;
}
