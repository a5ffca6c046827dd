/**
 * What every member of an open chunk's chain does, the primary included (DESIGN §4.3): prepare records in order, look at the promise again after the sync,
 * vote when the members below it have voted, and know how much is committed. Events in, numbers out; nothing here waits.
 */
import { assert } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";

/** One member's role in one open chunk. It ends when it stops; a chunk that was reopened after a restart has none. */
export interface MemberState {
  readonly handle: ChunkHandle;
  /** Of the role: what records must carry. */
  readonly version: ChunkVersion;
  readonly chunkBytes: number;
  /** Anything lower is refused. */
  promised: ChunkVersion;
  /** End of the last record given to the log, in bytes of the chunk. */
  prepared: number;
  /** Synced here, with no higher promise since: what this member alone votes for. */
  own: number;
  /** What the next member voted for, which counts all below it; infinite for the last. */
  downstream: number;
  /** Known to be committed. Never above `own`. */
  committed: number;
  /** Why it takes no more records; undefined while it does. */
  stopped: string | undefined;
}

export interface MemberOptions {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly chunkBytes: number;
  /** The end of the chain waits for nobody's vote. */
  readonly last: boolean;
}

/** A member of a chunk that was opened just now and is empty. */
export function openMember({ handle, version, chunkBytes, last }: MemberOptions): MemberState {
  return {
    handle,
    version,
    chunkBytes,
    promised: version,
    prepared: 0,
    own: 0,
    downstream: last ? Number.POSITIVE_INFINITY : 0,
    committed: 0,
    stopped: undefined,
  };
}

/** A record as the chain carries it; whoever read it from the wire has checked its CRC. */
export interface PreparedRecord {
  readonly version: ChunkVersion;
  /** In the chunk. */
  readonly offset: number;
  readonly bytes: number;
}

/** Why nothing more may be done under this role, or undefined while all is well. */
export function roleRefusal(state: MemberState, version: ChunkVersion): GfsError | undefined {
  const { handle } = state;
  if (version !== state.version)
    return new GfsError(
      "VersionStale",
      `Cannot append to chunk ${handle} at version ${version}: this member has ${state.version}`,
    );
  if (state.promised > state.version)
    return new GfsError(
      "VersionStale",
      `Cannot append to chunk ${handle} at version ${version}: fenced at ${state.promised}`,
    );
  if (state.stopped !== undefined)
    return new GfsError("ChunkClosed", `Cannot append to chunk ${handle}: it takes no more records (${state.stopped})`);
  return undefined;
}

/**
 * Takes the record as the next one, or says why not and stops for good: a member that missed a record can't vote for a later one.
 * The caller logs what was taken, in the same order, and passes it on.
 */
export function prepareRecord(state: MemberState, record: PreparedRecord): GfsError | undefined {
  const refusal = roleRefusal(state, record.version) ?? misplaced(state, record);
  if (refusal !== undefined) {
    stopMember(state, refusal.message);
    return refusal;
  }
  state.prepared += record.bytes;
  return undefined;
}

function misplaced(state: MemberState, record: PreparedRecord): GfsError | undefined {
  const what = `Cannot append ${record.bytes} bytes to chunk ${state.handle} at ${record.offset}`;
  if (record.bytes < 1) return new GfsError("ProtocolError", `${what}: a record has at least one byte`);
  if (record.offset !== state.prepared)
    return new GfsError("ProtocolError", `${what}: the next record begins at ${state.prepared}`);
  if (record.offset + record.bytes > state.chunkBytes)
    return new GfsError("ChunkFull", `${what}: ${state.chunkBytes - state.prepared} are left`);
  return undefined;
}

/** Everything up to `length` is durable here. Counts as this member's vote only if no higher promise was made meanwhile. */
export function ownSynced(state: MemberState, length: number): void {
  assert(length <= state.prepared, `chunk ${state.handle}: synced ${length} of ${state.prepared} prepared bytes`);
  if (state.promised > state.version || state.stopped !== undefined) return;
  if (length > state.own) state.own = length;
}

/** The next member voted. @returns why that can't be, after which the role has stopped. */
export function downstreamVoted(state: MemberState, length: number): GfsError | undefined {
  if (length > state.prepared) {
    const refusal = new GfsError(
      "ProtocolError",
      `Cannot take a vote for ${length} bytes of chunk ${state.handle}: only ${state.prepared} were sent`,
    );
    stopMember(state, refusal.message);
    return refusal;
  }
  if (length > state.downstream) state.downstream = length;
  return undefined;
}

/** The length that this member and all below it have durably prepared: what it says upstream. */
export function voteOf(state: MemberState): number {
  return Math.min(state.own, state.downstream);
}

/** The primary said so. Lower news is old news; more than this member voted for is a lie, and ignored beyond that. */
export function learnCommitted(state: MemberState, length: number): void {
  const known = Math.min(length, voteOf(state));
  if (known > state.committed) state.committed = known;
}

/** Made durable by the caller; counts at once, so that no sync in progress can still become a vote. */
export function raisePromise(state: MemberState, version: ChunkVersion): void {
  if (version <= state.promised) return;
  state.promised = version;
  stopMember(state, `fenced at version ${version}`);
}

/** The first reason stays. */
export function stopMember(state: MemberState, reason: string): void {
  state.stopped ??= reason;
}

/**
 * How far a reader may read: the committed length known here, or a higher one that the reader had from the primary (`brought`), never more than is
 * durable here.
 */
export function servableLength(known: { committed: number; durable: number }, brought: number | undefined): number {
  return Math.min(known.durable, Math.max(known.committed, brought ?? 0));
}
