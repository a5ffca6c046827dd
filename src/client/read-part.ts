/** Reads a part of a file that lies in one extent, whatever happens to its replicas: goes on from the same byte at the next one (DESIGN §4.4). */
import { type ErrorCode, GfsError } from "../base/errors.ts";
import { counted } from "../config/units.ts";
import type { ReplicaAddress } from "../wire/control/common.ts";
import { type LocatedExtent, replicaSuspect } from "../wire/control/files.ts";
import type { InodeId, VolumeId } from "../wire/ids.ts";
import { type ClientContext, inBackground, type Operation } from "./context.ts";
import { type FilePart, locateRange } from "./locations.ts";
import { hedgedRun } from "./hedged-run.ts";
import { type Outcome, ReadAttempt } from "./read-attempt.ts";
import { backOff, gaveUp } from "./retry.ts";

/** What the parts of one read share. */
export interface FileRead {
  readonly ctx: ClientContext;
  readonly op: Operation;
  readonly inode: InodeId;
  /** As it was asked for. */
  readonly path: string;
  /** Failed during this read: asked last. */
  readonly failed: Set<VolumeId>;
}

const suspicions: Partial<Record<ErrorCode, "corrupt" | "missing" | "stale">> = {
  Corrupt: "corrupt",
  ReplicaMissing: "missing",
  VersionStale: "stale",
};
/** A replica that says so about itself, or whose bytes are wrong, will say so again: asking the master once more is enough. */
const hopeless: readonly ErrorCode[] = ["Corrupt", "ReplicaMissing", "VersionStale"];

/** No other replica would be better. */
export const fatal: readonly ErrorCode[] = ["Bug", "Denied", "WrongCluster", "VersionUnsupported", "Interrupted"];

export class PartRead {
  readonly #file: FileRead;
  #extent: LocatedExtent;
  /** The next byte that goes out: moved on by a run that goes out, and by nothing else. */
  #at: number;
  readonly #to: number;
  readonly #committed: number | undefined;
  /** Whom the next run is expected of. */
  #attempt: ReadAttempt | undefined;
  #tried = new Set<VolumeId>();
  #again = new Set<VolumeId>();
  #rounds = 0;
  /** What a replica said in this round that may yet give the bytes: it was busy, silent or away. */
  #hopeful: GfsError | undefined;
  #lastError: unknown;
  #reportsPending = false;

  /** `committed`: for an open chunk, its length as the primary said. */
  constructor(file: FileRead, part: FilePart, committed?: number) {
    this.#file = file;
    this.#extent = part.extent;
    this.#at = part.from;
    this.#to = part.to;
    this.#committed = committed;
  }

  /** Asks the nearest replica for everything, ahead of its use; what is wrong with it shows when it is used. */
  start(): void {
    this.#attempt ??= this.#askNext();
  }

