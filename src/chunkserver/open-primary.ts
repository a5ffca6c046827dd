/** An open chunk of which this volume is primary: carries out what the core decides, over the volume log and the chain (DESIGN §4.3). */
import type { GfsError } from "../base/errors.ts";
import { unreachable } from "../base/assert.ts";
import { Waiters } from "../base/waiters.ts";
import type { Timer } from "../io.ts";
import type { OpenReplica } from "../wire/control/chunkservers.ts";
import type { AppendAnswer, Chain } from "../wire/control/common.ts";
import type { AppendRecord } from "../wire/data/records.ts";
import { encodeChainAppend } from "../wire/data/records.ts";
import type { ChunkVersion, InodeId, Sequence, SessionId } from "../wire/ids.ts";
import { ChainLink } from "./chain-link.ts";
import { operatingError, traceMutation, type Context } from "./context.ts";
import {
  appendArrived,
  committedAnswers,
  leaseExtended,
  prepareDeadlineMs,
  primaryFailed,
  primaryFenced,
  primarySynced,
  primaryTick,
  primaryVoted,
  stoppedReason,
  type AskerId,
  type PrimaryEffect,
  type PrimaryState,
} from "./core/primary.ts";
import { GroupSync } from "./group-sync.ts";

/** Unanswered bytes of one chunk beyond which its clients' streams are not read. */
const unansweredBytesMax = 16 * 1_048_576;
/** A chain without records for this long gives its connections back; the next record makes new ones. */
const idleChainMs = 60_000;

/** A client's append stream. */
export interface Asker {
  answered(answer: AppendAnswer): void;
  refused(sequence: Sequence, error: GfsError): void;
}

export interface OpenPrimaryOptions {
  readonly state: PrimaryState;
  readonly inode: InodeId;
  /** The members after this one. */
  readonly rest: Chain;
  /** The chunk takes no more records, and the master should hear of it soon. */
  readonly onStopped: () => void;
}

export class OpenPrimary {
  readonly kind = "primary";
  readonly inode: InodeId;
  readonly #context: Context;
  readonly #state: PrimaryState;
  readonly #below: Chain;
  readonly #onStopped: () => void;
  readonly #group: GroupSync;
  readonly #askers = new Map<AskerId, Asker>();
  #nextAsker: AskerId = 1;
  #link: ChainLink | undefined;
  #timer: Timer | undefined;
  #acceptedMs = 0;
  readonly #answers = new Waiters();

