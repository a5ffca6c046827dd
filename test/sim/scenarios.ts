/** Runs by name: the standard mix, and guided ones for rules that it rarely reaches. */
import { drawSchedule, quietSchedule } from "./fault-schedule.ts";
import { type RunOptions, runSeed, type SeedResult, type SeedSettings, type Stage } from "./run-seed.ts";
import { noFaults } from "./world/fault-settings.ts";
import { Prng } from "./world/prng.ts";

type Settings = (seed: number, settings: SeedSettings) => SeedSettings;

interface Scenario {
  readonly settings: Settings;
  readonly script?: (stage: Stage) => void;
}

const standard: Settings = (_seed, settings) => settings;

/** Appends to a few files while servers fall, in short succession and with all that they had not synced. */
const storm: Settings = (seed, settings) => {
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
};

/** A good day, on which files are replaced and removed while somebody appends to them. */
const replace: Settings = (_seed, settings) => ({
  ...settings,
  faults: noFaults,
  schedule: quietSchedule,
  workload: {
    ...settings.workload,
    clients: 3,
    lanes: 2,
    durationMs: 15_000,
    operations: 800,
    groups: 2,
    operationsPerGroup: 150,
    filesPerGroup: 1,
    hotWeight: 0,
    appenders: 0.2,
    abandoned: 0,
  },
});

/** Whoever holds the only copy that a seal named is lost at once: allowed once, and harmless where every seal names two. */
function loseLoneHolder({ simulation, cluster }: Stage): void {
  const labels: string[] = [];
  let lost = false;
  simulation.onEvent(({ name, fields }) => {
    const { label, members, length } = fields;
    if (name === "volume.registered" && typeof label === "string" && !labels.includes(label)) labels.push(label);
    if (name !== "seal.done" || lost || length === 0 || !Array.isArray(members) || members.length !== 1) return;
    const holder = cluster.servers.find((server) => server.name === labels[Number(members[0])]);
    if (holder === undefined) return;
    lost = true;
    simulation.after(0, () => cluster.replace(holder));
  });
}

/**
 * What was told to be durable is put to the proof at once: servers, the master, or both lose power (and all that they had not synced) just when an operation was
 * acknowledged, a fence answered or a seal logged; or all processes are killed first, so that the page cache is what they find.
 */
function blackouts({ simulation, cluster, history }: Stage): void {
  const prng = simulation.prng.fork("blackouts");
  let restMs = 4_000;
  const strike = (probability: number): void => {
    if (simulation.nowMs < restMs || simulation.nowMs > 15_000 || !prng.chance(probability)) return;
    restMs = simulation.nowMs + prng.integer(600, 1_500);
    const victims = prng.chance(0.7) ? cluster.servers : prng.chance(0.5) ? [cluster.master] : cluster.machines;
    const killFirst = prng.chance(0.4);
    const lose = (): void => {
      for (const machine of victims) cluster.crash(machine, { powerLoss: true, keep: 0 }, prng.integer(20, 300));
    };
    simulation.after(0, () => {
      if (!killFirst) return lose();
      for (const machine of victims) cluster.crash(machine, { powerLoss: false }, prng.integer(1, 40));
      // Long enough to report and to be fenced, and for the next acknowledgement.
      simulation.after(prng.integer(60, 900), lose);
    });
  };
  history.onDone = ({ kind }) => {
    if (kind === "append" || kind === "put" || kind === "remove" || kind === "move") strike(0.2);
  };
  simulation.onEvent(({ machine, name }) => {
    if (name === "mutation.FENCE" && machine !== "master") strike(0.05);
    if (name === "seal.done") strike(0.2);
  });
}

const scenarios: Readonly<Record<string, Scenario>> = {
  standard: { settings: standard },
  storm: { settings: storm },
  replace: { settings: replace },
  blackouts: {
    settings(seed, settings) {
      const base = storm(seed, settings);
      const faults = { ...noFaults, disk: { ...noFaults.disk, syncMs: [2, 12] as const } };
      const workload = { ...base.workload, durationMs: 12_000, operations: 500, hotAppends: 250 };
      return { ...base, faults, schedule: quietSchedule, workload };
    },
    script: blackouts,
  },
  lone: {
    settings(seed, settings) {
      const base = storm(seed, settings);
      return { ...base, schedule: { ...base.schedule, loseServerAtMs: undefined } };
    },
    script: loseLoneHolder,
  },
};

/** @throws Error for a name that is none */
export function runScenario(name: string, seed: number, options: RunOptions = {}): SeedResult {
  const scenario = scenarios[name];
  if (scenario === undefined)
    throw new Error(`No scenario is called ${name}; known: ${Object.keys(scenarios).join(", ")}`);
  const change = (settings: SeedSettings): SeedSettings => {
    const guided = scenario.settings(seed, settings);
    return options.change?.(guided) ?? guided;
  };
  const script = (stage: Stage): void => {
    scenario.script?.(stage);
    options.script?.(stage);
  };
  return runSeed(seed, { ...options, change, script });
}
