/** Opening, closing and expiry of sessions, and of the drafts that end with them (DESIGN §4.1). */
import type { sessionClose, sessionOpen } from "../../wire/control/files.ts";
import { sessionId, type SessionId } from "../../wire/ids.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import type { Decision, Now, ReplyOf, RequestOf } from "./decision.ts";
import { silentDrafts } from "./drafts.ts";
import { idleSessions, touchSessions } from "./sessions.ts";
import type { MasterState } from "./state.ts";

/** The session that the key has already, or a new one: `floor` or above. */
export function decideSessionOpen(
  state: MasterState,
  request: RequestOf<typeof sessionOpen>,
  now: Now,
  floor = 0,
): Decision<ReplyOf<typeof sessionOpen>> {
  const { key, label } = request;
  const known = key === undefined ? undefined : state.sessions.byKey.get(key);
  if (known !== undefined) {
    touchSessions(state.sessions, [known.session], now.clusterMs);
    return { records: [], reply: { session: known.session } };
  }
  const session = sessionId(Math.max(state.sessions.next, floor));
  return {
    records: [{ kind: "session-opened", session, label, ...(key === undefined ? {} : { key }) }],
    reply: { session },
  };
}

/** Ends a session and its drafts. One with a key stays, until it is idle: its next command may be a retry. An unknown one is closed already. */
export function decideSessionClose(
  state: MasterState,
  request: RequestOf<typeof sessionClose>,
): Decision<ReplyOf<typeof sessionClose>> {
  const session = state.sessions.byId.get(request.session);
  if (session === undefined || session.key !== undefined) return { records: [], reply: {} };
  return {
    records: [
      ...endDrafts(state, new Set([request.session]), "aborted"),
      { kind: "session-closed", session: request.session },
    ],
    reply: {},
  };
}

/** Sessions idle for too long, with their drafts, and drafts that nothing was heard of for too long; at most `max` of each at a time. */
export function decideExpiry(state: MasterState, now: Now, max: number): LogRecord[] {
  const { sessionIdleMs, draftMs } = state.limits;
  const idle = idleSessions(state.sessions, now.clusterMs, { idleMs: sessionIdleMs, max });
  const ended = endDrafts(state, new Set(idle), "expired");
  const already = new Set(ended.map((record) => record.draft));
  const silent = silentDrafts(state.drafts, now.clusterMs, { draftMs, max }).filter((draft) => !already.has(draft));
  return [
    ...ended,
    ...silent.map((draft): LogRecord => ({ kind: "draft-ended", draft, reason: "expired" })),
    ...idle.map((session): LogRecord => ({ kind: "session-closed", session })),
  ];
}

type DraftEnded = Extract<LogRecord, { kind: "draft-ended" }>;

function endDrafts(state: MasterState, sessions: ReadonlySet<SessionId>, reason: DraftEnded["reason"]): DraftEnded[] {
  if (sessions.size === 0) return [];
  const drafts = [...state.drafts.byId.values()].filter((draft) => sessions.has(draft.session));
  return drafts.map(({ draft }) => ({ kind: "draft-ended", draft, reason }));
}
