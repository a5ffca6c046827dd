/** A record of an append line, from the call to its answer. */
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import type { AppendAnswer } from "../wire/control/common.ts";
import type { Sequence } from "../wire/ids.ts";

export interface WaitingRecord {
  readonly record: Uint8Array;
  readonly crc: number;
  readonly sinceMs: number;
  /** Until when it may wait, unless something is answered meanwhile. */
  readonly dueMs: number;
  /** Given when it is first sent: what was never sent can be dropped without a gap. */
  sequence: Sequence | undefined;
  readonly answer: Promise<AppendAnswer>;
  readonly resolve: (answer: AppendAnswer) => void;
  readonly reject: (error: GfsError) => void;
}

export function waitingRecord(record: Uint8Array, sinceMs: number, leftMs: number): WaitingRecord {
  const { promise: answer, resolve, reject } = Promise.withResolvers<AppendAnswer>();
  return { record, crc: crc32(record), sinceMs, dueMs: sinceMs + leftMs, sequence: undefined, answer, resolve, reject };
}

/** What its caller is told who does not want to wait any longer. `id`: to repeat it under. */
export function interruptedRecord({ sequence }: WaitingRecord, id: string): GfsError {
  if (sequence === undefined) return new GfsError("Interrupted", "Cannot append: interrupted before it was sent");
  return new GfsError("Interrupted", "Cannot wait for an append any longer: interrupted; it may take effect", {
    details: { id, outcome: "unknown" },
  });
}

/**
 * `taken`: the last records that were, oldest first. What comes after them is as if it had never been sent; of what came before them nobody knows any more. The first sequence that was
 * taken back; undefined where none was.
 */
export function takeBack(queue: readonly WaitingRecord[], taken: readonly AppendAnswer[]): Sequence | undefined {
  const last = taken.at(-1)?.sequence ?? 0;
  const back = queue.filter((waiting) => (waiting.sequence ?? 0) > last);
  const first = back[0]?.sequence;
  for (const waiting of back) waiting.sequence = undefined;
  return first;
}
