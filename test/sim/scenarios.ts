/** Runs by name: the standard mix, and guided ones for rules that it rarely reaches. */
import { drawSchedule, quietSchedule } from "./fault-schedule.ts";
import { type RunOptions, runSeed, type SeedResult, type SeedSettings, type Stage } from "./run-seed.ts";
import {
  atAcknowledgements,
  behead,
  blackouts,
  expectNoTrouble,
  expectReadersInTime,
  loseHead,
  loseLoneHolder,
  loseSources,
  restartPrimaries,
  rotOneDrive,
} from "./scenario-scripts.ts";
import { standardMix } from "./standard-mix.ts";
import { noFaults } from "./world/fault-settings.ts";
import { Prng } from "./world/prng.ts";

type Settings = (seed: number, settings: SeedSettings) => SeedSettings;

interface Scenario {
  readonly settings: Settings;
  readonly script?: (stage: Stage) => void;
}

const brief: Settings = (seed, settings) => {
  const prng = new Prng(`brief ${seed}`);
  const workload = { ...settings.workload, durationMs: prng.integer(10_000, 16_000), operations: 200 };
  return { ...settings, workload };
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

/** A storm that is soon over. */
const squall: Settings = (seed, settings) => {
  const base = storm(seed, settings);
  return { ...base, workload: { ...base.workload, durationMs: 6_000, operations: 300, hotAppends: 200 } };
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

/** Slow drives, so that much is on its way to them, and nothing else that is wrong. */
function slowDrives(seed: number, settings: SeedSettings): SeedSettings {
  const base = storm(seed, settings);
  const faults = { ...noFaults, disk: { ...noFaults.disk, syncMs: [5, 25] as const } };
  const workload = { ...base.workload, durationMs: 6_000, operations: 160, hotAppends: 100 };
  return { ...base, faults, schedule: quietSchedule, workload };
}

/** The master makes a checkpoint of every few records, and starts again and again. */
function checkpointing(settings: SeedSettings, killMasterMs: number): SeedSettings {
  const limits = { ...settings.cluster.limits, checkpointRecords: 4 };
  const schedule = { ...quietSchedule, killMasterMs, downMsMax: 150 };
  return { ...settings, cluster: { ...settings.cluster, limits }, schedule };
}

/** All append to one file, on connections that break. */
function oneHotFile(seed: number, settings: SeedSettings): SeedSettings {
  const base = slowDrives(seed, settings);
  const stream = { ...noFaults.stream, reset: 0.008, jitterMs: [0, 8] as const };
  return {
    ...base,
    cluster: { ...base.cluster, chunkservers: 5 },
    faults: { ...base.faults, stream },
    workload: { ...base.workload, hotFiles: 1, distrust: 0 },
  };
}

const scenarios: Readonly<Record<string, Scenario>> = {
  standard: { settings: standardMix },
  /** The standard mix in a hurry. */
  brief: { settings: brief },
  storm: { settings: storm },
  squall: { settings: squall },
  replace: { settings: replace },
  blackouts: {
    settings: slowDrives,
    script: blackouts({ ...atAcknowledgements, killFirst: 0.3, foundMs: [60, 900], master: 0.2, seals: 0.1 }),
  },
  beheaded: { settings: oneHotFile, script: behead },
  resumed: {
    settings(seed, settings) {
      const base = oneHotFile(seed, settings);
      return { ...base, faults: { ...base.faults, stream: noFaults.stream }, workload: { ...base.workload, keyed: 1 } };
    },
    script: restartPrimaries,
  },
  refetched: {
    settings: oneHotFile,
    script(stage) {
      behead(stage);
      loseSources(stage);
    },
  },
  /** Killed with large records on their way, found again, and only then without power. */
  pageCache: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      return { ...base, workload: { ...base.workload, bigRecords: 0.9 } };
    },
    script: blackouts({ ...atAcknowledgements, probability: 0.5, killFirst: 1, foundMs: [60, 400] }),
  },
  /** A put is told when its master, whose drive is quick, has logged it: by then its servers must have been done, whose drives are slow. */
  puts: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      const faults = { ...noFaults, disk: { ...noFaults.disk, syncMs: [30, 90] as const } };
      const workload = { ...base.workload, hotWeight: 0.1, appenders: 0, groups: 4, operations: 300 };
      return { ...base, faults, workload };
    },
    script(stage) {
      stage.cluster.master.drive().slow(0.05);
      blackouts({ ...atAcknowledgements, proven: ["put"], probability: 0.9 })(stage);
    },
  },
  /** What was put at one server, cut off from the others, which is then lost for ever. */
  orphans: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      const workload = {
        ...base.workload,
        hotWeight: 0,
        appenders: 0,
        groups: 4,
        filesPerGroup: 6,
        operations: 240,
        durationMs: 4_000,
      };
      return { ...base, cluster: { ...base.cluster, chunkservers: 4 }, workload };
    },
    script: loseHead,
  },
  /** Volume logs so small that they are emptied all the time, and power that fails. */
  spills: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      const limits = {
        ...base.cluster.limits,
        smallChunkBytesMax: 65_536,

        volumeLogBytesMax: 800_000,
      };
      return {
        ...base,
        cluster: { ...base.cluster, limits },
        workload: { ...base.workload, hotWeight: 0.3, groups: 3, operations: 250 },
      };
    },
    script: blackouts({ ...atAcknowledgements, probability: 0.3 }),
  },
  /** Clients that soon give up. */
  impatient: {
    settings(seed, settings) {
      const base = squall(seed, settings);
      const limits = { ...base.cluster.limits, clientTimeoutMs: 900 };
      return { ...base, cluster: { ...base.cluster, limits } };
    },
  },
  /** Clients that soon give up, where every fifth answer is not heard. */
  hasty: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      const limits = { ...base.cluster.limits, clientTimeoutMs: 900, controlMs: 400 };
      const control = { ...noFaults.control, answerLost: 0.2, requestLost: 0.05, lossIsReset: 0 };
      const workload = { ...base.workload, durationMs: 10_000, groups: 3, appenders: 0 };
      return { ...base, cluster: { ...base.cluster, limits }, faults: { ...noFaults, control }, workload };
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
  /** So that what was answered before a start of the master is asked for after it. */
  lostAnswersRestarts: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      const control = { ...noFaults.control, answerLost: 0.25, lossIsReset: 0.1 };
      const workload = { ...base.workload, durationMs: 12_000, groups: 3 };
      return { ...checkpointing(base, 2_000), faults: { ...noFaults, control }, workload };
    },
  },
  /** The same with appends: whoever sealed their tail has started again since. */
  lostAppendsRestarts: {
    settings(seed, settings) {
      const base = oneHotFile(seed, settings);
      return { ...checkpointing(base, 900), workload: { ...base.workload, distrust: 0.2, hotWeight: 1, keyed: 1 } };
    },
    script: restartPrimaries,
  },
  /** Clients that the master does not hear of for a while: their sessions end, in the midst of what they do. */
  idleSessions: {
    settings(seed, settings) {
      const base = squall(seed, settings);
      const limits = { ...base.cluster.limits, sessionIdleMs: 2_000, clientHeartbeatMs: 700 };
      // What is done under a key is known for as long as its session only.
      const workload = { ...base.workload, durationMs: 15_000, hotWeight: 0.5, keyed: 0 };
      const schedule = { ...base.schedule, pauseMs: 400, partitionMs: 1_000 };
      return { ...base, cluster: { ...base.cluster, limits }, schedule, workload };
    },
  },
  /** Two names a directory, and everybody at both. */
  moves: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      const stream = { ...noFaults.stream, latencyMs: [1, 25] as const };
      const workload = { ...base.workload, durationMs: 12_000, operations: 600, groups: 3, filesPerGroup: 2 };
      return { ...base, faults: { ...noFaults, stream }, workload };
    },
  },
  /** Nothing fails, though all takes its time: nobody has a reason to say so, or to mend anything. */
  goodDay: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      const stream = { ...noFaults.stream, latencyMs: [1, 25] as const };
      const workload = { ...base.workload, hotWeight: 0.1, appenders: 0.1 };
      return { ...base, faults: { ...noFaults, stream }, workload };
    },
    script: expectNoTrouble,
  },
  /** Much that is read is being removed, and connections stall for a while. */
  slowReaders: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      const stream = { ...noFaults.stream, stall: 0.15, stallMs: [300, 900] as const };
      const workload = { ...base.workload, durationMs: 10_000, groups: 3, operations: 600, appenders: 0 };
      return { ...base, faults: { ...noFaults, stream }, workload };
    },
    script: expectReadersInTime,
  },
  /** One server is lost for ever, in the midst of it, and every fifth command does not arrive. */
  loss: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      const control = { ...noFaults.control, requestLost: 0.15 };
      const cluster = { ...base.cluster, chunkservers: 4 };
      const workload = { ...base.workload, durationMs: 8_000, hotWeight: 0.2, groups: 3, operations: 400 };
      const schedule = { ...quietSchedule, loseServerAtMs: 2_000 };
      return { ...base, cluster, faults: { ...noFaults, control }, schedule, workload };
    },
  },
  /** The drive of one server rots, a byte now and a byte then. */
  rot: {
    settings(seed, settings) {
      const base = replace(seed, settings);
      return { ...base, workload: { ...base.workload, hotWeight: 0.3 } };
    },
    script: rotOneDrive,
  },
  /** Large appends among small ones. */
  large: {
    settings(_seed, settings) {
      return {
        ...settings,
        faults: { ...noFaults, stream: { ...noFaults.stream, reset: 0.02 } },
        schedule: quietSchedule,
        workload: {
          ...settings.workload,
          clients: 2,
          lanes: 2,
          durationMs: 8_000,
          operations: 60,
          hotWeight: 1,
          largeAppends: 0.3,
          pipelined: 0.6,
        },
      };
    },
  },
  /** The master forgets all that it had not synced, just when a server has obeyed it. */
  forgetful: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      return { ...base, workload: { ...base.workload, hotWeight: 0.4, groups: 4, operations: 220 } };
    },
    script: blackouts({
      ...atAcknowledgements,
      proven: ["append", "put", "remove", "move", "read", "stat", "list"],
      master: 1,
      seals: 0.3,
      opens: 0.3,
    }),
  },
  /** Beyond what is promised: syncs answer and do nothing, and then the power goes. A harness that finds nothing here sees nothing. */
  lyingDrives: {
    settings(seed, settings) {
      const base = slowDrives(seed, settings);
      return { ...base, faults: { ...noFaults, disk: { ...noFaults.disk, lyingSync: 1 } } };
    },
    script: blackouts({ ...atAcknowledgements, probability: 0.3 }),
  },
  lone: {
    settings(seed, settings) {
      const base = storm(seed, settings);
      return { ...base, schedule: { ...base.schedule, loseServerAtMs: undefined } };
    },
    script: loseLoneHolder,
  },
};

export const scenarioNames: readonly string[] = Object.keys(scenarios);

/** @throws Error for a name that is none */
export function runScenario(name: string, seed: number, options: RunOptions = {}): SeedResult {
  const scenario = scenarios[name];
  if (scenario === undefined) throw new Error(`No scenario is called ${name}; known: ${scenarioNames.join(", ")}`);
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