  constructor(context: Context, { state, inode, rest, onStopped }: OpenPrimaryOptions) {
    this.#context = context;
    this.#state = state;
    this.inode = inode;
    this.#below = rest;
    this.#onStopped = onStopped;
    this.#group = new GroupSync(
      context,
      (length) => this.#synced(length),
      (error) => this.#failed(error.message),
    );
  }

  get version(): ChunkVersion {
    return this.#state.member.version;
  }

  get committed(): number {
    return this.#state.member.committed;
  }

  /** True while it may answer for the chunk's committed length. */
  get holdsRole(): boolean {
    return this.#state.member.promised === this.version;
  }

  join(asker: Asker): AskerId {
    const id = this.#nextAsker++;
    this.#askers.set(id, asker);
    return id;
  }

  leave(id: AskerId): void {
    this.#askers.delete(id);
  }

  answersOf(session: SessionId): AppendAnswer[] {
    return committedAnswers(this.#state, session);
  }

  /** The asker hears of it by `answered` or `refused`, at once or later. */
  append(asker: AskerId, session: SessionId, record: AppendRecord): void {
    const { member } = this.#state;
    const request = {
      asker,
      version: member.version,
      session,
      sequence: record.sequence,
      bytes: record.bytes,
      crc: record.crc,
    };
    this.#acceptedMs = this.#context.world.clock.monotonicMs();
    for (const effect of appendArrived(this.#state, request, this.#acceptedMs)) {
      if (effect.kind === "prepare") this.#prepare(effect.offset, session, record);
      else this.#perform(effect);
    }
  }

  /** Undefined while records are welcome; otherwise resolves when some were answered. */
  room(): Promise<void> | undefined {
    const { member } = this.#state;
    if (member.stopped !== undefined || member.prepared - member.committed < unansweredBytesMax) return undefined;
    return this.#answers.wait();
  }

  extendLease(untilMs: number): void {
    leaseExtended(this.#state, untilMs);
  }

  /** Every now and then: members that heard of no record since learn what is committed, and an idle chain is let go. */
  rest(nowMs: number): void {
    const { prepared, committed } = this.#state.member;
    this.#tellCommitted();
    if (prepared === committed && nowMs - this.#acceptedMs >= idleChainMs) this.#link?.close();
  }

  fenced(version: ChunkVersion): void {
    for (const effect of primaryFenced(this.#state, version)) this.#perform(effect);
    this.#settle();
  }

  /** The process stops: nobody is answered any more. */
  stop(): void {
    this.#failed("its server stops");
    this.#link?.close();
  }

  report(): OpenReplica {
    const { member } = this.#state;
    const stopped = stoppedReason(this.#state)?.slice(0, 256);
    return {
      handle: member.handle,
      version: member.version,
      role: "primary",
      committed: member.committed,
      prepared: member.prepared,
      ...(stopped === undefined ? {} : { stopped }),
    };
  }

  #prepare(offset: number, session: SessionId, record: AppendRecord): void {
    const { member } = this.#state;
    const { handle, version } = member;
    const { sequence, crc, payload, bytes } = record;
    traceMutation(this.#context, "START", member, { id: `${session}/${sequence}`, offset, bytes });
    try {
      const position = this.#context.store.append({ handle, version, session, sequence, offset, crc, payload, bytes });
      this.#group.queued(position, offset + bytes);
    } catch (thrown) {
      return this.#failed(operatingError(this.#context, thrown).message);
    }
    if (this.#below.length > 0) {
      const header = encodeChainAppend({ session, sequence, offset, committed: member.committed, crc });
      this.#down().append(header, payload);
    }
    this.#timer ??= this.#arm();
  }

  /** The link to the next member; made anew where an idle one broke. */
  #down(): ChainLink {
    if (this.#link !== undefined && !this.#link.over) return this.#link;
    const { handle, version } = this.#state.member;
    this.#link = new ChainLink(this.#context, {
      handle,
      version,
      chain: this.#below,
      onVote: (length) => this.#progress(primaryVoted(this.#state, length)),
      onFailure: (error, refused) => {
        const { member } = this.#state;
        if (refused || member.prepared > member.committed) this.#failed(error.message);
      },
    });
    return this.#link;
  }

  #synced(length: number): void {
    const { member } = this.#state;
    // The second look: a fence may have come in while the disk was syncing.
    const promised = this.#context.store.promised(member.handle);
    if (promised > member.version) return this.fenced(promised);
    if (this.#context.store.replica(member.handle)?.state !== "open")
      return this.#failed("its replica was found to be corrupt");
    traceMutation(this.#context, "PREPARE", member, { length });
    this.#progress(primarySynced(this.#state, length));
  }

  #progress(effects: readonly PrimaryEffect[]): void {
    const { member } = this.#state;
    if (effects.length === 0) return;
    for (const effect of effects) this.#perform(effect);
    if (member.stopped !== undefined) return this.#settle();
    traceMutation(this.#context, "COMMIT", member, { length: member.committed });
    this.#tellCommitted();
    this.#answers.wake();
  }

  #tellCommitted(): void {
    if (this.#link?.over === false) this.#link.committed(this.committed);
  }

  #failed(reason: string): void {
    const effects = primaryFailed(this.#state, reason);
    if (effects.length === 0) return;
    traceMutation(this.#context, "ROLLBACK", this.#state.member, { reason });
    for (const effect of effects) this.#perform(effect);
    this.#settle();
  }

  /** After the role ended. */
  #settle(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#link?.close();
    this.#answers.wake();
  }

  /** One timer a chunk: when it fires, the oldest record then pending says when to look again. */
  #arm(): Timer | undefined {
    const deadline = prepareDeadlineMs(this.#state);
    if (deadline === undefined) return undefined;
    const { clock } = this.#context.world;
    return clock.after(Math.max(0, deadline - clock.monotonicMs()), () => {
      this.#timer = undefined;
      const effects = primaryTick(this.#state, clock.monotonicMs());
      if (effects.length > 0) {
        traceMutation(this.#context, "ROLLBACK", this.#state.member, { reason: this.#state.member.stopped });
        for (const effect of effects) this.#perform(effect);
        return this.#settle();
      }
      this.#timer = this.#arm();
    });
  }

  #perform(effect: PrimaryEffect): void {
    switch (effect.kind) {
      case "answer":
        this.#askers.get(effect.asker)?.answered(effect.answer);
        break;
      case "refuse":
        this.#askers.get(effect.asker)?.refused(effect.sequence, effect.error);
        break;
      case "stopped": {
        const { handle, version } = this.#state.member;
        this.#context.world.events.emit("info", "chunk.stopped", { chunk: handle, version, reason: effect.reason });
        this.#onStopped();
        break;
      }
      case "prepare":
        break;
      default:
        unreachable(effect);
    }
  }
}
