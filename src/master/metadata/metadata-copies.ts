/**
 * Copies of the master's metadata on volumes (DESIGN §4.1): chosen, kept up to date, chosen anew where a server dies, is drained or fails. A master that may be behind ships nothing and
 * drops nothing: what volumes keep may be more than it has. All of it is background work with deadlines; a server that does not answer costs its own copy only.
 */
import { asGfsError } from "../../base/errors.ts";
import type { Log, LogPosition } from "../../log/log-types.ts";
import { backoffMs } from "../../net/backoff.ts";
import { metadataDrop } from "../../wire/control/metadata.ts";
import { awaitsVolumes, inBackground, type MasterContext, nowMs } from "../context.ts";
import type { VolumeIndex } from "../core/chunk-table.ts";
import { behindMs, lookAtCopy } from "../core/copy-lag.ts";
import { chooseHolders, type HolderCandidate } from "../core/metadata-holders.ts";
import { allVolumes, isUsable, type Volume } from "../core/volumes.ts";
import type { DataDirectory } from "../data-directory.ts";
import { MetadataCopy } from "./metadata-copy.ts";

export interface CopySources {
  readonly log: Log;
  readonly checkpoint: () => LogPosition;
  readonly directories: () => readonly DataDirectory[];
}

export interface CopyStatus {
  readonly volume: VolumeIndex;
  readonly position: LogPosition;
  readonly checkpoint: LogPosition;
  /** For how long it may lack something, at most a second too long; undefined: it was not complete since the master's start. */
  readonly behindMs: number | undefined;
  /** Why the last round failed. */
  readonly failure: string | undefined;
}

interface Keeping {
  readonly copy: MetadataCopy;
  running: boolean;
  failures: number;
  failure: string | undefined;
  nextMs: number;
  /** Of the registration that it began with: another process may have another directory. */
  incarnation: string | undefined;
}

/** A copy that failed so often in a row is tried elsewhere, where there is an elsewhere, for so long. */
const failuresMax = 5;
const shunMs = 600_000;
const longestPauseMs = 60_000;

export class MetadataCopies {
  readonly #ctx: MasterContext;
  readonly #sources: CopySources;
  readonly #kept = new Map<VolumeIndex, Keeping>();
  /** Not chosen before (monotonic). */
  readonly #shunned = new Map<VolumeIndex, number>();
  /** Their copies are not asked to go before (monotonic): a question is under way, or one had no effect. */
  readonly #dropAfterMs = new Map<VolumeIndex, number>();

  constructor(ctx: MasterContext, sources: CopySources) {
    this.#ctx = ctx;
    this.#sources = sources;
  }

  get wanted(): number {
    return this.#ctx.limits.metadataCopies;
  }

