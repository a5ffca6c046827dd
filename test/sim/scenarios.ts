/** Runs by name: the standard mix, and guided ones for rules that it rarely reaches. */
import { drawDrives } from "./drive-trouble.ts";
import { drawSchedule, quietSchedule } from "./fault-schedule.ts";
import { type RunOptions, runSeed, type SeedResult, type SeedSettings, type Stage } from "./run-seed.ts";
import { noFaults } from "./world/fault-settings.ts";
import { Prng } from "./world/prng.ts";

type Settings = (seed: number, settings: SeedSettings) => SeedSettings;

interface Scenario {
  readonly settings: Settings;
  readonly script?: (stage: Stage) => void;
}

/** The mix that everything is judged by: all kinds of trouble, for about a minute. */
const standard: Settings = (seed, settings) => {
  const prng = new Prng(`standard ${seed}`);
  const workload = {
    ...settings.workload,
    durationMs: prng.integer(40_000, 60_000),
    ranges: prng.fraction() * 0.5,
    tree: prng.chance(0.3) ? 0 : prng.fraction() * 0.5,
  };
  const schedule = { ...settings.schedule, drives: prng.chance(0.6) ? drawDrives(prng) : undefined };
  return { ...settings, schedule, workload, judgesLeftovers: true };
};

/** Appends to a few files while servers fall, in short succession and with all that they had not synced. */
const storm: Settings = (seed, settings) => {
  const prng = new Prng(`storm ${seed}`);
  const slow = prng.chance(0.7);
  return {
    ...settings,
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

interface Blackouts {
  /** Of acknowledgements that are put to the proof. */
  readonly probability: number;
  /** Of the times: the processes are killed first, so that the page cache is what they find. */
  readonly killFirst: number;
  /** How long they have then, to report and to be fenced. */
  readonly foundMs: readonly [number, number];
  readonly master: number;
  /** What is put to the proof besides acknowledgements: fences answered and seals logged. */
  readonly seals: number;
}

/** What was told to be durable is put to the proof at once: servers, or the master, lose power, and all that they had not synced. */
function blackouts(options: Blackouts): (stage: Stage) => void {
  return ({ simulation, cluster, history }) => {
    const prng = simulation.prng.fork("blackouts");
    let restMs = 4_000;
    const strike = (probability: number): void => {
      if (simulation.nowMs < restMs || simulation.nowMs > 15_000 || !prng.chance(probability)) return;
      restMs = simulation.nowMs + prng.integer(600, 1_500);
      const victims = prng.chance(options.master) ? [cluster.master] : cluster.servers;
      const killFirst = prng.chance(options.killFirst);
      const lose = (): void => {
        for (const machine of victims) cluster.crash(machine, { powerLoss: true, keep: 0 }, prng.integer(20, 300));
      };
      simulation.after(0, () => {
        if (!killFirst) return lose();
        for (const machine of victims) cluster.crash(machine, { powerLoss: false }, prng.integer(1, 40));
        simulation.after(prng.between(options.foundMs), lose);
      });
    };
    history.onDone = ({ kind }) => {
      if (kind === "append" || kind === "put" || kind === "remove" || kind === "move") strike(options.probability);
    };
    simulation.onEvent(({ name }) => {
      if (name === "mutation.fence" || name === "seal.done") strike(options.seals);
    });
  };
}

/** Slow drives, so that much is on its way to them, and nothing else that is wrong. */
function slowDrives(seed: number, settings: SeedSettings): SeedSettings {
  const base = storm(seed, settings);
  const faults = { ...noFaults, disk: { ...noFaults.disk, syncMs: [2, 12] as const } };
  const workload = { ...base.workload, durationMs: 12_000, operations: 500, hotAppends: 250 };
  return { ...base, faults, schedule: quietSchedule, workload };
}

const scenarios: Readonly<Record<string, Scenario>> = {
  standard: { settings: standard },
  storm: { settings: storm },
  replace: { settings: replace },
  blackouts: {
    settings: slowDrives,
    script: blackouts({ probability: 0.2, killFirst: 0.3, foundMs: [60, 900], master: 0.2, seals: 0.1 }),
  },
  /** Killed with large records on their way, found again, and only then without power. */
  pageCache: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      return { ...base, workload: { ...base.workload, bigRecords: 0.9 } };
    },
    script: blackouts({ probability: 0.5, killFirst: 1, foundMs: [60, 400], master: 0, seals: 0 }),
  },
  puts: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      return { ...base, workload: { ...base.workload, hotWeight: 0.1, appenders: 0, groups: 4, operations: 300 } };
    },
    script: blackouts({ probability: 0.5, killFirst: 0, foundMs: [0, 0], master: 0, seals: 0 }),
  },
  /** Clients that soon give up. */
  impatient: {
    settings(seed, settings) {
      const base = storm(seed, settings);
      const limits = { ...base.cluster.limits, clientTimeoutMs: 900 };
      return { ...base, cluster: { ...base.cluster, limits } };
    },
  },
  /** Seals in the midst of appends, with slow drives and nothing else that is wrong. */
  distrust: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      return { ...base, workload: { ...base.workload, distrust: 0.3 } };
    },
  },
  /** Whoever asks often does not hear the answer, and asks again. */
  lostAnswers: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      const control = { ...noFaults.control, answerLost: 0.2, requestLost: 0.05 };
      return { ...base, faults: { ...noFaults, control } };
    },
  },
  /** The master forgets all that it had not synced, just when a server has obeyed it. */
  forgetful: {
    settings: slowDrives,
    script: blackouts({ probability: 0.2, killFirst: 0, foundMs: [0, 0], master: 1, seals: 0.5 }),
  },
  /** Beyond what is promised: syncs answer and do nothing, and then the power goes. A harness that finds nothing here sees nothing. */
  lyingDrives: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      return { ...base, faults: { ...noFaults, disk: { ...noFaults.disk, lyingSync: 1 } } };
    },
    script: blackouts({ probability: 0.3, killFirst: 0, foundMs: [0, 0], master: 0, seals: 0 }),
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
