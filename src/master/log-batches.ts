/** Entries of the operation log as batches of records, and their replay (DESIGN §4.1). */
import { GfsError } from "../base/errors.ts";
import type { LogPosition } from "../log/log-types.ts";
import { LogBatch } from "../wire/log-records.ts";
import { positional } from "../wire/positional.ts";
import type { LoggedTime } from "./cluster-clock.ts";
import { applyBatch } from "./core/apply.ts";
import type { MasterState } from "./core/state.ts";

/** What replay builds: the state, and what the log tells of time. */
export interface Replayed {
  readonly state: MasterState;
  readonly time: LoggedTime;
}

/** What every entry begins with: how the rest is written. */
export const entryForm = 1;
const batches = positional(LogBatch);

export function encodeEntry(batch: LogBatch): Uint8Array<ArrayBuffer> {
  return batches.encode(entryForm, batch);
}

/**
 * @throws GfsError("FormatUnsupported") for a form or a kind of record that this version does not know, GfsError("Corrupt") for anything else that isn't a
 * batch, both naming the entry
 */
export function decodeEntry(entry: Uint8Array, position: LogPosition): LogBatch {
  const form = entry[0] ?? 0;
  const where = `Cannot read entry ${position} of the operation log`;
  if (form !== entryForm)
    throw new GfsError(
      "FormatUnsupported",
      `${where}: it has form ${form}, and this version of gfs knows ${entryForm}`,
    );
  try {
    return batches.decode(entry, 1);
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    throw new GfsError(error.code, `${where}: ${error.message}`, { cause: error });
  }
}

/** Applies one entry. @throws as `decodeEntry`; GfsError("Corrupt") for a record that the state before it contradicts */
export function replayEntry({ state, time }: Replayed, position: LogPosition, entry: Uint8Array): void {
  const batch = decodeEntry(entry, position);
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
