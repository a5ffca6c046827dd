/** Who has said hello to a control server (DESIGN §4.6). */
import type { Role } from "../wire/control/handshake.ts";

/** Requests of one connection may arrive in another order than they were sent: HTTP/2 streams are independent. More than any client leaves unanswered. */
const windowCounters = 4_096;
/** Those that never sent a request: a flood of hellos can't drive out the others. */
const unprovenMax = 4_096;
const unprovenMs = 60_000;
const provenMax = 65_536;
const idleMs = 600_000;

/** Refuses a counter that was seen, or that is too old to tell. */
export class ReplayWindow {
  #highest = 0;
  readonly #seen = new Uint32Array(windowCounters / 32);

  /** `replayed`: seen already. `old`: below the window, perhaps seen. Counters are integers from 1. */
  accept(counter: number): "new" | "replayed" | "old" {
    if (counter > this.#highest) {
      const from = Math.max(this.#highest + 1, counter - windowCounters + 1);
      for (let skipped = from; skipped < counter; skipped++) this.#mark(skipped, false);
      this.#highest = counter;
      this.#mark(counter, true);
      return "new";
    }
    if (counter <= this.#highest - windowCounters) return "old";
    if (this.#isMarked(counter)) return "replayed";
    this.#mark(counter, true);
    return "new";
  }

  #isMarked(counter: number): boolean {
    const bit = counter % windowCounters;
    return (((this.#seen[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 1;
  }

  #mark(counter: number, seen: boolean): void {
    const bit = counter % windowCounters;
    const word = this.#seen[bit >>> 5] ?? 0;
    const mask = 1 << (bit & 31);
    this.#seen[bit >>> 5] = seen ? word | mask : word & ~mask;
  }
}

export interface ControlConnection {
  readonly role: Role;
  /** Where a secret is set. */
  readonly key: Uint8Array | undefined;
  readonly window: ReplayWindow;
  usedMs: number;
}

/** Bounded; idle ones are forgotten, and their clients say hello again. */
export class ControlConnections {
  /** Both in the order of use, coarsely. */
  readonly #unproven = new Map<string, ControlConnection>();
  readonly #proven = new Map<string, ControlConnection>();

  get size(): number {
    return this.#unproven.size + this.#proven.size;
  }

  add(id: string, connection: ControlConnection): void {
    trim(this.#unproven, unprovenMax - 1, connection.usedMs - unprovenMs);
    this.#unproven.set(id, connection);
  }

  find(id: string): ControlConnection | undefined {
    return this.#proven.get(id) ?? this.#unproven.get(id);
  }

  /** A request on it was in order. */
  use(id: string, connection: ControlConnection, nowMs: number): void {
    const proven = this.#proven.has(id);
    if (proven && nowMs - connection.usedMs < 1_000) return;
    connection.usedMs = nowMs;
    this.#unproven.delete(id);
    this.#proven.delete(id);
    trim(this.#proven, provenMax - 1, nowMs - idleMs);
    this.#proven.set(id, connection);
  }
}

/** Drops from the front: what was last used before `beforeMs`, and what is too many. */
function trim(connections: Map<string, ControlConnection>, count: number, beforeMs: number): void {
  for (const [id, { usedMs }] of connections) {
    if (usedMs >= beforeMs && connections.size <= count) return;
    connections.delete(id);
  }
}
