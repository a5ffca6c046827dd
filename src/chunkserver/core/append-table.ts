/**
 * The append table (DESIGN §4.3): for each session that appended to an inode, the answers to its last `appendWindow` records. It makes a retry take effect
 * once, whoever is primary: logged at the seal, handed to the next open chunk.
 */
import { assert } from "../../base/assert.ts";
import { protocol, type Limits } from "../../limits.ts";
import type { AppendAnswer, AppendTable } from "../../wire/control/common.ts";
import type { Sequence, SessionId } from "../../wire/ids.ts";

/** Of one inode. Answers oldest first, sequences without gaps. */
export interface AppendTableState {
  readonly sessions: Map<SessionId, AppendAnswer[]>;
  /** Of all sessions together. */
  answerCount: number;
}

/** Most that a tail's table may hold: what it began with and `appendSessionsMax` more, so that fences, seals and the next tail can carry it. */
export interface AppendTableBounds {
  readonly sessions: number;
  readonly answers: number;
}

/** What identifies a record besides its session. */
export interface AppendIdentity {
  readonly sequence: Sequence;
  readonly bytes: number;
  readonly crc: number;
}

/**
 * `next`: never seen, and its turn. `known`: accepted before, with this answer. `reused`: its sequence was accepted with other content. `gap`: earlier ones are
 * missing; `expected` comes first. `forgotten`: accepted so long ago that the answer is gone.
 */
export type AppendLookup =
  | { readonly kind: "next" }
  | { readonly kind: "known"; readonly answer: AppendAnswer }
  | { readonly kind: "reused"; readonly answer: AppendAnswer }
  | { readonly kind: "gap"; readonly expected: number }
  | { readonly kind: "forgotten" };

const next: AppendLookup = { kind: "next" };

export function tableFrom(table: AppendTable): AppendTableState {
  const sessions = new Map(table.map((entry) => [entry.session, entry.answers.slice(-protocol.appendWindow)]));
  let answerCount = 0;
  for (const answers of sessions.values()) answerCount += answers.length;
  return { sessions, answerCount };
}

export function tableBounds(
  begunWith: AppendTable,
  limits: Pick<Limits, "appendSessionsMax" | "appendTableMax">,
): AppendTableBounds {
  return { sessions: begunWith.length + limits.appendSessionsMax, answers: 2 * limits.appendTableMax };
}

/** Why the session's next record has no place in the table; undefined when it has. */
export function tableFull(table: AppendTableState, session: SessionId, bounds: AppendTableBounds): string | undefined {
  const answers = table.sessions.get(session)?.length ?? 0;
  if (answers === 0 && table.sessions.size >= bounds.sessions)
    return `it has records of ${table.sessions.size} sessions`;
  if (answers < protocol.appendWindow && table.answerCount >= bounds.answers)
    return `its append table has ${table.answerCount} answers`;
  return undefined;
}

/** A copy, in the form that seals and `open` carry. */
export function tableToWire(table: AppendTableState): AppendTable {
  return [...table.sessions].map(([session, answers]) => ({ session, answers: answers.slice() }));
}

export function lookupAppend(table: AppendTableState, session: SessionId, identity: AppendIdentity): AppendLookup {
  const answers = table.sessions.get(session);
  const last = answers?.at(-1)?.sequence ?? 0;
  if (identity.sequence === last + 1) return next;
  if (identity.sequence > last) return { kind: "gap", expected: last + 1 };
  const answer = answers?.[answers.length - 1 - (last - identity.sequence)];
  if (answer === undefined) return { kind: "forgotten" };
  const same = answer.bytes === identity.bytes && answer.crc === identity.crc;
  return same ? { kind: "known", answer } : { kind: "reused", answer };
}

/** Adds the answer to the session's next record; the oldest one is forgotten beyond the window. */
export function acceptAnswer(table: AppendTableState, session: SessionId, answer: AppendAnswer): void {
  const answers = table.sessions.get(session);
  if (answers === undefined) {
    table.sessions.set(session, [answer]);
    table.answerCount++;
    return;
  }
  const last = answers.at(-1)?.sequence ?? 0;
  assert(answer.sequence === last + 1, `append table: ${answer.sequence} after ${last}`);
  answers.push(answer);
  if (answers.length > protocol.appendWindow) answers.shift();
  else table.answerCount++;
}
