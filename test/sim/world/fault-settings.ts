import type { Prng } from "./prng.ts";

/** Milliseconds, from (inclusive) to (exclusive); each wait is drawn evenly. */
export type RangeMs = readonly [min: number, max: number];

export interface ClockFaults {
  /** Clocks run fast or slow by up to this many parts in a million. */
  readonly skewPpm: number;
  /** Wall clocks are wrong by up to this, either way. */
  readonly wallErrorMs: number;
}

/** Probabilities are per operation unless said otherwise. */
export interface DiskFaults {
  readonly openMs: RangeMs;
  readonly readMs: RangeMs;
  readonly writeMs: RangeMs;
  readonly syncMs: RangeMs;
  readonly bytesPerMs: number;
  readonly slow: number;
  readonly slowMs: RangeMs;
  readonly readFails: number;
  readonly writeFails: number;
  readonly syncFails: number;
  /** After a failure of the above: every later operation on this drive fails too. */
  readonly failsForEver: number;
  /** A write shows in part before it is done. */
  readonly writeShowsEarly: number;
  /** Something unsynced becomes durable by itself. */
  readonly writeBack: number;
  /** A written bit is flipped, for readers too. */
  readonly bitRot: number;
  /** Beyond what gfs promises to survive alone: the bytes land at another sector of the same file. */
  readonly misdirectedWrite: number;
  /** Beyond what gfs promises to survive alone: a sync answers and does nothing. */
  readonly lyingSync: number;
}

export interface StreamFaults {
  /** One way, between two machines; a pair draws its own distance once. */
  readonly latencyMs: RangeMs;
  /** On top, per message. */
  readonly jitterMs: RangeMs;
  readonly connectFails: number;
  /** Per segment: cut at any byte. */
  readonly reset: number;
  /** Of resets: only one side learns. */
  readonly halfOpen: number;
  /** Per segment. */
  readonly stall: number;
  readonly stallMs: RangeMs;
  /** Per hand-over: cut into many small segments. */
  readonly shred: number;
}

/** Per call; times on the way are those of `StreamFaults`. */
export interface ControlFaults {
  readonly requestLost: number;
  readonly answerLost: number;
  /** Of those lost: the caller gets an error at once, not a time-out. */
  readonly lossIsReset: number;
  /** The server gets the request again, later; nobody gets that answer. */
  readonly duplicate: number;
  readonly duplicateMs: RangeMs;
  /** Overtakes earlier calls of its channel. */
  readonly reorder: number;
}

export interface ProcessFaults {
  /** Of a killed process's children: goes on as an orphan. The host's spawn prevents that where the system lets it. */
  readonly orphan: number;
  /** Per child: killed at some moment within `childDiesMs`. */
  readonly childDies: number;
  readonly childDiesMs: RangeMs;
}

/** What a simulated world does to those who live in it: one plain object, printable, each class replaceable by `noFaults`'. */
export interface FaultSettings {
  readonly clock: ClockFaults;
  readonly disk: DiskFaults;
  readonly stream: StreamFaults;
  readonly control: ControlFaults;
  readonly process: ProcessFaults;
}

/** A good day: everything takes a while, nothing fails. */
export const noFaults: FaultSettings = {
  clock: { skewPpm: 0, wallErrorMs: 0 },
  disk: {
    openMs: [0.01, 0.05],
    readMs: [0.02, 0.2],
    writeMs: [0.02, 0.2],
    syncMs: [0.2, 1],
    bytesPerMs: 1_000_000,
    slow: 0,
    slowMs: [20, 500],
    readFails: 0,
    writeFails: 0,
    syncFails: 0,
    failsForEver: 0,
    writeShowsEarly: 0,
    writeBack: 0,
    bitRot: 0,
    misdirectedWrite: 0,
    lyingSync: 0,
  },
  stream: {
    latencyMs: [0.05, 0.5],
    jitterMs: [0, 0.1],
    connectFails: 0,
    reset: 0,
    halfOpen: 0,
    stall: 0,
    stallMs: [100, 5000],
    shred: 0,
  },
  control: { requestLost: 0, answerLost: 0, lossIsReset: 0.5, duplicate: 0, duplicateMs: [1, 2000], reorder: 0 },
  process: { orphan: 0, childDies: 0, childDiesMs: [0, 200] },
};

/**
 * A mix of bad luck: each class of faults is absent, mild or rough. Without what goes beyond the promises (bit rot, misdirected
 * writes, lying syncs, failing disks): a harness sets those where its checkers can tell.
 */
export function drawFaults(prng: Prng): FaultSettings {
  const rough = (most: number): number => (prng.chance(0.4) ? 0 : most * prng.fraction() ** 2);
  return {
    clock: { skewPpm: rough(500), wallErrorMs: rough(60_000) },
    disk: {
      ...noFaults.disk,
      syncMs: prng.chance(0.5) ? [0.2, 1] : [1, 20],
      slow: rough(0.01),
      slowMs: [20, 20 + rough(3000)],
      writeShowsEarly: rough(0.5),
      writeBack: rough(0.5),
    },
    stream: {
      latencyMs: prng.chance(0.5) ? [0.05, 0.5] : [0.5, 20],
      jitterMs: [0, 0.1 + rough(10)],
      connectFails: rough(0.02),
      reset: rough(0.005),
      halfOpen: rough(0.5),
      stall: rough(0.01),
      stallMs: [10, 10 + rough(8000)],
      shred: rough(0.3),
    },
    control: {
      requestLost: rough(0.03),
      answerLost: rough(0.03),
      lossIsReset: prng.fraction(),
      duplicate: rough(0.03),
      duplicateMs: [1, 1 + rough(5000)],
      reorder: rough(0.2),
    },
    process: { orphan: 0, childDies: rough(0.3), childDiesMs: [0, 200] },
  };
}
