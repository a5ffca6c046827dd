/** Rules taken out: mutations that take effect once (DESIGN §4.1). */
import type { Mutant } from "../mutant.ts";

export const sessionsMutants: readonly Mutant[] = [
  {
    name: "mutations-forgotten",
    rule: "a retried mutation gets the first answer",
    edits: [
      {
        file: "src/master/core/sessions.ts",
        find: "  if (answer !== undefined) {\n    const samePrint",
        replace:
          '  if (answer !== undefined && answer.message === request.message) return { kind: "new" };\n  if (answer !== undefined) {\n    const samePrint',
      },
    ],
    scenarios: ["lostAnswers"],
  },
  {
    name: "doubt-forgotten",
    rule: "a refusal of a later attempt does not say that earlier ones had no effect",
    edits: [
      {
        file: "src/client/session.ts",
        find: "doubtful ||= shows && isUnknown(error);",
        replace: "doubtful = shows && isUnknown(error);",
      },
      {
        file: "src/client/session.ts",
        find: 'return { kind: doubtful ? "unknown" : "refused", error: over };',
        replace: 'return { kind: "refused", error: over };',
      },
    ],
    scenarios: ["hasty"],
  },
  {
    name: "key-without-memory",
    rule: "the same key gets the same session, from whatever process",
    edits: [
      {
        file: "src/master/core/decide-sessions.ts",
        find: "if (known !== undefined) {",
        replace: "if (known !== undefined && now.clusterMs < 0) {",
      },
      {
        file: "src/master/core/sessions.ts",
        find: "if (key !== undefined && sessions.byKey.has(key)) fail",
        replace: 'if (key !== undefined && sessions.byKey.has("")) fail',
      },
    ],
    scenarios: ["impatient"],
  },
  {
    name: "table-drops-open-sessions",
    rule: "an append table keeps its entry while the session may retry",
    edits: [
      {
        file: "src/master/core/append-tables.ts",
        find: "    if (!found.isOpen(session)) return [];\n",
        replace: "    if (!found.isOpen(session) || session % 2 === 0) return [];\n",
      },
    ],
    scenarios: ["squall"],
  },
  {
    name: "refusals-forgotten",
    rule: "what was refused, or changed nothing, is answered the same when it comes again",
    edits: [
      {
        file: "src/master/engine.ts",
        find: "const spent = this.#spent.find(id, { message: message.name, print });",
        replace: "const spent: { kind: string; error: unknown; reply: unknown } | undefined = undefined;",
      },
    ],
    scenarios: ["lateAttempts"],
  },
  {
    name: "ended-session-gets-a-tail",
    rule: "no tail is opened for a session that ended: there a retry would look new",
    edits: [
      {
        file: "src/master/tail-service.ts",
        find: "if (session === undefined || ctx.state.sessions.byId.has(session)) return;",
        replace: "if (session === undefined || session > 0) return;",
      },
    ],
    scenarios: ["idleSessions"],
  },
  {
    name: "end-of-a-session-clears-doubt",
    rule: "a session that ended takes with it what it knew: an earlier attempt may have taken effect",
    edits: [
      {
        file: "src/client/retry.ts",
        find: 'const unread: readonly ErrorCode[] = [\n  "SessionExpired",',
        replace: "const unread: readonly ErrorCode[] = [",
      },
    ],
    scenarios: ["endedSessions", "idleSessions"],
  },
  {
    name: "sent-records-under-another-session",
    rule: "what was sent in a session that ended is not sent again in another one",
    edits: [
      {
        file: "src/client/append-line.ts",
        find: 'waiting.sequence === undefined || hasCode(error, "IdReused");',
        replace: 'waiting.sequence === undefined || hasCode(error, "IdReused", "SessionExpired");',
      },
    ],
    scenarios: ["idleSessions"],
  },
];
