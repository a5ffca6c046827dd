/** Entries of the operation log as batches of records, and their replay (DESIGN §4.1). */
import { GfsError } from "../base/errors.ts";
import type { LogPosition } from "../log/log-types.ts";
import { decodeCbor } from "../wire/cbor.ts";
import { LogBatch, LogRecord } from "../wire/log-records.ts";
import type { LoggedTime } from "./cluster-clock.ts";
import { applyBatch } from "./core/apply.ts";
import type { MasterState } from "./core/state.ts";

const kinds: ReadonlySet<string> = new Set(LogRecord.options.map((option) => option.shape.kind.value));

/** What replay builds: the state, and what the log tells of time. */
export interface Replayed {
  readonly state: MasterState;
  readonly time: LoggedTime;
}

/**
 * @throws GfsError("FormatUnsupported") for a kind of record that this version does not know, GfsError("Corrupt") for anything else that isn't a batch,
 * both naming the entry
 */
export function decodeBatch(entry: Uint8Array, position: LogPosition): LogBatch {
  const value = decodeEntry(entry, position);
  const parsed = LogBatch.safeParse(value);
  if (parsed.success) return parsed.data;
  const unknown = unknownKind(value);
  if (unknown !== undefined) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot read entry ${position} of the operation log: it has a record "${unknown}", which this version of gfs does not know`,
    );
  }
  const issue = parsed.error.issues[0];
  const where = issue === undefined ? "" : `${issue.path.join(".")}: ${issue.message}`;
  throw new GfsError("Corrupt", `Cannot read entry ${position} of the operation log: ${where}`);
}

function decodeEntry(entry: Uint8Array, position: LogPosition): unknown {
  try {
    return decodeCbor(entry);
  } catch (error) {
    throw new GfsError("Corrupt", `Cannot read entry ${position} of the operation log: it is not CBOR`, {
      cause: error,
    });
  }
}

function unknownKind(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !("records" in value) || !Array.isArray(value.records))
    return undefined;
  for (const record of value.records as readonly unknown[]) {
    if (typeof record !== "object" || record === null || !("kind" in record)) continue;
    if (typeof record.kind === "string" && !kinds.has(record.kind)) return record.kind;
  }
  return undefined;
}

/** Applies one entry. @throws as `decodeBatch`; GfsError("Corrupt") for a record that the state before it contradicts */
export function replayEntry({ state, time }: Replayed, position: LogPosition, entry: Uint8Array): void {
  const batch = decodeBatch(entry, position);
  try {
    applyBatch(state, batch);
  } catch (error) {
    throw new GfsError("Corrupt", `Cannot apply entry ${position} of the operation log: ${String(error)}`, {
      cause: error,
    });
  }
  time.clusterMs = batch.clusterMs;
  for (const record of batch.records) {
    if (record.kind !== "epoch-begun") continue;
    time.epochClusterMs = batch.clusterMs;
    time.epochWallMs = record.wallMs;
  }
}
