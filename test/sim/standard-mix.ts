import { drawDrives } from "./drive-trouble.ts";
import type { SeedSettings } from "./run-seed.ts";
import { Prng } from "./world/prng.ts";

/** The mix that everything is judged by: all kinds of trouble, for about a minute. */
export function standardMix(seed: number, settings: SeedSettings): SeedSettings {
  const prng = new Prng(`standard ${seed}`);
  const workload = {
    ...settings.workload,
    durationMs: prng.integer(40_000, 60_000),
    ranges: prng.fraction() * 0.5,
    tree: prng.chance(0.3) ? 0 : prng.fraction() * 0.5,
  };
  const schedule = { ...settings.schedule, drives: prng.chance(0.6) ? drawDrives(prng) : undefined };
  const choice = prng.chance(0.7) ? 0 : prng.fraction() * 0.3;
  const operator = prng.chance(0.5)
    ? undefined
    : { actMs: prng.integer(1_500, 6_000), serversMax: prng.integer(4, 6), drainsLast: prng.chance(0.5) };
  // So small that a few files more on one than on another are worth a move.
  const cluster = operator === undefined ? settings.cluster : { ...settings.cluster, serverBytes: 40_000_000 };
  return { ...settings, cluster, schedule, workload: { ...workload, choice }, operator, judgesLeftovers: true };
}
