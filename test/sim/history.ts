/** What clients asked for and saw, in the order of one clock; what the checkers judge. */
import { errorCodes, type GfsError } from "../../src/base/errors.ts";
import type { ParsedContent, PlacedRecord } from "./content.ts";

/** A moment: counts calls and answers over all clients, so that "before" is never a matter of rounding. */
export type Tick = number;

/**
 * How an operation ended. `done`: acknowledged. `refused`: with an error that says it had no effect. `unknown`: it may have taken effect, once, at any
 * moment after the call: an error said so, the client gave it up, or the client died.
 */
export type Ending =
  | { readonly kind: "done"; readonly at: Tick }
  | { readonly kind: "refused"; readonly at: Tick; readonly code: string; readonly message: string }
  | { readonly kind: "unknown"; readonly code: string; readonly message: string };

export interface Call {
  /** Unique; the number in its record where it writes one. */
  readonly id: number;
  readonly client: string;
  readonly path: string;
  readonly called: Tick;
  readonly calledMs: number;
  ending: Ending | undefined;
}

export interface PutCall extends Call {
  readonly kind: "put";
  readonly bytes: number;
  readonly overwrite: boolean;
}

export interface AppendCall extends Call {
  readonly kind: "append";
  readonly bytes: number;
  readonly create: boolean;
  /** When its file was looked up at the path: at the call, or when its appender was opened. */
  readonly found: Tick;
  /** Calls of one lane are ordered: each was sent after the one before. */
  readonly lane: string;
  /** Where it said that it is; of every acknowledgement, as a retry under the same id gets one too. */
  readonly offsets: number[];
}

export interface ReadCall extends Call {
  readonly kind: "read";
  /** Undefined: there was no such file. */
  content: ParsedContent | undefined;
}

/** A part of a file that is only appended to. */
export interface RangeCall extends Call {
  readonly kind: "range";
  readonly offset: number;
  readonly length: number;
  bytes: Uint8Array;
}

export interface MakeDirectoryCall extends Call {
  readonly kind: "mkdir";
  readonly parents: boolean;
}

export interface RemoveCall extends Call {
  readonly kind: "remove";
  readonly recursive: boolean;
  readonly skipTrash: boolean;
}

/** Of the newest that was removed at the path, to where it was. */
export interface RestoreCall extends Call {
  readonly kind: "restore";
}

/** All that was removed at the path, or below it. */
export interface PurgeCall extends Call {
  readonly kind: "purge";
  readonly below: boolean;
}

/** What is removed in the directory and below stays in the trash so long; undefined: as the directory above says. */
export interface RetainCall extends Call {
  readonly kind: "retain";
  readonly trashMs: number | undefined;
}

/** Another number of replicas, of all at the path and below: nothing that a reader could see. */
export interface ReplicateCall extends Call {
  readonly kind: "replicate";
  readonly replicas: number;
}

export interface MoveCall extends Call {
  readonly kind: "move";
  readonly to: string;
  readonly overwrite: boolean;
}

export interface StatCall extends Call {
  readonly kind: "stat";
  /** Undefined: there was no such file. */
  bytes: number | undefined;
}

export interface ListCall extends Call {
  readonly kind: "list";
  /** Undefined: there was no such directory. */
  names: readonly string[] | undefined;
}

export type Operation =
  | PutCall
  | AppendCall
  | ReadCall
  | RangeCall
  | MakeDirectoryCall
  | RemoveCall
  | RestoreCall
  | PurgeCall
  | RetainCall
  | ReplicateCall
  | MoveCall
  | StatCall
  | ListCall;
export interface Violation {
  /** P1 … P7 (README), or "harness". */
  readonly promise: string;
  readonly what: string;
}

export class History {
  readonly operations: Operation[] = [];
  /** Found while things happened; checkers return theirs. */
  readonly violations: Violation[] = [];
  /** Called at each acknowledgement: for guided runs. */
  onDone: ((operation: Operation) => void) | undefined;
  readonly #nowMs: () => number;
  #ticks: Tick = 0;
  #calls = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** One more moment. */
  tick(): Tick {
    return ++this.#ticks;
  }

  /** The beginning of an operation that is called now; `add` what it becomes. */
  call(client: string, path: string): Call {
    const id = ++this.#calls;
    return { id, client, path, called: this.tick(), calledMs: this.#nowMs(), ending: undefined };
  }

  add<T extends Operation>(operation: T): T {
    this.operations.push(operation);
    return operation;
  }

  done(operation: Operation): void {
    operation.ending = { kind: "done", at: this.tick() };
    this.onDone?.(operation);
  }

  failed(operation: Operation, error: GfsError): void {
    const { code, message } = error;
    operation.ending = isUnknown(error)
      ? { kind: "unknown", code, message }
      : { kind: "refused", at: this.tick(), code, message };
    if (code === "Bug")
      this.violations.push({
        promise: "P7",
        what: `${describe(operation)} ended with a bug: ${message} ${error.stack ?? ""}`,
      });
  }
}

/** It may have taken effect, or may yet. */
export function isUnknown({ code }: GfsError): boolean {
  return errorCodes[code].next === "unknown" || code === "Interrupted";
}

export function endOf(operation: Operation): Tick {
  const { ending } = operation;
  return ending === undefined || ending.kind === "unknown" ? Number.POSITIVE_INFINITY : ending.at;
}

export function isDone(operation: Operation): boolean {
  return operation.ending?.kind === "done";
}

export function wasRefused(operation: Operation): boolean {
  return operation.ending?.kind === "refused";
}

/** One line for a report. */
export function describe(operation: Operation): string {
  const { id, kind, path, client, calledMs, ending } = operation;
  return `#${id} ${client} ${kind} ${path}${detailsOf(operation)}, called at ${calledMs.toFixed(1)} ms: ${describeEnding(ending)}`;
}

function detailsOf(operation: Operation): string {
  switch (operation.kind) {
    case "put":
      return ` (${operation.bytes} bytes${operation.overwrite ? ", overwrite" : ""})`;
    case "append":
      return ` (${operation.bytes} bytes${operation.offsets.length > 0 ? ` at ${operation.offsets.join(", ")}` : ""})`;
    case "move":
      return ` to ${operation.to}${operation.overwrite ? ", overwrite" : ""}`;
    case "read":
      return ` [${operation.content === undefined ? "no file" : describeRecords(operation.content.records)}]`;
    case "range":
      return ` (${operation.length} bytes at ${operation.offset})`;
    case "remove":
      return `${operation.recursive ? " with all below" : ""}${operation.skipTrash ? " for good" : ""}`;
    case "mkdir":
      return operation.parents ? " with parents" : "";
    case "list":
      return ` [${operation.names?.join(" ") ?? "no directory"}]`;
    case "stat":
      return ` [${operation.bytes ?? "no file"}]`;
    case "restore":
      return "";
    case "purge":
      return operation.below ? " with all below" : "";
    case "retain":
      return ` for ${operation.trashMs ?? "as long as above"}`;
    case "replicate":
      return ` ${operation.replicas} times`;
    default:
      return operation satisfies never;
  }
}

function describeEnding(ending: Ending | undefined): string {
  if (ending === undefined) return "never answered";
  return ending.kind === "done" ? "done" : `${ending.kind} ${ending.code} (${ending.message})`;
}

export function describeRecords(records: readonly PlacedRecord[]): string {
  const shown = records.slice(-12).map(({ operation, offset }) => `#${operation}@${offset}`);
  return `${records.length > 12 ? `${records.length - 12} more, ` : ""}${shown.join(" ")}`;
}
