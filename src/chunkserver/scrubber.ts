/**
 * The scrub of one volume (DESIGN §4.5): in the background every sealed replica is read from the medium and compared with its checksums, the one that was read longest ago first,
 * all of them within `everyMs`, at the pace of core/scrub-round.ts; streams of others come first as long as it is not late. What is bad is in the store's `bad()`, which the next
 * heartbeat tells, and the master repairs it. The place is kept on disk now and then: after a restart it goes on there. A retired volume is not read.
 *
 * Memory: a batch of handles; each batch is found by a look at all rows, in slices.
 */
import { AssertionError } from "../base/assert.ts";
import { asGfsError } from "../base/errors.ts";
import { sleep } from "../net/deadline.ts";
import type { ScrubReport, ScrubTerms } from "../wire/control/scrub.ts";
import { type ChunkHandle, chunkHandle } from "../wire/ids.ts";
import type { Context } from "./context.ts";
import { finishRound, newRound, passed, scrubCost, scrubPace, type ScrubRound } from "./core/scrub-round.ts";
import { Pacer } from "./pacer.ts";

const batchMax = 4_096;
/** Rows looked at in one turn: a few milliseconds. */
const rowsPerSlice = 4_096;
/** Between two looks at what has changed: terms, load, the volume. */
const lookMs = { idle: 60_000, busy: 1_000 };
/** A replica is not held open for hours: once begun, it is read at this rate at least, where the limit lets it; the pause comes after it. */
const bytesPerMsMin = 4_194;

interface Batch {
  readonly handles: readonly ChunkHandle[];
  next: number;
  /** Found again by then: what came meanwhile counts too. */
  readonly untilMs: number;
}

export class Scrubber {
  readonly #context: Context;
  /** Somebody is served. */
  readonly #busy: () => boolean;
  readonly #pacer: Pacer;
  #terms: ScrubTerms;
  #round: ScrubRound;
  /** Of the round, at the start of this process, and when that was. */
  #elapsedBefore = 0;
  #sinceMs: number;
  #batch: Batch | undefined;
  #held = { bytes: 0, cost: 0 };
  #left = { bytes: 0, cost: 0 };
  /** Cost of what was read and is not waited for yet. */
  #debt = 0;
  #keptMs: number;
  #kept = true;
  readonly #done = { chunks: 0, bytes: 0, corrupt: 0 };

  constructor(context: Context, busy: () => boolean) {
    const { clock } = context.world;
    const { scrubMs, scrubBytesPerSecondMax } = context.limits;
    this.#context = context;
    this.#busy = busy;
    this.#pacer = new Pacer(clock, context.stopping);
    // As this server is configured, until the master tells.
    this.#terms = { everyMs: scrubMs, bytesPerSecondMax: scrubBytesPerSecondMax };
    this.#round = newRound(clock.wallMs());
    this.#sinceMs = clock.monotonicMs();
    this.#keptMs = this.#sinceMs;
  }

  get terms(): ScrubTerms {
    return this.#terms;
  }

  /** As the master told. */
  set(terms: ScrubTerms): void {
    this.#terms = terms;
  }

  /** A replica was read to its end, here or as an operator ordered. */
  count(bytes: number, corrupt: boolean): void {
    this.#done.chunks++;
    this.#done.bytes += bytes;
    if (corrupt) this.#done.corrupt++;
  }

