/** How long what a chunkserver does takes it, for the master, which compares it with its peers (DESIGN §4.5). */
import type { OperationTimes } from "../../wire/control/chunkservers.ts";

export type TimedOperation = keyof OperationTimes;

/** At each report what was known before counts half as much: the figures are those of the last few heartbeats. */
const keptShare = 0.5;
/** Of the sum of weights; below, nothing is left of what was known. */
const weightMin = 0.5;

interface Tally {
  sumMs: number;
  /** Each sample counts 1 when it comes. */
  weight: number;
}

export class TimeTally {
  readonly #tallies = new Map<TimedOperation, Tally>();

  note(operation: TimedOperation, ms: number): void {
    const tally = this.#tallies.get(operation);
    if (tally === undefined) this.#tallies.set(operation, { sumMs: ms, weight: 1 });
    else {
      tally.sumMs += ms;
      tally.weight++;
    }
  }

  /** Means and weights now; the older they are, the less they count in the next. Undefined where nothing was done lately. */
  report(): OperationTimes | undefined {
    let times: OperationTimes = {};
    for (const [operation, tally] of this.#tallies) {
      if (tally.weight < weightMin) {
        this.#tallies.delete(operation);
        continue;
      }
      times = {
        ...times,
        [operation]: { ms: Math.max(0, tally.sumMs / tally.weight), count: Math.round(tally.weight) },
      };
      tally.sumMs *= keptShare;
      tally.weight *= keptShare;
    }
    return Object.keys(times).length === 0 ? undefined : times;
  }
}
