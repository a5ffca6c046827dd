/**
 * The head of an open chunk's chain (DESIGN §4.3): accepts each session's records in sequence, gives them their offsets, and answers in order when every
 * member has voted. Any failure below ends its role for good (rollback); a fence does too. Events in, effects out; the shell carries the effects out in order.
 */
import { GfsError } from "../../base/errors.ts";
import { protocol, type Limits } from "../../limits.ts";
import type { AppendAnswer, AppendTable } from "../../wire/control/common.ts";
import type { ChunkVersion, Sequence, SessionId } from "../../wire/ids.ts";
import {
  acceptAnswer,
  lookupAppend,
  tableBounds,
  tableFrom,
  tableFull,
  type AppendTableBounds,
  type AppendTableState,
} from "./append-table.ts";
import {
  downstreamVoted,
  openMember,
  ownSynced,
  prepareRecord,
  raisePromise,
  roleRefusal,
  stopMember,
  voteOf,
  type MemberOptions,
  type MemberState,
} from "./member.ts";

/** Names a client's append stream to the shell; a retry on another stream is another asker. */
export type AskerId = number;

interface PendingRecord {
  readonly session: SessionId;
  /** End in the chunk: answered when this is committed. */
  readonly end: number;
  readonly answer: AppendAnswer;
  readonly acceptedMs: number;
  /** Who waits for the answer, in the order in which they asked. */
  readonly askers: AskerId[];
}

export interface PrimaryState {
  readonly member: MemberState;
  /** Of the chunk's first byte in the file. */
  readonly fileOffset: number;
  readonly prepareMs: number;
  /** Everything accepted, committed or not, after what earlier tails of the inode answered. */
  readonly table: AppendTableState;
  readonly tableBounds: AppendTableBounds;
  /** Accepted and not yet committed, in the order of their offsets; those before `answered` are done with. */
  pending: PendingRecord[];
  answered: number;
  /** Unanswered records of each session that has some. */
  readonly unanswered: Map<SessionId, number>;
  /** Exclusive: at this instant the lease has lapsed. */
  leaseUntilMs: number;
  /** A record did not fit the chunk, or its session the append table: nothing more is accepted, what was accepted goes on. */
  full: boolean;
  /** For each asker the first record that came too late: refused when all that was accepted is answered (`refuseTooLate`). */
  readonly tooLate: Map<AskerId, Refusal>;
}

export interface PrimaryOptions extends Omit<MemberOptions, "last"> {
  readonly chainLength: number;
  readonly fileOffset: number;
  readonly appendTable: AppendTable;
  readonly limits: Pick<Limits, "appendSessionsMax" | "appendTableMax">;
  readonly prepareMs: number;
  readonly leaseUntilMs: number;
}

/**
 * `prepare`: log it here and send it down the chain. `answer`: it is committed; the answer holds the file offset. `refuse`: the asker gets this for this
 * sequence, and the stream takes no more. `stopped`: report it to the master on every heartbeat until fenced.
 */
export type PrimaryEffect =
  | { readonly kind: "prepare"; readonly offset: number }
  | { readonly kind: "answer"; readonly asker: AskerId; readonly answer: AppendAnswer }
  | Refusal
  | { readonly kind: "stopped"; readonly reason: string };

interface Refusal {
  readonly kind: "refuse";
  readonly asker: AskerId;
  readonly sequence: Sequence;
  readonly error: GfsError;
}

export interface AppendRequest {
  readonly asker: AskerId;
  readonly version: ChunkVersion;
  readonly session: SessionId;
  readonly sequence: Sequence;
  readonly bytes: number;
  readonly crc: number;
}

export function openPrimary(options: PrimaryOptions): PrimaryState {
  return {
    member: openMember({ ...options, last: options.chainLength === 1 }),
    fileOffset: options.fileOffset,
    prepareMs: options.prepareMs,
    table: tableFrom(options.appendTable),
    tableBounds: tableBounds(options.appendTable, options.limits),
    pending: [],
    answered: 0,
    unanswered: new Map(),
    leaseUntilMs: options.leaseUntilMs,
    full: false,
    tooLate: new Map(),
  };
}

