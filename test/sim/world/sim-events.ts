import type { EventFields, EventLevel, Events } from "../../../src/io.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimProcess } from "./sim-process.ts";

export interface SimEvent {
  readonly atMs: number;
  readonly machine: string;
  readonly level: EventLevel;
  readonly name: string;
  readonly fields: EventFields;
}

const levels: readonly EventLevel[] = ["debug", "info", "warn", "error"];
const keptMax = 512;

/** The last events of a machine, whatever its processes were. */
export class EventRing {
  readonly machine: string;
  readonly #kept: SimEvent[] = [];
  #next = 0;

  constructor(machine: string) {
    this.machine = machine;
  }

  add(event: SimEvent): void {
    this.#kept[this.#next++ % keptMax] = event;
  }

  /** Oldest first. */
  get events(): readonly SimEvent[] {
    const at = this.#next % keptMax;
    return this.#next <= keptMax ? this.#kept : [...this.#kept.slice(at), ...this.#kept.slice(0, at)];
  }
}

export interface EventsOptions {
  readonly ring: EventRing;
  readonly process: SimProcess;
  readonly scheduler: Scheduler;
  readonly level: EventLevel;
  readonly hook: (event: SimEvent) => void;
}

export function makeSimEvents({ ring, process, scheduler, level, hook }: EventsOptions): Events {
  const least = levels.indexOf(level);
  return {
    enabled: (asked) => levels.indexOf(asked) >= least,
    emit(emitted, name, fields = {}) {
      if (!process.alive || levels.indexOf(emitted) < least) return;
      scheduler.trace.mixName(name);
      const event: SimEvent = { atMs: scheduler.nowMs, machine: ring.machine, level: emitted, name, fields };
      ring.add(event);
      hook(event);
    },
  };
}

/** One line: `12.345 m1 warn replica.stale handle=7`. */
export function formatEvent({ atMs, machine, level, name, fields }: SimEvent): string {
  const shown = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [atMs.toFixed(3), machine, level, name, ...shown.map(([key, value]) => `${key}=${String(value)}`)].join(" ");
}