  /** Of the volumes that are chosen now. */
  status(): CopyStatus[] {
    const now = nowMs(this.#ctx);
    const { log } = this.#sources;
    return [...this.#kept.values()].map(({ copy, failure }) => ({
      volume: copy.volume,
      position: copy.position,
      checkpoint: copy.checkpoint,
      behindMs: behindMs(copy.lag, { position: copy.position, durable: log.durablePosition }, now),
      failure,
    }));
  }

  /** Begins what is due. */
  tick(): void {
    const { soft, limits } = this.#ctx;
    const { durablePosition: durable } = this.#sources.log;
    for (const { copy } of this.#kept.values())
      lookAtCopy(copy.lag, { position: copy.position, durable }, nowMs(this.#ctx));
    if (limits.metadataCopies === 0 || soft.mutationsStopped !== undefined) return;
    if (awaitsVolumes(this.#ctx)) return;
    const now = nowMs(this.#ctx);
    // Those that hold a copy are given time to come back first.
    if (now - soft.startedMs < limits.deadHeartbeats * limits.heartbeatMs) return;
    this.#choose(now);
    for (const keeping of this.#kept.values()) if (this.#isDue(keeping, now)) this.#begin(keeping);
    this.#dropSurplus();
  }

  #choose(now: number): void {
    for (const [volume, untilMs] of this.#shunned) if (now >= untilMs) this.#shunned.delete(volume);
    const fit = allVolumes(this.#ctx.state.volumes).filter((volume) => isUsable(volume) && volume.mark === "none");
    const calm = fit.filter(({ index }) => !this.#shunned.has(index));
    const some = calm.length >= this.wanted ? calm : fit;
    const chosen = new Set(
      chooseHolders(
        some.map((volume) => this.#candidate(volume)),
        this.wanted,
      ),
    );
    for (const [volume, { running }] of this.#kept) if (!chosen.has(volume) && !running) this.#kept.delete(volume);
    for (const volume of chosen) {
      if (this.#kept.has(volume)) continue;
      this.#ctx.world.events.emit("info", "metadata.copy-chosen", { target: volume });
      const copy = new MetadataCopy(this.#ctx, volume);
      const incarnation = undefined;
      this.#kept.set(volume, { copy, running: false, failures: 0, failure: undefined, nextMs: 0, incarnation });
    }
  }

  #candidate(volume: Volume): HolderCandidate {
    const { index, space, registration, liveness } = volume;
    const control = registration?.control ?? "";
    return {
      volume: index,
      rack: registration?.rack,
      host: control.slice(0, control.lastIndexOf(":")),
      disk: space.disk?.fileSystem ?? volume.volume,
      freeBytes: space.freeBytes,
      holds: this.#ctx.soft.heldMetadata.has(index),
      isSuspect: liveness === "suspect",
    };
  }

  #isDue({ copy, running, nextMs, failure, incarnation }: Keeping, now: number): boolean {
    if (running || now < nextMs) return false;
    const { log, checkpoint } = this.#sources;
    const restarted = incarnation !== this.#incarnationOf(copy.volume);
    return restarted || failure !== undefined || copy.position < log.durablePosition || copy.checkpoint < checkpoint();
  }

  #incarnationOf(volume: VolumeIndex): string | undefined {
    return this.#ctx.state.volumes.byIndex[volume]?.registration?.incarnation;
  }

  #begin(keeping: Keeping): void {
    keeping.running = true;
    inBackground(this.#ctx, "copy the metadata", this.#round(keeping));
  }

  async #round(keeping: Keeping): Promise<void> {
    const { copy } = keeping;
    const { world, limits } = this.#ctx;
    const { log, checkpoint, directories } = this.#sources;
    try {
      const [directory] = directories();
      if (directory === undefined) return;
      const incarnation = this.#incarnationOf(copy.volume);
      if (incarnation !== keeping.incarnation) copy.forget();
      keeping.incarnation = incarnation;
      await copy.round({ directory, checkpoint: checkpoint(), until: log.durablePosition });
      if (keeping.failure !== undefined) world.events.emit("info", "metadata.copy-resumed", { target: copy.volume });
      keeping.failures = 0;
      keeping.failure = undefined;
      keeping.nextMs = nowMs(this.#ctx) + limits.metadataCopyMs;
    } catch (error) {
      if (this.#ctx.stopping.aborted) return;
      const failure = asGfsError(error);
      if (failure.code === "Bug") throw error;
      if (keeping.failure === undefined)
        world.events.emit("warn", "metadata.copy-failed", { target: copy.volume, reason: failure.message });
      keeping.failure = failure.message;
      keeping.failures++;
      const pauseMs = Math.min(longestPauseMs, backoffMs(keeping.failures, world.random) * keeping.failures);
      keeping.nextMs = nowMs(this.#ctx) + Math.max(limits.metadataCopyMs, pauseMs);
      if (keeping.failures >= failuresMax) this.#shunned.set(copy.volume, nowMs(this.#ctx) + shunMs);
    } finally {
      keeping.running = false;
    }
  }

  /** Volumes that hold a copy and are not chosen give it back, once all that are chosen have the whole. */
  #dropSurplus(): void {
    const { soft, state, limits } = this.#ctx;
    const { log } = this.#sources;
    const whole = [...this.#kept.values()].filter(
      ({ copy, failure }) => failure === undefined && copy.position > 0 && copy.lag.completeMs !== undefined,
    );
    const far = whole.some(({ copy }) => log.durablePosition - copy.position > limits.checkpointRecords);
    if (whole.length < this.wanted || far) return;
    const now = nowMs(this.#ctx);
    for (const volume of soft.heldMetadata.keys()) {
      if (this.#kept.has(volume) || !isUsable(state.volumes.byIndex[volume])) continue;
      if (now < (this.#dropAfterMs.get(volume) ?? 0)) continue;
      this.#dropAfterMs.set(volume, now + longestPauseMs);
      inBackground(this.#ctx, "drop a copy of the metadata", this.#drop(volume));
    }
  }

  async #drop(volume: VolumeIndex): Promise<void> {
    const { soft, commands, limits } = this.#ctx;
    try {
      await commands.send(volume, metadataDrop, { to: "gone" }, limits.controlMs);
      soft.heldMetadata.delete(volume);
      this.#dropAfterMs.delete(volume);
    } catch (error) {
      // It is away, or another volume has its address now: a copy too many harms nobody, and is asked to go again later.
      if (asGfsError(error).code === "Bug") throw error;
    }
  }
}