/** A client sent a record. At most one effect, but for a record that does not fit a chunk where nothing is pending: that also stops it. */
export function appendArrived(state: PrimaryState, request: AppendRequest, nowMs: number): PrimaryEffect[] {
  const { member } = state;
  const known = lookupAppend(state.table, request.session, request);
  if (known.kind === "known" && isCommitted(state, known.answer))
    return [{ kind: "answer", asker: request.asker, answer: known.answer }];
  const closed = roleRefusal(member, request.version) ?? notServing(state, nowMs);
  switch (known.kind) {
    case "reused":
      return [refuse(request, "IdReused", "its sequence was used for other content")];
    case "forgotten":
      return [refuse(request, "SessionExpired", "it was accepted so long ago that its answer is gone")];
    case "known": {
      // A fence or a rollback may be under way: then nothing accepted earlier is answered here any more.
      if (member.stopped !== undefined || closed?.code === "VersionStale")
        return [refuseWith(request, closed ?? stoppedError(state))];
      state.pending.find((record) => record.answer === known.answer)?.askers.push(request.asker);
      return [];
    }
    case "gap":
    case "next":
      break;
  }
  if (closed?.code === "ChunkFull") return refuseTooLate(state, refuseWith(request, closed));
  if (closed !== undefined) return [refuseWith(request, closed)];
  if (known.kind === "gap")
    return [refuse(request, "ProtocolError", `sequence ${known.expected} of its session comes first`)];
  if ((state.unanswered.get(request.session) ?? 0) >= protocol.appendWindow)
    return [refuse(request, "Busy", `${protocol.appendWindow} records of its session are unanswered`)];
  return accept(state, request, nowMs);
}

function accept(state: PrimaryState, request: AppendRequest, nowMs: number): PrimaryEffect[] {
  const { member } = state;
  const offset = member.prepared;
  const full =
    offset + request.bytes > member.chunkBytes
      ? `${member.chunkBytes - offset} bytes are left of chunk ${member.handle}`
      : tableFull(state.table, request.session, state.tableBounds);
  if (full !== undefined) {
    state.full = true;
    return [
      ...refuseTooLate(state, refuse(request, "ChunkFull", full)),
      ...(hasPending(state) ? [] : [{ kind: "stopped" as const, reason: "full" }]),
    ];
  }
  const refusal = prepareRecord(member, { version: member.version, offset, bytes: request.bytes });
  if (refusal !== undefined) return [refuseWith(request, refusal)];
  const { sequence, bytes, crc } = request;
  const answer: AppendAnswer = { sequence, fileOffset: state.fileOffset + offset, bytes, crc };
  acceptAnswer(state.table, request.session, answer);
  state.unanswered.set(request.session, (state.unanswered.get(request.session) ?? 0) + 1);
  const end = offset + bytes;
  state.pending.push({ session: request.session, end, answer, acceptedMs: nowMs, askers: [request.asker] });
  return [{ kind: "prepare", offset }];
}

/** Everything up to `length` is synced here; the promise is looked at again. */
export function primarySynced(state: PrimaryState, length: number): PrimaryEffect[] {
  ownSynced(state.member, length);
  return commit(state);
}

export function primaryVoted(state: PrimaryState, length: number): PrimaryEffect[] {
  if (state.member.stopped !== undefined) return [];
  const refusal = downstreamVoted(state.member, length);
  return refusal === undefined ? commit(state) : rolledBack(state, refusal.message);
}

function commit(state: PrimaryState): PrimaryEffect[] {
  const { member } = state;
  const length = voteOf(member);
  // Neither a rollback nor a fence can be overtaken: who was refused must never be answered.
  if (member.stopped !== undefined || length <= member.committed) return [];
  member.committed = length;
  const effects: PrimaryEffect[] = [];
  while (state.answered < state.pending.length) {
    const record = state.pending[state.answered];
    if (record === undefined || record.end > length) break;
    state.answered++;
    const left = (state.unanswered.get(record.session) ?? 1) - 1;
    if (left === 0) state.unanswered.delete(record.session);
    else state.unanswered.set(record.session, left);
    for (const asker of record.askers) effects.push({ kind: "answer", asker, answer: record.answer });
  }
  if (state.answered >= 256 || state.answered === state.pending.length) {
    state.pending = state.pending.slice(state.answered);
    state.answered = 0;
  }
  if (state.full && !hasPending(state)) effects.push(...takeTooLate(state), { kind: "stopped", reason: "full" });
  return effects;
}

function hasPending({ answered, pending }: PrimaryState): boolean {
  return answered < pending.length;
}

/**
 * As soon as anybody hears that the chunk is full the master seals it, and what has not reached the members may be cut off, to be sent again: where it takes longer than the seal, windows of
 * records as large as a chunk would be, one after the other, for ever. So nobody hears of it before all that was accepted is answered, or refused.
 */
