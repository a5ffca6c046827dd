/**
 * The next run of a part, from one replica or, where that one lets wait, from a second that is asked as well (DESIGN §4.4): the first answer wins.
 *
 * The part owns its position, and moves on only by what comes out here: both are asked for the same byte, one run comes out, and the loser is let go of
 * before that, so that nothing of it can come out later. A failure of either leaves the other one running; only when both have failed has the read.
 */
import type { Clock } from "../io.ts";
import type { Outcome, ReadAttempt } from "./read-attempt.ts";

export interface Hedge {
  /** Without a byte for so long, the second one is asked. */
  readonly afterMs: number;
  /** After so long it is asked whatever trickles in. */
  readonly trickleMs: number;
  /** Asks the second; undefined where there is none, or the budget is used up. */
  readonly ask: () => ReadAttempt | undefined;
  /** Of a read that goes on with the other one. @throws what no other replica would mend */
  readonly onFailed: (outcome: Outcome & { kind: "failed" }) => void;
}

export interface HedgedOutcome {
  /** A run, or the last failure. */
  readonly outcome: Outcome;
  /** Closed, because the other one was quicker. */
  readonly lost: ReadAttempt | undefined;
}

/** Of two attempts all but the one in the outcome are closed. */
export async function hedgedRun(clock: Clock, attempt: ReadAttempt, hedge: Hedge): Promise<HedgedOutcome> {
  const first = attempt.next();
  const early = await withoutStall(clock, first, { attempt, ...hedge });
  if (early !== undefined) return { outcome: early, lost: undefined };
  const rival = hedge.ask();
  if (rival === undefined) return { outcome: await first, lost: undefined };
  try {
    const second = rival.next();
    const outcome = await Promise.race([first, second]);
    const other = outcome.attempt === attempt ? rival : attempt;
    if (outcome.kind === "run") {
      other.close();
      return { outcome, lost: other };
    }
    outcome.attempt.close();
    hedge.onFailed(outcome);
    return { outcome: await (other === attempt ? first : second), lost: undefined };
  } catch (error) {
    attempt.close();
    rival.close();
    throw error;
  }
}

/** Undefined once nothing came for `afterMs`. */
async function withoutStall(
  clock: Clock,
  first: Promise<Outcome>,
  { attempt, afterMs, trickleMs }: { attempt: ReadAttempt; afterMs: number; trickleMs: number },
): Promise<Outcome | undefined> {
  const endMs = clock.monotonicMs() + trickleMs;
  for (;;) {
    const before = attempt.partBytes;
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = clock.after(afterMs, () => resolve(undefined));
    const outcome = await Promise.race([first, late]);
    timer.cancel();
    if (outcome !== undefined) return outcome;
    if (attempt.partBytes === before || clock.monotonicMs() >= endMs) return undefined;
  }
}
