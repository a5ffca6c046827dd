/** Runs by name: the standard mix, and guided ones for rules that it rarely reaches. */
import { drawSchedule } from "./fault-schedule.ts";
import { type RunOptions, runSeed, type SeedResult, type SeedSettings } from "./run-seed.ts";
import { noFaults } from "./world/fault-settings.ts";
import { Prng } from "./world/prng.ts";

type Scenario = (seed: number, settings: SeedSettings) => SeedSettings;

const scenarios: Readonly<Record<string, Scenario>> = {
  standard: (_seed, settings) => settings,

  /** Appends to a few files while servers fall, in short succession and with all that they had not synced. */
  storm(seed, settings) {
    const prng = new Prng(`storm ${seed}`);
    const slow = prng.chance(0.7);
    return {
      cluster: { ...settings.cluster, chunkservers: prng.integer(3, 5) },
      faults: {
        ...noFaults,
        disk: {
          ...noFaults.disk,
          syncMs: slow ? [0.5, 8] : [0.2, 1],
          writeShowsEarly: 0.2,
          writeBack: prng.fraction() * 0.3,
        },
        stream: {
          ...noFaults.stream,
          latencyMs: [0.05, 3],
          jitterMs: [0, 5],
          stall: 0.01,
          stallMs: [10, 400],
          reset: 0.003,
        },
        control: { ...settings.faults.control, answerLost: 0.03, requestLost: 0.03, duplicate: 0.05 },
      },
      schedule: {
        ...drawSchedule(prng),
        killServerMs: prng.integer(800, 3_000),
        killMasterMs: prng.chance(0.4) ? prng.integer(2_000, 8_000) : undefined,
        killClientMs: undefined,
        blackoutMs: prng.chance(0.7) ? prng.integer(3_000, 8_000) : undefined,
        loseServerAtMs: prng.chance(0.3) ? prng.integer(5_000, 20_000) : undefined,
        partitionMs: prng.chance(0.6) ? prng.integer(1_500, 5_000) : undefined,
        pauseMs: prng.chance(0.4) ? prng.integer(1_000, 5_000) : undefined,
        downMsMax: 400,
      },
      workload: {
        ...settings.workload,
        clients: 4,
        lanes: 3,
        durationMs: 25_000,
        operations: 1_500,
        hotFiles: prng.integer(1, 2),
        hotAppends: 900,
        hotWeight: 0.8,
        groups: 2,
        filesPerGroup: 1,
        largeAppends: 0,
        keyed: 0.7,
        distrust: prng.fraction() * 0.1,
      },
    };
  },
};

/** @throws Error for a name that is none */
export function runScenario(name: string, seed: number, options: RunOptions = {}): SeedResult {
  const scenario = scenarios[name];
  if (scenario === undefined)
    throw new Error(`No scenario is called ${name}; known: ${Object.keys(scenarios).join(", ")}`);
  const change = (settings: SeedSettings): SeedSettings => {
    const guided = scenario(seed, settings);
    return options.change?.(guided) ?? guided;
  };
  return runSeed(seed, { ...options, change });
}
