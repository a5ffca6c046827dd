/** Cluster time (DESIGN §4.1): what trash, drafts and sessions expire by. It is kept in the log and never goes back. */
import type { Clock } from "../io.ts";
import type { Now } from "./core/decision.ts";

/** What the log tells of time: the last batch, and the last start with the wall clock of then. */
export interface LoggedTime {
  clusterMs: number;
  epochClusterMs: number;
  /** Undefined before the first start was logged. */
  epochWallMs: number | undefined;
}

/** The most that a restart adds: a wrong wall clock must not expire everything. */
const restartMsMax = 3_600_000;

export class ClusterClock {
  readonly #clock: Clock;
  #baseMs = 0;
  #sinceMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  /** A start: goes on from the last batch, plus the wall-clock time since then, at most one hour. */
  resume(logged: LoggedTime): void {
    const { clusterMs, epochClusterMs, epochWallMs } = logged;
    // The wall clock is logged only at starts; from there to the last batch it advanced as cluster time did.
    const lastWallMs = epochWallMs === undefined ? undefined : epochWallMs + (clusterMs - epochClusterMs);
    const awayMs = lastWallMs === undefined ? 0 : this.#clock.wallMs() - lastWallMs;
    this.#baseMs = clusterMs + Math.min(restartMsMax, Math.max(0, awayMs));
    this.#sinceMs = this.#clock.monotonicMs();
  }

  now(): Now {
    const clusterMs = this.#baseMs + (this.#clock.monotonicMs() - this.#sinceMs);
    return { clusterMs, wallMs: this.#clock.wallMs() };
  }
}
