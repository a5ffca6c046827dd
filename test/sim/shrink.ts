/** Finds a small run that breaks the same promise: tries to leave out each class of faults, then time, clients and operations, as long as it still fails. */
import type { Violation } from "./history.ts";
import type { Reduction } from "./reduction.ts";
import type { SeedSettings } from "./run-seed.ts";
import { faultClasses } from "./without.ts";

export interface ShrinkOptions {
  /** The settings that the seed drew. */
  readonly settings: SeedSettings;
  /** What a run violates. */
  readonly run: (reduction: Reduction) => readonly Violation[];
  /** Any change of the settings changes all that happens: how often each is tried, with other luck. */
  readonly lucksMax: number;
  readonly onStep?: (reduction: Reduction) => void;
}

/** The smallest failing one found; undefined where none failed at all. */
export function shrink({ settings, run, lucksMax, onStep }: ShrinkOptions): Reduction | undefined {
  const promise = run({ without: [] })[0]?.promise;
  if (promise === undefined) return undefined;
  let best: Reduction = { without: [] };
  const attempt = (candidate: Reduction): boolean => {
    for (let luck = 0; luck < lucksMax; luck++) {
      const { luck: _, ...rest } = candidate;
      const lucky: Reduction = luck === 0 ? rest : { ...rest, luck };
      if (!run(lucky).some((violation) => violation.promise === promise)) continue;
      best = lucky;
      onStep?.(lucky);
      return true;
    }
    return false;
  };
  for (const name of faultClasses) attempt({ ...best, without: [...best.without, name] });
  const { workload } = settings;
  const halve = (key: "durationMs" | "clients" | "lanes" | "operations", least: number): void => {
    for (;;) {
      const now = best[key] ?? workload[key];
      const next = Math.max(least, Math.floor(now / 2));
      if (next === now || !attempt({ ...best, [key]: next })) return;
    }
  };
  halve("durationMs", 2_000);
  halve("clients", 1);
  halve("lanes", 1);
  halve("operations", 10);
  return best;
}
