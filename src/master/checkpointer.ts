/** When the master checkpoints: as its log grows, one at a time, by a child process; and what goes with the checkpoints before (DESIGN §4.1). */
import type { z } from "zod";
import { asGfsError, GfsError } from "../base/errors.ts";
import type { World } from "../io.ts";
import type { Limits } from "../limits.ts";
import type { Log, LogPosition } from "../log/log-types.ts";
import { diskFailed } from "../log/survey.ts";
import { type CheckpointTask, copyCheckpoint, listCheckpoints } from "./checkpoint.ts";
import { checkpointName } from "./checkpoint-file.ts";
import type { DataDirectory } from "./data-directory.ts";

/** The hidden subcommand of the child. */
const checkpointCommand = "checkpoint-master";
/** Segments of the operation log that are kept before a checkpoint is made although few records were logged. */
const segmentsMax = 8;
const retryMs = 30_000;

export interface CheckpointerOptions {
  readonly world: World;
  readonly log: Log;
  readonly directories: () => readonly DataDirectory[];
  readonly limits: Limits;
  /** Position of the newest checkpoint at the start. */
  readonly position: LogPosition;
  /** The log after this entry is read by somebody; undefined: by nobody. */
  readonly pinned: () => LogPosition | undefined;
}

/** Starts checkpoint children as the log grows, one at a time, and trims what they made superfluous. */
export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #position: LogPosition;
  #running: Promise<void> | undefined;
  /** The log up to here is not needed for a start; 0: nothing is known of that. */
  #superfluous: LogPosition = 0;
  #nextTryMs = 0;
  #failure: string | undefined;
  readonly #stop = new AbortController();

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  /** Of the newest checkpoint; 0 before the first. */
  get position(): LogPosition {
    return this.#position;
  }

  /** Why the last one failed, until one succeeds. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Starts one where enough was logged since the last, or where the log holds many segments. */
  tick(): void {
    const { log, limits, world } = this.#options;
    if (this.#running !== undefined || this.#stop.signal.aborted) return;
    // Who read it at the last checkpoint may be through. What fails is tried, and told, by the next one.
    this.#trim().catch(() => undefined);
    if (world.clock.monotonicMs() < this.#nextTryMs) return;
    const records = log.durablePosition - this.#position;
    const segments = log.heldBytes / limits.logSegmentBytes;
    if (records < limits.checkpointRecords && (segments < segmentsMax || records === 0)) return;
    void this.run().catch(() => undefined);
  }

  /** A checkpoint of everything logged so far; joins one that is running. @throws GfsError of what failed; the next one tries again */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Ends the child, if one runs. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { world, log } = this.#options;
    const beganMs = world.clock.monotonicMs();
    try {
      await log.roll();
      const until = log.closed().last;
      if (until <= this.#position) return;
      const source = await this.#write(until);
      const path = `${source.checkpointPath}/${checkpointName(until)}`;
      for (const other of this.#options.directories())
        if (other !== source) await copyCheckpoint(world.disk, path, other, until);
      this.#position = until;
      await this.#discard();
      this.#failure = undefined;
      world.events.emit("info", "checkpoint.done", { position: until, ms: world.clock.monotonicMs() - beganMs });
    } catch (error) {
      this.#nextTryMs = world.clock.monotonicMs() + retryMs;
      const failure = asGfsError(diskFailed("write a checkpoint", error));
      if (!this.#stop.signal.aborted) {
        this.#failure = failure.message;
        world.events.emit("error", "checkpoint.failed", { reason: failure.message });
      }
      throw failure;
    }
  }

  /** In the first directory where it succeeds: the log or the last checkpoint of one may have been damaged since the start. */
  async #write(until: LogPosition): Promise<DataDirectory> {
    let failure: unknown = new GfsError("DiskFailed", "Cannot checkpoint: no data directory is left");
    for (const source of this.#options.directories()) {
      try {
        await this.#runChild(source, until);
        return source;
      } catch (error) {
        failure = error;
        if (this.#stop.signal.aborted) break;
      }
    }
    throw failure;
  }

  async #runChild(source: DataDirectory, until: LogPosition): Promise<void> {
    const { world } = this.#options;
    const task: z.infer<typeof CheckpointTask> = { dataDir: source.path, until, cluster: source.clusterId };
    const { exitCode, stderr } = await world.spawn.self([checkpointCommand, JSON.stringify(task)], this.#stop.signal);
    if (exitCode === 0) return;
    const why = stderr.trim().split("\n").at(-1) ?? "";
    throw new GfsError("Unavailable", `Cannot checkpoint ${source.path}: the child ended with ${exitCode}: ${why}`);
  }

  /** All but the two newest checkpoints go, then the log up to the older of them. */
  async #discard(): Promise<void> {
    const { world } = this.#options;
    let oldest = this.#position;
    for (const { checkpointPath } of this.#options.directories()) {
      const positions = await listCheckpoints(world.disk, checkpointPath);
      for (const position of positions.slice(2))
        await world.disk.remove(`${checkpointPath}/${checkpointName(position)}`);
      await world.disk.syncDirectory(checkpointPath);
      // With a single one, the log from its beginning is the older way back.
      oldest = Math.min(oldest, positions[1] ?? 0);
    }
    this.#superfluous = oldest;
    await this.#trim();
  }

  #trim(): Promise<void> {
    const { log, pinned } = this.#options;
    return log.trim(Math.min(this.#superfluous, pinned() ?? this.#superfluous) + 1);
  }
}
