/**
 * Sessions (DESIGN §4.1): which mutations took effect, and what was answered. A retry gets the first answer; answers below a session's floor were
 * received and are forgotten; a session that nothing was heard of for `sessionIdleMs` of cluster time ends.
 */
import { assert, fail } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import { protocol } from "../../limits.ts";
import type { MutationId } from "../../wire/control/common.ts";
import type { SessionId } from "../../wire/ids.ts";
import type { LogBatch } from "../../wire/log-records.ts";

/** The first answer (CBOR) to a mutation. `print`: a fingerprint of the request, where the shell takes one. */
export interface Answer {
  readonly message: string;
  readonly reply: Uint8Array;
  readonly print: number | undefined;
}

export interface Session {
  readonly session: SessionId;
  readonly key: string | undefined;
  readonly label: string;
  /** Answers with lower sequences were received. */
  floor: number;
  /** By sequence. */
  readonly answers: Map<number, Answer>;
  /** Cluster time of the last logged mutation. */
  usedMs: number;
  /** Soft: cluster time of the last sign of life; not in the log. */
  touchedMs: number;
}

export interface Sessions {
  readonly byId: Map<SessionId, Session>;
  readonly byKey: Map<string, Session>;
  /** The next session's number. */
  next: number;
}

export function newSessions(): Sessions {
  return { byId: new Map(), byKey: new Map(), next: 1 };
}

/** What the shell is to do with a mutation: decide it, or repeat the answer that a first try got. */
export type Admission = { readonly kind: "new" } | { readonly kind: "answered"; readonly reply: Uint8Array };

/**
 * Looks a mutation up before it is decided.
 *
 * @throws GfsError("SessionExpired") for a session that isn't (any more), and for a sequence below the floor, whose answer is forgotten
 * @throws GfsError("IdReused") where this id was used for another message, or the same with another fingerprint
 * @throws GfsError("Busy") with `mutationWindow` or more sequences between the floor and this one
 */
export function admitMutation(
  sessions: Sessions,
  id: MutationId,
  request: { readonly message: string; readonly print?: number | undefined },
): Admission {
  const what = `${request.message} under sequence ${id.sequence} of session ${id.session}`;
  const session = sessions.byId.get(id.session);
  if (session === undefined)
    throw new GfsError(
      "SessionExpired",
      `Cannot do ${what}: the session has ended, so whether it took effect before is not known any more`,
    );
  const answer = session.answers.get(id.sequence);
  if (answer !== undefined) {
    const samePrint = answer.print === undefined || request.print === undefined || answer.print === request.print;
    if (answer.message !== request.message || !samePrint)
      throw new GfsError("IdReused", `Cannot do ${what}: this id was used for another ${answer.message} request`);
    return { kind: "answered", reply: answer.reply };
  }
  if (id.sequence < session.floor)
    throw new GfsError("SessionExpired", `Cannot do ${what}: its answer was acknowledged before, and is forgotten`);
  if (id.floor > id.sequence)
    throw new GfsError("ProtocolError", `Cannot do ${what}: its floor ${id.floor} is above it`);
  if (id.sequence >= Math.max(session.floor, id.floor) + protocol.mutationWindow)
    throw new GfsError(
      "Busy",
      `Cannot do ${what}: more than ${protocol.mutationWindow} mutations of the session are unanswered`,
    );
  return { kind: "new" };
}

/** Keeps the answer of a mutation that a batch logged. */
export function recordAnswer(sessions: Sessions, mutation: NonNullable<LogBatch["mutation"]>, clusterMs: number): void {
  const session = sessions.byId.get(mutation.session);
  assert(session !== undefined, "a mutation is of an open session");
  if (mutation.floor > session.floor) {
    session.floor = mutation.floor;
    for (const sequence of session.answers.keys()) if (sequence < session.floor) session.answers.delete(sequence);
  }
  const { message, reply, print } = mutation;
  if (mutation.sequence >= session.floor) session.answers.set(mutation.sequence, { message, reply, print });
  session.usedMs = clusterMs;
  session.touchedMs = clusterMs;
}

export function openSession(
  sessions: Sessions,
  opened: { session: SessionId; key?: string | undefined; label: string },
  clusterMs: number,
): void {
  const { session, key, label } = opened;
  if (sessions.byId.has(session)) fail(`session ${session} is opened twice`);
  if (key !== undefined && sessions.byKey.has(key)) fail(`the key of session ${session} has one already`);
  const entry = { session, key, label, floor: 1, answers: new Map(), usedMs: clusterMs, touchedMs: clusterMs };
  sessions.byId.set(session, entry);
  if (key !== undefined) sessions.byKey.set(key, entry);
  sessions.next = Math.max(sessions.next, session + 1);
}

export function closeSession(sessions: Sessions, session: SessionId): void {
  const entry = sessions.byId.get(session);
  if (entry === undefined) fail(`session ${session} is closed, but is not open`);
  sessions.byId.delete(session);
  if (entry.key !== undefined) sessions.byKey.delete(entry.key);
}

/** A sign of life of a client: soft, so nothing is logged. Unknown sessions are passed over. */
export function touchSessions(sessions: Sessions, ids: Iterable<SessionId>, clusterMs: number): void {
  for (const id of ids) {
    const session = sessions.byId.get(id);
    if (session !== undefined) session.touchedMs = Math.max(session.touchedMs, clusterMs);
  }
}

/** After a start of the master nobody could be heard: every session starts its idle time anew. */
export function touchAllSessions(sessions: Sessions, clusterMs: number): void {
  touchSessions(sessions, sessions.byId.keys(), clusterMs);
}

/** Sessions idle for `idleMs` or longer, at most `max`. */
export function idleSessions(
  sessions: Sessions,
  clusterMs: number,
  bounds: { idleMs: number; max: number },
): SessionId[] {
  const idle: SessionId[] = [];
  for (const [id, session] of sessions.byId) {
    if (idle.length === bounds.max) break;
    if (clusterMs - session.touchedMs >= bounds.idleMs) idle.push(id);
  }
  return idle;
}
