/**
 * Mutations of which nothing is logged, as they changed nothing: what was refused for good, and what was so already. Their answers are kept here while the
 * session may still send them again: a first attempt that arrives after its retry was answered must not take effect on what was made since.
 */
import { errorCodes, type GfsError } from "../base/errors.ts";
import type { MutationId } from "../wire/control/common.ts";
import type { SessionId } from "../wire/ids.ts";
import type { Sessions } from "./core/sessions.ts";

export type SpentOutcome =
  { readonly kind: "refused"; readonly error: GfsError } | { readonly kind: "unchanged"; readonly reply: unknown };

interface Spent {
  readonly message: string;
  readonly print: number;
  readonly outcome: SpentOutcome;
}

const sessionsMax = 16_384;

/**
 * Only in memory: a master that starts anew refuses what was sent on connections to the one before. Sessions with a key are left out: whoever has the key may
 * try a step again that was refused.
 */
export class SpentMutations {
  readonly #sessions: Sessions;
  readonly #spent = new Map<SessionId, Map<number, Spent>>();

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** What became of this very request before; undefined where it may be decided. */
  find({ session, sequence }: MutationId, request: { message: string; print: number }): SpentOutcome | undefined {
    const spent = this.#spent.get(session)?.get(sequence);
    return spent?.message === request.message && spent.print === request.print ? spent.outcome : undefined;
  }

  note(id: MutationId, request: { readonly message: string; readonly print: number }, outcome: SpentOutcome): void {
    const session = this.#sessions.byId.get(id.session);
    if (session === undefined || session.key !== undefined) return;
    // Whoever is told to come back comes back under the same id.
    if (outcome.kind === "refused" && errorCodes[outcome.error.code].next !== "fail") return;
    const spent = this.#spent.get(id.session) ?? new Map<number, Spent>();
    const floor = Math.max(session.floor, id.floor);
    for (const sequence of spent.keys()) if (sequence < floor) spent.delete(sequence);
    spent.set(id.sequence, { message: request.message, print: request.print, outcome });
    this.#spent.delete(id.session);
    this.#spent.set(id.session, spent);
    if (this.#spent.size > sessionsMax) this.#sweep();
  }

  /** Those that ended; and if that is not enough, the half that was not heard of for longest. */
  #sweep(): void {
    for (const session of this.#spent.keys()) if (!this.#sessions.byId.has(session)) this.#spent.delete(session);
    for (const session of this.#spent.keys()) {
      if (this.#spent.size <= sessionsMax / 2) return;
      this.#spent.delete(session);
    }
  }
}
