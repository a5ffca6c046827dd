/** Reads a part of a file that lies in one extent, whatever happens to its replicas: goes on from the same byte at the next one (DESIGN §4.4). */
import { type ErrorCode, GfsError } from "../base/errors.ts";
import type { ReplicaAddress } from "../wire/control/common.ts";
import { type LocatedExtent, replicaSuspect } from "../wire/control/files.ts";
import type { InodeId, VolumeId } from "../wire/ids.ts";
import { type ClientContext, inBackground, type Operation } from "./context.ts";
import { type FilePart, locateRange } from "./locations.ts";
import { ReplicaRead } from "./read-replica.ts";
import { backOff, gaveUp } from "./retry.ts";

/** What the parts of one read share. */
export interface FileRead {
  readonly ctx: ClientContext;
  readonly op: Operation;
  readonly inode: InodeId;
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
  #at: number;
  readonly #to: number;
  readonly #committed: number | undefined;
  #opening: Promise<{ readonly replica: ReplicaAddress; readonly read: ReplicaRead }> | undefined;
  #tried = new Set<VolumeId>();
  #again = new Set<VolumeId>();
  /** Something was expected of what `#opening` gave. */
  #used = false;
  #rounds = 0;
  /** What a replica said in this round that may yet give the bytes: it was busy, silent or away. */
  #hopeful: GfsError | undefined;
  #lastError: unknown;
  #closed = false;

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
    if (this.#opening !== undefined) return;
    this.#opening = this.#open();
    this.#opening.catch(() => {});
  }

  /** @throws GfsError where no replica gives the bytes */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const { op } = this.#file;
    while (this.#at < this.#to) {
      this.start();
      let step;
      try {
        const { replica, read } = await this.#current();
        if (this.#isOvertaken(replica)) {
          read.close();
          this.#opening = undefined;
          continue;
        }
        this.#used = true;
        step = await read.next();
      } catch (error) {
        op.check();
        await this.#failed(error);
        continue;
      }
      op.progress();
      this.#rounds = 0;
      if (step.kind === "end") {
        this.#opening = undefined;
        if (this.#at < this.#to) await this.#failed(this.#tooShort(step.end));
        continue;
      }
      this.#at += step.run.bytes;
      yield* step.run.payload;
      op.progress();
    }
    this.close();
  }

  close(): void {
    this.#closed = true;
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.then(({ read }) => read.close()).catch(() => {});
  }

  /** It was asked ahead of its use, and has failed another part since: not worth waiting for where there is a better one. */
  #isOvertaken({ volume }: ReplicaAddress): boolean {
    const { failed } = this.#file;
    if (this.#used || !failed.has(volume)) return false;
    return this.#extent.replicas.some((other) => !this.#tried.has(other.volume) && !failed.has(other.volume));
  }

  async #current(): Promise<{ readonly replica: ReplicaAddress; readonly read: ReplicaRead }> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<{ readonly replica: ReplicaAddress; readonly read: ReplicaRead }> {
    const { ctx, op } = this.#file;
    const replica = this.#nextReplica();
    if (replica === undefined) throw this.#nobody();
    this.#tried.add(replica.volume);
    this.#used = false;
    const { handle, version, offset, fileOffset } = this.#extent;
    const range = { handle, version, offset: offset + this.#at - fileOffset, length: this.#to - this.#at };
    const read = await ReplicaRead.open(ctx, op, replica, { ...range, committed: this.#committed });
    if (this.#closed) read.close();
    return { replica, read };
  }

  /** Nearest first; those that failed before in this read last. */
  #nextReplica(): ReplicaAddress | undefined {
    const left = this.#extent.replicas.filter(({ volume }) => !this.#tried.has(volume));
    return left.find(({ volume }) => !this.#file.failed.has(volume)) ?? left[0];
  }

  /** Makes the next attempt possible. @throws where there is nothing left to try */
  async #failed(thrown: unknown): Promise<void> {
    const { ctx, op, inode, failed } = this.#file;
    const [opening] = await Promise.allSettled([this.#opening]);
    const opened = opening.status === "fulfilled" ? opening.value : undefined;
    this.#opening = undefined;
    opened?.read.close();
    if (!(thrown instanceof GfsError) || fatal.includes(thrown.code)) throw thrown;
    const error = thrown;
    this.#lastError = error;
    if (!hopeless.includes(error.code)) this.#hopeful = error;
    const replica = opened?.replica ?? this.#lastTried();
    if (replica !== undefined) {
      const fields = { chunk: this.#extent.handle, volume: replica.volume, reason: error.message };
      ctx.world.events.emit("info", "read.replica-failed", fields);
      if (opened?.read.wasIdle === true && error.code === "Unavailable" && !this.#again.has(replica.volume)) {
        // Perhaps only its connection had grown old.
        this.#again.add(replica.volume);
        this.#tried.delete(replica.volume);
        ctx.pool.forget(replica.data);
        return;
      }
      failed.add(replica.volume);
      this.#report(error, replica);
    }
    if (this.#nextReplica() !== undefined) return;
    this.#rounds++;
    if (this.#hopeful === undefined && this.#rounds > 1) throw this.#gaveUp(error);
    if (this.#hopeful !== undefined) {
      this.#lastError = this.#hopeful;
      await backOff(ctx, op, { failures: this.#rounds }, this.#gaveUp(this.#hopeful));
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
    if (covers.replicas.length === 0 && located.reportsPending)
      this.#lastError = new GfsError(
        "Unavailable",
        `Cannot read chunk ${covers.handle}: no server has reported it yet (reports pending)`,
      );
  }

  #lastTried(): ReplicaAddress | undefined {
    const last = [...this.#tried].at(-1);
    return this.#extent.replicas.find(({ volume }) => volume === last);
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

  #tooShort(end: number): GfsError {
    const { handle, version } = this.#extent;
    return new GfsError("VersionStale", `Cannot read chunk ${handle} at version ${version}: a replica ends at ${end}`);
  }

  #nobody(): GfsError {
    return new GfsError("Unavailable", `Cannot read chunk ${this.#extent.handle}: no live server is known to hold it`);
  }

  #gaveUp(error: GfsError): GfsError {
    const { handle, replicas } = this.#extent;
    const last = this.#lastError instanceof GfsError ? this.#lastError : error;
    const count = replicas.length;
    const why = count === 0 ? last.message : `none of its ${count} replicas gives it; the last: ${last.message}`;
    return gaveUp(
      new GfsError(last.code, `Cannot read chunk ${handle}: ${why}`, { cause: last, details: last.details }),
    );
  }
}