function refuseTooLate(state: PrimaryState, refusal: Refusal): PrimaryEffect[] {
  if (!hasPending(state)) return [refusal];
  // A stream takes nothing more after its first refusal.
  if (!state.tooLate.has(refusal.asker)) state.tooLate.set(refusal.asker, refusal);
  return [];
}

function takeTooLate({ tooLate }: PrimaryState): Refusal[] {
  const refusals = [...tooLate.values()];
  tooLate.clear();
  return refusals;
}

/** Rollback: a member refused, was reset, or is silent. All that is unanswered is refused; the role never resumes. */
export function primaryFailed(state: PrimaryState, reason: string): PrimaryEffect[] {
  return state.member.stopped === undefined ? rolledBack(state, reason) : [];
}

function rolledBack(state: PrimaryState, reason: string): PrimaryEffect[] {
  stopMember(state.member, reason);
  return [...refuseUnanswered(state), { kind: "stopped", reason }];
}

/** The replica promised a higher version. What was synced before but not answered stays unanswered: the seal decides about it. */
export function primaryFenced(state: PrimaryState, version: ChunkVersion): PrimaryEffect[] {
  raisePromise(state.member, version);
  return refuseUnanswered(state);
}

function refuseUnanswered(state: PrimaryState): PrimaryEffect[] {
  const error = stoppedError(state);
  const effects: PrimaryEffect[] = [];
  for (const { answer, askers } of state.pending.slice(state.answered))
    for (const asker of askers) effects.push({ kind: "refuse", asker, sequence: answer.sequence, error });
  state.pending = [];
  state.answered = 0;
  state.unanswered.clear();
  return [...effects, ...takeTooLate(state)];
}

/** The master extended the lease; `untilMs` counts from when the heartbeat was sent. */
export function leaseExtended(state: PrimaryState, untilMs: number): void {
  state.leaseUntilMs = Math.max(state.leaseUntilMs, untilMs);
}

/** When `primaryTick` is due; undefined while nothing is pending. */
export function prepareDeadlineMs(state: PrimaryState): number | undefined {
  const oldest = state.pending[state.answered];
  return oldest === undefined ? undefined : oldest.acceptedMs + state.prepareMs;
}

/** A record that is pending for `prepareMs` rolls the chunk back. */
export function primaryTick(state: PrimaryState, nowMs: number): PrimaryEffect[] {
  const deadline = prepareDeadlineMs(state);
  if (deadline === undefined || nowMs < deadline) return [];
  return primaryFailed(state, `no vote within ${state.prepareMs} ms`);
}

/** The answers that a client may be told when it opens a stream: only what is committed. Oldest first. */
export function committedAnswers(state: PrimaryState, session: SessionId): AppendAnswer[] {
  return (state.table.sessions.get(session) ?? []).filter((answer) => isCommitted(state, answer));
}

/** What heartbeats say about it; undefined while it accepts or answers what it has accepted, and while only its lease has lapsed. */
export function stoppedReason(state: PrimaryState): string | undefined {
  return state.member.stopped ?? (state.full && !hasPending(state) ? "full" : undefined);
}

function isCommitted(state: PrimaryState, answer: AppendAnswer): boolean {
  return answer.fileOffset + answer.bytes <= state.fileOffset + state.member.committed;
}

function notServing(state: PrimaryState, nowMs: number): GfsError | undefined {
  const { handle } = state.member;
  if (state.full)
    return new GfsError("ChunkFull", `Cannot append to chunk ${handle}: an earlier record did not fit it`);
  if (nowMs >= state.leaseUntilMs)
    return new GfsError(
      "NotPrimary",
      `Cannot append to chunk ${handle}: its lease has lapsed, the master is out of reach`,
    );
  return undefined;
}

function stoppedError({ member }: PrimaryState): GfsError {
  return new GfsError("ChunkClosed", `Cannot append to chunk ${member.handle}: ${member.stopped ?? "it is closed"}`);
}

type RefusalCode = "IdReused" | "SessionExpired" | "ProtocolError" | "Busy" | "ChunkFull";

function refuse(request: AppendRequest, code: RefusalCode, why: string): Refusal {
  const { sequence, session } = request;
  return refuseWith(request, new GfsError(code, `Cannot append record ${sequence} of session ${session}: ${why}`));
}

function refuseWith({ asker, sequence }: AppendRequest, error: GfsError): Refusal {
  return { kind: "refuse", asker, sequence, error };
}
