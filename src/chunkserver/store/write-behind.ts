/** Empties the volume log: bytes to data files, states to a checkpoint, then the segments are free again. Off the path of any request. */
import { GfsError, hasCode } from "../../base/errors.ts";
import type { Timer } from "../../io.ts";
import { writeCheckpoint } from "./checkpoint-file.ts";
import { fileUnnamed } from "./chunk-filer.ts";
import { readFailure } from "./chunk-reader.ts";
import type { Ground } from "./ground.ts";

/** Replicas that are filed at the same time: their syncs share the file system's own commits. */
const workers = 16;
/** After a cycle that failed, for want of space or otherwise. */
const retryMs = 1_000;
/** Between cycles under a steady stream, so that each is worth its checkpoint; nearly at once while somebody waits for room. */
const pauseMs = { room: 100, full: 10 };

export class WriteBehind {
  readonly #ground: Ground;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  /** Directories with names that are perhaps not durable yet, each with a handle in it. Kept where a cycle fails. */
  readonly #unsynced = new Map<string, number>();

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** The log should be emptied; what is under way goes on. */
  request(): void {
    if (this.#ground.log.stopped || this.#running !== undefined || this.#timer !== undefined) return;
    this.#running = this.#run();
  }

  /** One whole cycle from now on: everything durable now is in data files and the checkpoint afterwards. @throws GfsError NoSpace | VolumeRetired */
  async flush(): Promise<void> {
    if (this.#running !== undefined) await this.#running;
    await this.#cycle();
  }

  /** Nothing runs any more. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, world } = this.#ground;
    let waitMs: number | undefined;
    try {
      await this.#cycle();
      if (log.pressed) waitMs = log.hasRoom ? pauseMs.room : pauseMs.full;
    } catch (error) {
      waitMs = retryMs;
      if (hasCode(error, "NoSpace")) log.stick(error);
      world.events.emit("warn", "volume.log-not-emptied", {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
    this.#running = undefined;
    if (waitMs === undefined || this.#ground.log.stopped || this.#ground.retirement.reason !== undefined) return;
    this.#timer = world.clock.after(waitMs, () => {
      this.#timer = undefined;
      this.request();
    });
  }

  async #cycle(): Promise<void> {
    const { state, log, retirement, world, directory, identity } = this.#ground;
    retirement.check();
    const startedMs = world.clock.monotonicMs();
    const waiting = [...state.active.keys()];
    const filed = waiting.length;
    const full = await this.#fileAll(waiting);
    // Once for a cycle: the log still has everything that was filed, until the checkpoint below counts on the names.
    await retirement.attempt("make the names of data files durable", () => this.#syncNames());
    const { position } = log;
    let oldestSegment: number | undefined;
    for (const active of state.active.values()) {
      const oldest = active.log.oldestSegment;
      if (oldest !== undefined) oldestSegment = Math.min(oldest, oldestSegment ?? oldest);
    }
    const wallSeconds = Math.floor(world.clock.wallMs() / 1_000);
    await retirement.attempt("write the checkpoint", () =>
      writeCheckpoint(world.disk, state, { directory, volume: identity.volume, position, wallSeconds }),
    );
    await retirement.attempt("trim the volume log", () => log.trim(position, oldestSegment));
    const tookMs = Math.round(world.clock.monotonicMs() - startedMs);
    world.events.emit("debug", "volume.checkpoint", { position, filed, replicas: state.table.replicaCount, tookMs });
    if (full !== undefined) throw full;
  }

  async #syncNames(): Promise<void> {
    const { files } = this.#ground;
    await Promise.all([...this.#unsynced.values()].map((handle) => files.syncName(handle)));
    this.#unsynced.clear();
  }

  /** What kept some from being filed, where that was want of space: a checkpoint is worth writing all the same. */
  async #fileAll(handles: number[]): Promise<GfsError | undefined> {
    let full: GfsError | undefined;
    const work = async (): Promise<void> => {
      for (let handle = handles.pop(); handle !== undefined; handle = handles.pop()) {
        try {
          await this.#fileOne(handle);
        } catch (error) {
          if (!hasCode(error, "NoSpace")) throw error;
          full = error;
        }
      }
    };
    const settled = await Promise.allSettled(Array.from({ length: workers }, work));
    for (const one of settled) if (one.status === "rejected") throw one.reason;
    return full;
  }

  #fileOne(handle: number): Promise<void> {
    const ground = this.#ground;
    return ground.locks.run(handle, async () => {
      const active = ground.state.active.get(handle);
      if (active === undefined || active.stopped || ground.log.stopped) return;
      try {
        const named = await ground.retirement.attempt(`write chunk ${handle} to its data file`, () =>
          fileUnnamed(ground, active),
        );
        if (named) this.#unsynced.set(ground.files.directoryOf(handle), handle);
      } catch (error) {
        // A replica whose bytes in the log are damaged is marked corrupt, and concerns no other.
        if (!hasCode(error, "Corrupt", "ReplicaMissing")) throw error;
        readFailure(ground, active.handle, new GfsError("Corrupt", error.message, { cause: error }));
      }
    });
  }
}
