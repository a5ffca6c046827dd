/** An open chunk of which this volume is a later member: logs what comes down, votes, and passes both on (DESIGN §4.3). */
import { GfsError } from "../base/errors.ts";
import type { OpenReplica } from "../wire/control/chunkservers.ts";
import type { Chain } from "../wire/control/common.ts";
import type { ChainRecord } from "../wire/data/records.ts";
import type { ChunkVersion } from "../wire/ids.ts";
import { ChainLink } from "./chain-link.ts";
import { operatingError, traceMutation, type Context } from "./context.ts";
import {
  downstreamVoted,
  learnCommitted,
  ownSynced,
  prepareRecord,
  raisePromise,
  roleRefusal,
  stopMember,
  voteOf,
  type MemberState,
} from "./core/member.ts";
import { GroupSync } from "./group-sync.ts";

/** The chain stream from the member above. */
export interface Upstream {
  vote(length: number): void;
  fail(error: GfsError): void;
}

export interface OpenSecondaryOptions {
  readonly state: MemberState;
  /** The members after this one. */
  readonly rest: Chain;
  readonly onStopped: () => void;
}

export class OpenSecondary {
  readonly kind = "secondary";
  readonly #context: Context;
  readonly #state: MemberState;
  readonly #rest: Chain;
  readonly #onStopped: () => void;
  readonly #group: GroupSync;
  #upstream: Upstream | undefined;
  #link: ChainLink | undefined;
  #voted = 0;
  #over = false;

  constructor(context: Context, { state, rest, onStopped }: OpenSecondaryOptions) {
    this.#context = context;
    this.#state = state;
    this.#rest = rest;
    this.#onStopped = onStopped;
    this.#group = new GroupSync(
      context,
      (length) => this.#synced(length),
      (error) => this.#stop(error),
    );
  }

  get version(): ChunkVersion {
    return this.#state.version;
  }

  get committed(): number {
    return this.#state.committed;
  }

  /**
   * The member above opened a stream; one that was there before ends.
   * @throws GfsError VersionStale | ChunkClosed
   */
  attach(upstream: Upstream, version: ChunkVersion): void {
    const refusal = roleRefusal(this.#state, version);
    if (refusal !== undefined) throw refusal;
    const before = this.#upstream;
    this.#upstream = upstream;
    before?.fail(new GfsError("ChunkClosed", `Cannot append to chunk ${this.#state.handle}: another stream took over`));
  }

  /** The stream is gone. What it sent and nobody voted for is rolled back by whoever sent it. */
  detach(upstream: Upstream): void {
    if (this.#upstream !== upstream) return;
    this.#upstream = undefined;
    this.#link?.close();
    if (voteOf(this.#state) < this.#state.prepared)
      this.#stop(new GfsError("Unavailable", "the member above is gone, with records that were not voted for"));
  }

  /** A record that can't be taken ends the role, which the upstream hears. */
  append(record: ChainRecord, header: Uint8Array): void {
    const state = this.#state;
    const { handle, version } = state;
    const { session, sequence, offset, crc, payload, bytes } = record;
    const refusal = prepareRecord(state, { version, offset, bytes });
    if (refusal !== undefined) {
      this.#stop(refusal);
      return;
    }
    traceMutation(this.#context, "START", state, { id: `${session}/${sequence}`, offset, bytes });
    try {
      const position = this.#context.store.append({ handle, version, session, sequence, offset, crc, payload, bytes });
      this.#group.queued(position, offset + bytes);
    } catch (thrown) {
      this.#stop(operatingError(this.#context, thrown));
      return;
    }
    if (this.#rest.length > 0) this.#down().append(header, payload);
    learnCommitted(state, record.committed);
  }

  learn(committed: number): void {
    learnCommitted(this.#state, committed);
    if (this.#link?.over === false) this.#link.committed(committed);
  }

  fenced(version: ChunkVersion): void {
    raisePromise(this.#state, version);
    this.#end(new GfsError("VersionStale", `Cannot append to chunk ${this.#state.handle}: fenced at ${version}`));
  }

  stop(): void {
    this.#stop(new GfsError("Unavailable", "its server stops"));
  }

  report(): OpenReplica {
    const { handle, version, committed, prepared, stopped } = this.#state;
    return {
      handle,
      version,
      role: "secondary",
      committed,
      prepared,
      ...(stopped === undefined ? {} : { stopped: stopped.slice(0, 256) }),
    };
  }

  #down(): ChainLink {
    if (this.#link !== undefined && !this.#link.over) return this.#link;
    const { handle, version } = this.#state;
    this.#link = new ChainLink(this.#context, {
      handle,
      version,
      chain: this.#rest,
      onVote: (length) => {
        const refusal = downstreamVoted(this.#state, length);
        if (refusal === undefined) this.#vote();
        else this.#stop(refusal);
      },
      onFailure: (error, refused) => {
        if (refused || this.#state.prepared > this.#state.downstream) this.#stop(error);
      },
    });
    return this.#link;
  }

  #synced(length: number): void {
    const state = this.#state;
    // The second look: a fence may have come in while the disk was syncing.
    const promised = this.#context.store.promised(state.handle);
    if (promised > state.version) return this.fenced(promised);
    if (this.#context.store.replica(state.handle)?.state !== "open")
      return this.#stop(new GfsError("Corrupt", "its replica was found to be corrupt"));
    ownSynced(state, length);
    traceMutation(this.#context, "PREPARE", state, { length });
    this.#vote();
  }

  #vote(): void {
    const vote = voteOf(this.#state);
    if (vote <= this.#voted || this.#state.stopped !== undefined) return;
    this.#voted = vote;
    this.#upstream?.vote(vote);
  }

  #stop(error: GfsError): void {
    if (this.#over) return;
    stopMember(this.#state, error.message);
    traceMutation(this.#context, "ROLLBACK", this.#state, { reason: error.message });
    this.#end(error);
    this.#onStopped();
  }

  /** After the role ended. */
  #end(error: GfsError): void {
    this.#over = true;
    const upstream = this.#upstream;
    this.#upstream = undefined;
    this.#link?.close();
    upstream?.fail(error);
  }
}
