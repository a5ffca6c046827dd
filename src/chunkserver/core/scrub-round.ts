/**
 * Where a volume's scrub is (DESIGN §4.5). It goes by rising handle and begins anew at its end: handles rise with time, so what was read longest ago comes next, and what
 * was just written last. One number says where to go on; a few dozen moments say since when all has been read.
 */
import { blockBytes } from "../../limits.ts";

export interface ScrubRound {
  /** Finished ones. */
  rounds: number;
  /** All up to this handle is done in this round. */
  cursor: number;
  /** Wall clock. */
  beganMs: number;
  /** Of this round. */
  chunks: number;
  bytes: number;
  corrupt: number;
  /** When this round came by, by rising handle, and when the one before came by what this one has before it. */
  passes: Pass[];
  passesBefore: Pass[];
  /** All was read since then, or is newer; undefined before the first round is whole. Wall clock. */
  oldestMs: number | undefined;
}

export interface Pass {
  readonly handle: number;
  /** Wall clock. */
  readonly atMs: number;
}

/** Passes noted in a round, at most. */
const passesMax = 128;

export function newRound(nowMs: number): ScrubRound {
  const none = { chunks: 0, bytes: 0, corrupt: 0, passes: [], passesBefore: [] };
  return { ...none, rounds: 0, cursor: 0, beganMs: nowMs, oldestMs: undefined };
}

/** Everything up to `handle` is done. */
export function passed(
  round: ScrubRound,
  handle: number,
  { nowMs, everyMs }: { readonly nowMs: number; readonly everyMs: number },
): void {
  round.cursor = handle;
  const last = round.passes.at(-1);
  const due = last === undefined || nowMs - last.atMs >= everyMs / (passesMax / 2);
  if (due && round.passes.length < passesMax) round.passes.push({ handle, atMs: nowMs });
  for (let next = round.passesBefore[0]; next !== undefined && next.handle <= handle; next = round.passesBefore[0]) {
    round.passesBefore.shift();
    round.oldestMs = next.atMs;
  }
}

/** All that is here is done. */
export function finishRound(round: ScrubRound, nowMs: number): void {
  const { beganMs, passes, rounds } = round;
  Object.assign(round, newRound(nowMs), { rounds: rounds + 1, passesBefore: passes, oldestMs: beganMs });
}

export interface PaceInput {
  /** Costs of all that is held, and of what is left of this round, in bytes. */
  readonly heldBytes: number;
  readonly leftBytes: number;
  readonly elapsedMs: number;
  readonly everyMs: number;
  /** Somebody else is served. */
  readonly busy: boolean;
  /** 0: without a limit. */
  readonly bytesPerSecondMax: number;
}

/** Ahead of time, so that there is something to give up while others are served. */
const haste = 1.25;
/** How much faster than usual it may become to catch up. */
const catchUp = 4;

/**
 * Bytes a millisecond that the scrub may read now; 0: it waits for those who are served. An idle server is done before its time; a busy one waits until it would be late, and then
 * reads just as fast as it must: at most four times the usual rate, and never above the limit.
 */
export function scrubPace(input: PaceInput): number {
  const { heldBytes, leftBytes, elapsedMs, everyMs, busy, bytesPerSecondMax } = input;
  const usual = heldBytes / everyMs;
  const leftMs = Math.max(everyMs - elapsedMs, everyMs / 1_000);
  const needed = Math.min(leftBytes / leftMs, catchUp * usual);
  if (busy && needed <= usual) return 0;
  const wanted = busy ? needed : Math.min(haste * Math.max(needed, usual), catchUp * usual);
  return bytesPerSecondMax === 0 ? wanted : Math.min(wanted, bytesPerSecondMax / 1_000);
}

/** To find a replica on the medium costs as much as to read a block. */
export function scrubCost(bytes: number): number {
  return bytes + blockBytes;
}
