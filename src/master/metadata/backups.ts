/**
 * Backups under way: each is a walk over the checkpoint and the log as they were when it began, a piece for each call of its client. As long as it lasts, the log that it still
 * needs is not trimmed; it is given up when its client has been silent for a minute.
 */
import { GfsError } from "../../base/errors.ts";
import type { World } from "../../io.ts";
import type { Log, LogPosition } from "../../log/log-types.ts";
import { diskFailed } from "../../log/survey.ts";
import { checkpointName } from "../checkpoint-file.ts";
import type { DataDirectory } from "../data-directory.ts";
import { type ImagePiece, imagePieces } from "./image.ts";

interface Running {
  readonly id: string;
  readonly checkpoint: LogPosition;
  readonly pieces: AsyncGenerator<ImagePiece, void>;
  /** The next answer, read ahead: the checkpoint is open from the beginning on, and may be removed. */
  ahead: Promise<IteratorResult<ImagePiece, void>>;
  /** Of the last answer: it may be asked for again. */
  count: number;
  last: ImagePiece | undefined;
  usedMs: number;
  /** Calls of one backup follow one another. */
  turn: Promise<unknown>;
}

/** So many at a time, and for so long without a call. */
export const backupsMax = 4;
export const backupIdleMs = 60_000;

export interface BackupSources {
  readonly log: Log;
  /** Position of the newest checkpoint; 0 before the first. */
  readonly checkpoint: () => LogPosition;
  /** Those that the log is written to. */
  readonly directories: () => readonly DataDirectory[];
}

export interface BackupBegun {
  readonly id: string;
  readonly checkpoint: LogPosition;
  readonly until: LogPosition;
  readonly bytes: number;
}

export class Backups {
  readonly #world: Pick<World, "disk" | "clock" | "random" | "events">;
  readonly #sources: BackupSources;
  readonly #running = new Map<string, Running>();

  constructor(world: Pick<World, "disk" | "clock" | "random" | "events">, sources: BackupSources) {
    this.#world = world;
    this.#sources = sources;
  }

  /** The log after this entry is needed; undefined: nobody needs any. */
  get pinned(): LogPosition | undefined {
    const needed = [...this.#running.values()].map(({ checkpoint }) => checkpoint);
    return needed.length === 0 ? undefined : Math.min(...needed);
  }

  /** @throws GfsError("Busy"), GfsError("DiskFailed") */
  async begin(): Promise<BackupBegun> {
    this.tick();
    if (this.#running.size >= backupsMax)
      throw new GfsError("Busy", `Cannot begin a backup: ${backupsMax} are under way`, { retryAfterMs: 5_000 });
    const { disk, clock, random } = this.#world;
    const { log, checkpoint: newest, directories } = this.#sources;
    const [directory] = directories();
    if (directory === undefined) throw new GfsError("DiskFailed", "Cannot begin a backup: no data directory is left");
    const checkpoint = newest();
    const until = log.durablePosition;
    const id = random.bytes(8).toHex();
    const pieces = imagePieces(disk, directory, { checkpoint, until });
    // Registered before anything is waited for: from here on the log is kept.
    const ahead = pieces.next();
    this.#running.set(id, {
      id,
      checkpoint,
      pieces,
      ahead,
      count: 0,
      last: undefined,
      usedMs: clock.monotonicMs(),
      turn: Promise.resolve(),
    });
    try {
      await ahead;
      const path = `${directory.checkpointPath}/${checkpointName(checkpoint)}`;
      const bytes = checkpoint === 0 ? 0 : ((await disk.info(path))?.bytes ?? 0);
      this.#world.events.emit("info", "backup.begun", { backup: id, checkpoint, until });
      return { id, checkpoint, until, bytes };
    } catch (error) {
      this.end(id);
      throw diskFailed("begin a backup", error);
    }
  }

  /** Piece `number`, or undefined after the last one. @throws GfsError("NotFound"), GfsError("RangeInvalid"), and what reading throws */
  piece(id: string, number: number): Promise<ImagePiece | undefined> {
    const running = this.#running.get(id);
    if (running === undefined)
      throw new GfsError("NotFound", `Cannot go on with backup ${id}: it is not under way, or was given up`);
    const answer = running.turn.then(() => this.#next(running, number));
    running.turn = answer.catch(() => undefined);
    return answer;
  }

  /** Gives up those whose client has been silent for too long. */
  tick(): void {
    const idleMs = this.#world.clock.monotonicMs() - backupIdleMs;
    for (const { id, usedMs } of this.#running.values()) if (usedMs < idleMs) this.end(id);
  }

  /** The master stops: none goes on. */
  stop(): void {
    for (const id of this.#running.keys()) this.end(id);
  }

  /** Idempotent. */
  end(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    this.#running.delete(id);
    running.turn.then(() => running.pieces.return()).catch(() => undefined);
  }

  async #next(running: Running, number: number): Promise<ImagePiece | undefined> {
    running.usedMs = this.#world.clock.monotonicMs();
    if (number === running.count - 1) return running.last;
    if (number !== running.count)
      throw new GfsError(
        "RangeInvalid",
        `Cannot give piece ${number} of backup ${running.id}: ${running.count} is next`,
      );
    const { value, done } = await running.ahead;
    if (done !== true) {
      running.ahead = running.pieces.next();
      running.ahead.catch(() => undefined);
    }
    running.count++;
    running.last = done === true ? undefined : value;
    return running.last;
  }
}
