/** Makes faults at random times, a few at once, until told to stop; counts what was made. */
import type { Prng } from "../sim/world/prng.ts";
import type { Fault, Stage } from "./faults.ts";
import type { ThrashCluster } from "./thrash-cluster.ts";

/** Faults that may go on at the same time. */
const streams = 3;

export class FaultSchedule {
  readonly #cluster: ThrashCluster;
  readonly #prng: Prng;
  readonly #counts: Map<string, number>;
  readonly #moments: number[];
  readonly #broken: (what: string) => void;
  readonly #possible: readonly Fault[];
  readonly #over = Promise.withResolvers<void>();
  readonly #busy: Set<string>;
  #isOver = false;
  #running: Promise<void>[] = [];

  constructor(options: {
    readonly cluster: ThrashCluster;
    readonly prng: Prng;
    readonly counts: Map<string, number>;
    /** When each was made, by `performance.now`. */
    readonly moments: number[];
    readonly broken: (what: string) => void;
    readonly table: readonly Fault[];
    /** Shared with another schedule of the same time; its own where left out. */
    readonly busy?: Set<string>;
    /** Of the table those to make; all where left out. */
    readonly only?: readonly string[];
  }) {
    this.#cluster = options.cluster;
    this.#prng = options.prng;
    this.#counts = options.counts;
    this.#moments = options.moments;
    this.#broken = options.broken;
    this.#busy = options.busy ?? new Set();
    const { only } = options;
    this.#possible = options.table.filter(
      (fault) => fault.possible(options.cluster) && (only === undefined || only.includes(fault.name)),
    );
  }

  /** Runs for `ms`, or until stopped; `meanMs`: between two faults of a stream. */
  start(ms: number, meanMs: number): void {
    const untilMs = performance.now() + ms;
    this.#running = Array.from({ length: this.#possible.length === 0 ? 0 : streams }, (_, i) =>
      this.#stream(this.#prng.fork(`stream ${i}`), untilMs, meanMs),
    );
  }

  /** Nothing new from now on, and what is there is undone; resolves when it is. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.#over.resolve();
    await Promise.all(this.#running);
  }

  async #stream(prng: Prng, untilMs: number, meanMs: number): Promise<void> {
    const total = this.#possible.reduce((sum, { weight }) => sum + weight, 0);
    for (;;) {
      await this.#rest(Math.min(4 * meanMs, -Math.log(1 - prng.fraction()) * meanMs));
      const leftMs = untilMs - performance.now();
      if (this.#isOver || leftMs <= 0) return;
      let draw = prng.fraction() * total;
      const fault = this.#possible.find(({ weight }) => (draw -= weight) < 0) ?? this.#possible[0]!;
      const stage: Stage = {
        cluster: this.#cluster,
        prng,
        rest: (ms) => this.#rest(ms),
        isOver: () => this.#isOver,
        busy: this.#busy,
        longestMs: leftMs,
        broken: this.#broken,
      };
      const atMs = performance.now();
      if (!(await fault.make(stage))) continue;
      this.#counts.set(fault.name, (this.#counts.get(fault.name) ?? 0) + 1);
      this.#moments.push(atMs);
    }
  }

  async #rest(ms: number): Promise<void> {
    if (this.#isOver) return;
    let timer: Timer | undefined;
    const elapsed = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([elapsed, this.#over.promise]);
    clearTimeout(timer);
  }
}
