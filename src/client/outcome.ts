/** Operations of which nobody knows whether they took effect, and the names under which they can be repeated (DESIGN §1, P4). */
import { type ErrorCode, GfsError, hasCode } from "../base/errors.ts";
import {
  draftId,
  type DraftId,
  inodeId,
  type InodeId,
  sequence,
  type Sequence,
  sessionId,
  type SessionId,
} from "../wire/ids.ts";

/** An append without a key of its own: its place in the session that sent it. `content` tells a large one from another. */
export type AppendPlace =
  | { readonly kind: "record"; readonly session: SessionId; readonly inode: InodeId; readonly sequence: Sequence }
  | {
      readonly kind: "draft";
      readonly session: SessionId;
      readonly inode: InodeId;
      readonly sequence: Sequence;
      readonly draft: DraftId;
      readonly content: Content;
    };

export interface Content {
  readonly bytes: number;
  readonly crc: number;
}

/** The id that a user repeats the append with: `@7.12.r3`, `@7.12.d3.44.1000.4022250974`. */
export function formatPlace(place: AppendPlace): string {
  const start = `@${place.session}.${place.inode}`;
  if (place.kind === "record") return `${start}.r${place.sequence}`;
  return `${start}.d${place.sequence}.${place.draft}.${place.content.bytes}.${place.content.crc}`;
}

/** Undefined for an id that is a key. */
export function parsePlace(id: string): AppendPlace | undefined {
  const record = /^@([1-9]\d{0,15})\.([1-9]\d{0,15})\.r([1-9]\d{0,15})$/.exec(id);
  if (record !== null) {
    const [session = 0, inode = 0, at = 0] = record.slice(1).map(Number);
    return { kind: "record", session: sessionId(session), inode: inodeId(inode), sequence: sequence(at) };
  }
  const draft = /^@([1-9]\d{0,15})\.([1-9]\d{0,15})\.d([1-9]\d{0,15})\.([1-9]\d{0,15})\.(\d{1,16})\.(\d{1,10})$/.exec(
    id,
  );
  if (draft === null) return undefined;
  const [session = 0, inode = 0, at = 0, number = 0, bytes = 0, crc = 0] = draft.slice(1).map(Number);
  return {
    kind: "draft",
    session: sessionId(session),
    inode: inodeId(inode),
    sequence: sequence(at),
    draft: draftId(number),
    content: { bytes, crc },
  };
}

/** What no repeat tells any more: under a place nobody knows of it, and under a key it would be done anew, once the session has ended; the file is gone. */
const neverTold: readonly ErrorCode[] = ["SessionExpired", "NotFound", "InodeChanged"];

/** `id`: to repeat it under, where that is possible. */
export function outcomeUnknown(what: string, cause: unknown, id?: string): GfsError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new GfsError("OutcomeUnknown", `Cannot tell whether it was possible to ${what}: ${why}`, {
    details: repeatable(cause, id),
    cause,
  });
}

/** The same of an operation that somebody may not have waited for: that is still `Interrupted`, with `details.outcome` "unknown". What says so already stays. */
export function outcomeUntold(what: string, cause: unknown, id?: string): GfsError {
  if (!hasCode(cause, "Interrupted")) return hasCode(cause, "OutcomeUnknown") ? cause : outcomeUnknown(what, cause, id);
  if (cause.details["outcome"] === "unknown") return cause;
  const details = { outcome: "unknown", ...repeatable(cause, id) };
  return new GfsError("Interrupted", `${cause.message}; it may take effect`, { details, cause });
}

function repeatable(cause: unknown, id: string | undefined): { readonly id?: string; readonly hint?: string } {
  if (id === undefined || hasCode(cause, ...neverTold)) return {};
  return { id, hint: `repeat it with --id ${id}: it takes effect once, and the answer tells` };
}