  /** For heartbeats. */
  report(): ScrubReport {
    const { rounds, beganMs, oldestMs } = this.#round;
    const perMs = this.#terms.everyMs === 0 || this.#context.store.retired !== undefined ? 0 : this.#pace();
    const { clock } = this.#context.world;
    return {
      ...this.#terms,
      rounds,
      beganMs,
      doneBytes: Math.max(0, this.#held.bytes - this.#left.bytes),
      totalBytes: this.#held.bytes,
      ...(oldestMs === undefined ? {} : { oldestMs }),
      bytesPerSecond: perMs * 1_000,
      ...(perMs > 0 && this.#held.cost > 0
        ? { endsMs: Math.round(clock.wallMs() + (this.#left.cost + this.#debt) / perMs) }
        : {}),
      ...this.#done,
    };
  }

  /** Until the chunkserver stops. @throws AssertionError alone */
  async run(): Promise<void> {
    const { store, stopping, world } = this.#context;
    let begun = false;
    while (!stopping.aborted) {
      try {
        if (!begun) await this.#resume();
        begun = true;
        await this.#step();
      } catch (thrown) {
        if (thrown instanceof AssertionError) throw thrown;
        if (stopping.aborted) break;
        // A disk that failed has retired the volume, which has said so.
        if (store.retired === undefined)
          world.events.emit("warn", "scrub.failed", { volume: store.volume, reason: asGfsError(thrown).message });
        await this.#pause(lookMs.idle);
      }
    }
    if (store.retired === undefined && !this.#kept) await store.keepScrub(this.#round).catch(() => undefined);
  }

  async #resume(): Promise<void> {
    const { store, world } = this.#context;
    const round = await store.scrub();
    if (round === undefined) return;
    this.#round = round;
    this.#elapsedBefore = Math.max(0, world.clock.wallMs() - round.beganMs);
  }

  async #step(): Promise<void> {
    const { store } = this.#context;
    if (this.#terms.everyMs === 0 || store.retired !== undefined) return this.#pause(lookMs.idle);
    if (this.#debt > 0) return this.#payOff();
    const now = this.#nowMs();
    if (this.#batch === undefined || this.#batch.next >= this.#batch.handles.length || now >= this.#batch.untilMs)
      this.#batch = await this.#gather();
    const handle = this.#batch.handles[this.#batch.next++];
    if (handle === undefined) return this.#endRound();
    await this.#readOne(handle);
    await this.#keep();
  }

  /** Waits for what was read: a while, then the caller looks again. */
  async #payOff(): Promise<void> {
    const perMs = this.#pace();
    if (this.#held.cost === 0) {
      this.#debt = 0;
      return;
    }
    if (perMs === 0) return this.#pause(lookMs.busy);
    const began = this.#nowMs();
    await this.#pause(Math.min(lookMs.idle, Math.ceil(this.#debt / perMs)));
    this.#debt -= perMs * (this.#nowMs() - began);
  }

  /** The next handles from the cursor on, and what is held and left at all. */
  async #gather(): Promise<Batch> {
    const { store, world, stopping } = this.#context;
    const { cursor } = this.#round;
    let found: ChunkHandle[] = [];
    const held = { bytes: 0, cost: 0 };
    const left = { bytes: 0, cost: 0 };
    const smallest = (): void => {
      found = found.sort((a, b) => a - b).slice(0, batchMax);
    };
    let rows = 0;
    for (const { handle, length, state } of store.reports()) {
      if (++rows % rowsPerSlice === 0) await sleep(world.clock, 0, stopping);
      if (state !== "sealed") continue;
      held.bytes += length;
      held.cost += scrubCost(length);
      if (handle <= cursor) continue;
      left.bytes += length;
      left.cost += scrubCost(length);
      found.push(chunkHandle(handle));
      if (found.length >= 2 * batchMax) smallest();
    }
    smallest();
    this.#held = held;
    this.#left = left;
    const stale = Math.min(3_600_000, this.#terms.everyMs / 50);
    return { handles: found, next: 0, untilMs: this.#nowMs() + stale };
  }

  async #readOne(handle: ChunkHandle): Promise<void> {
    const { store, world, stopping } = this.#context;
    const replica = store.replica(handle);
    // It went since the batch was found, or was found corrupt.
    if (replica?.state !== "sealed") return this.#pass(handle);
    const { length, dataVersion: version } = replica;
    await store.verifyReplica(handle, { signal: stopping, pace: (bytes) => this.#pacer.take(bytes, this.#burst()) });
    const cost = scrubCost(length);
    this.#debt += cost;
    this.#left = { bytes: Math.max(0, this.#left.bytes - length), cost: Math.max(0, this.#left.cost - cost) };
    const now = store.replica(handle);
    const corrupt = now?.state === "corrupt" && now.dataVersion === version;
    this.count(length, corrupt);
    this.#round.chunks++;
    this.#round.bytes += length;
    if (corrupt) {
      this.#round.corrupt++;
      world.events.emit("error", "scrub.corrupt", { volume: store.volume, chunk: handle, version, bytes: length });
    }
    this.#pass(handle);
  }

  #pass(handle: ChunkHandle): void {
    passed(this.#round, handle, { nowMs: this.#context.world.clock.wallMs(), everyMs: this.#terms.everyMs });
    this.#kept = false;
  }

  async #endRound(): Promise<void> {
    const { store, world } = this.#context;
    const { chunks, bytes, corrupt, rounds } = this.#round;
    if (this.#held.cost === 0 && chunks === 0) return this.#pause(Math.min(lookMs.idle, this.#terms.everyMs / 10));
    const tookMs = Math.round(this.#elapsedMs());
    finishRound(this.#round, world.clock.wallMs());
    this.#elapsedBefore = 0;
    this.#sinceMs = this.#nowMs();
    this.#batch = undefined;
    world.events.emit("info", "scrub.round-finished", {
      volume: store.volume,
      round: rounds + 1,
      chunks,
      bytes,
      corrupt,
      tookMs,
    });
    this.#kept = false;
    await this.#keep(true);
  }

  async #keep(now = false): Promise<void> {
    const everyMs = Math.min(60_000, this.#terms.everyMs / 20);
    if (!now && this.#nowMs() - this.#keptMs < everyMs) return;
    this.#keptMs = this.#nowMs();
    await this.#context.store.keepScrub(this.#round);
    this.#kept = true;
  }

  #pace(): number {
    return scrubPace({
      ...this.#terms,
      heldBytes: this.#held.cost,
      leftBytes: this.#left.cost + this.#debt,
      elapsedMs: this.#elapsedMs(),
      busy: this.#busy(),
    });
  }

  #burst(): number {
    const { bytesPerSecondMax } = this.#terms;
    const most = bytesPerSecondMax === 0 ? Number.POSITIVE_INFINITY : bytesPerSecondMax / 1_000;
    return Math.min(most, Math.max(this.#pace(), bytesPerMsMin));
  }

  #elapsedMs(): number {
    return this.#elapsedBefore + this.#nowMs() - this.#sinceMs;
  }

  #nowMs(): number {
    return this.#context.world.clock.monotonicMs();
  }

  #pause(ms: number): Promise<void> {
    return sleep(this.#context.world.clock, ms, this.#context.stopping);
  }
}