  /** @throws GfsError where no replica gives the bytes */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const { op } = this.#file;
    try {
      while (this.#at < this.#to) {
        this.#leaveOvertaken();
        this.#attempt ??= this.#askNext();
        if (this.#attempt === undefined) {
          this.#requireAny();
          this.#hopeful = this.#lastError = this.#nobody();
          await this.#findOthers(this.#hopeful);
          continue;
        }
        const outcome = await this.#nextRun(this.#attempt);
        if (outcome.kind === "failed") {
          this.#attempt = undefined;
          outcome.attempt.close();
          await this.#findOthers(this.#failed(outcome));
          continue;
        }
        this.#attempt = outcome.attempt;
        op.progress();
        this.#rounds = 0;
        this.#at += outcome.run.bytes;
        yield* outcome.run.payload;
        op.progress();
      }
    } finally {
      // Also of a consumer that wants no more.
      this.close();
    }
  }

  close(): void {
    this.#attempt?.close();
    this.#attempt = undefined;
  }

  /** It was asked ahead of its use, and has failed another part since: not worth waiting for where there is a better one. */
  #leaveOvertaken(): void {
    const { failed } = this.#file;
    if (this.#attempt === undefined || this.#attempt.used || !failed.has(this.#attempt.replica.volume)) return;
    if (!this.#extent.replicas.some((other) => !this.#tried.has(other.volume) && !failed.has(other.volume))) return;
    this.close();
  }

  #askNext(): ReadAttempt | undefined {
    const [replica] = this.#untried();
    return replica === undefined ? undefined : this.#ask(replica);
  }

  #ask(replica: ReplicaAddress): ReadAttempt {
    const { ctx, op } = this.#file;
    this.#tried.add(replica.volume);
    const { handle, version, offset, fileOffset } = this.#extent;
    const range = { handle, version, offset: offset + this.#at - fileOffset, length: this.#to - this.#at };
    return new ReadAttempt(ctx, op, replica, { ...range, committed: this.#committed });
  }

  /** Nearest first, but those that are much slower later, and those that failed before in this read last. */
  #untried(): readonly ReplicaAddress[] {
    const { ctx, failed } = this.#file;
    const left = this.#extent.replicas.filter(({ volume }) => !this.#tried.has(volume));
    if (left.length < 2) return left;
    const now = { bytes: this.#to - this.#at, nowMs: ctx.world.clock.monotonicMs() };
    const ordered = ctx.speeds.order(left, ({ volume }) => volume, now);
    return [
      ...ordered.filter(({ volume }) => !failed.has(volume)),
      ...ordered.filter(({ volume }) => failed.has(volume)),
    ];
  }

  /** From this attempt, or from a second one that was asked because this one lets wait. */
  async #nextRun(attempt: ReadAttempt): Promise<Outcome> {
    const { ctx, failed } = this.#file;
    const { clock } = ctx.world;
    const startMs = clock.monotonicMs();
    const [second] = this.#untried();
    if (second === undefined || failed.has(second.volume)) return attempt.next();
    const maxMs = ctx.limits.readStallMs / 2;
    const { outcome, lost } = await hedgedRun(clock, attempt, {
      afterMs: ctx.speeds.hedgeAfterMs(second.volume, { minMs: ctx.limits.hedgeAfterMs, maxMs }, startMs),
      trickleMs: maxMs,
      ask: () => {
        if (!ctx.hedges.spend()) return undefined;
        const fields = { chunk: this.#extent.handle, volume: attempt.replica.volume, second: second.volume };
        ctx.world.events.emit("debug", "read.hedged", fields);
        return this.#ask(second);
      },
      onFailed: (failure) => void this.#failed(failure),
    });
    if (lost === undefined) return outcome;
    // It may still be good enough where all others fail.
    this.#tried.delete(lost.replica.volume);
    if (lost !== attempt) return outcome;
    failed.add(lost.replica.volume);
    lost.noteFirst(clock.monotonicMs() - startMs);
    return outcome;
  }

  /** What it means that an attempt failed. @throws what no other replica would mend */
  #failed({ attempt, error }: Outcome & { kind: "failed" }): GfsError {
    const { ctx, op, failed } = this.#file;
    op.check();
    if (!(error instanceof GfsError) || fatal.includes(error.code)) throw error;
    this.#lastError = error;
    const isHopeless = hopeless.includes(error.code);
    if (!isHopeless) this.#hopeful = error;
    const { replica } = attempt;
    const fields = { chunk: this.#extent.handle, volume: replica.volume, reason: error.message };
    ctx.world.events.emit("info", "read.replica-failed", fields);
    if (attempt.wasIdle && error.code === "Unavailable" && !this.#again.has(replica.volume)) {
      // Perhaps only its connection had grown old.
      this.#again.add(replica.volume);
      this.#tried.delete(replica.volume);
      ctx.pool.forget(replica.data);
      return error;
    }
    failed.add(replica.volume);
    if (!isHopeless) attempt.noteFirst(ctx.limits.connectMs);
    this.#report(error, replica);
    return error;
  }

  /** Makes the next attempt possible. @throws where there is nothing left to try */
  async #findOthers(error: GfsError): Promise<void> {
    const { ctx, op, inode } = this.#file;
    if (this.#untried().length > 0) return;
    this.#rounds++;
    // Right after the master's start, the servers that have it may just not have registered.
    const hopeful = this.#hopeful ?? (this.#reportsPending ? error : undefined);
    if (hopeful === undefined && this.#rounds > 1) throw this.#gaveUp(error);
    if (hopeful !== undefined) {
      this.#lastError = hopeful;
      await backOff(ctx, op, { failures: this.#rounds }, this.#gaveUp(hopeful));
    }
    const range = { offset: this.#at, length: this.#to - this.#at };
    const located = await locateRange(ctx, op, { kind: "inode", inode }, range);
    const covers = located.extents.find(
      (extent) =>
        extent.fileOffset <= this.#at && (extent.state !== "sealed" || extent.fileOffset + extent.length > this.#at),
    );
    if (covers === undefined) throw this.#gaveUp(error);
    this.#extent = covers;
    this.#tried = new Set();
    this.#again = new Set();
    this.#hopeful = undefined;
    this.#reportsPending = located.reportsPending;
  }

  #report(error: GfsError, { volume }: ReplicaAddress): void {
    const reason = suspicions[error.code];
    if (reason === undefined || this.#extent.state !== "sealed") return;
    const { ctx } = this.#file;
    const { handle, version } = this.#extent;
    const options = { timeoutMs: ctx.limits.controlMs };
    const call = ctx.control.call(ctx.master, replicaSuspect, { handle, version, volume, reason }, options);
    inBackground(ctx, "report a replica", call);
  }

  /** @throws GfsError("ChunkLost") where the master knows that nobody has the bytes any more, or could bring them back */
  #requireAny(): void {
    const { handle, lost } = this.#extent;
    if (lost === undefined) return;
    const { path } = this.#file;
    throw new GfsError("ChunkLost", `Cannot read chunk ${handle} of ${path}: no replica is left: ${lost}`, {
      details: { chunk: handle, path, replicas: lost },
    });
  }

  #nobody(): GfsError {
    const why = this.#reportsPending
      ? "no server has reported it yet (reports pending)"
      : "no live server is known to hold it (gfs status)";
    return new GfsError("Unavailable", `Cannot read chunk ${this.#extent.handle} of ${this.#file.path}: ${why}`);
  }

  #gaveUp(error: GfsError): GfsError {
    const { handle, replicas } = this.#extent;
    const last = this.#lastError instanceof GfsError ? this.#lastError : error;
    const count = replicas.length;
    // What `nobody` says is all there is to say.
    if (count === 0) return gaveUp(last);
    const text = `Cannot read chunk ${handle} of ${this.#file.path}: none of its ${counted(count, "replica")} gives it; the last: ${last.message}`;
    return gaveUp(new GfsError(last.code, text, { cause: last, details: last.details }));
  }
}
