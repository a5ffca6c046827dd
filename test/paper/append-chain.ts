/** A primary and its secondaries as pure cores, with disks and lines that deliver only what a test lets through. */
import {
  downstreamVoted,
  learnCommitted,
  type MemberState,
  openMember,
  ownSynced,
  prepareRecord,
  voteOf,
} from "../../src/chunkserver/core/member.ts";
import {
  appendArrived,
  openPrimary,
  type PrimaryEffect,
  type PrimaryState,
  primarySynced,
  primaryVoted,
} from "../../src/chunkserver/core/primary.ts";
import { defaultLimits } from "../../src/limits.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { utf8 } from "../../src/base/bytes.ts";
import type { AppendTable } from "../../src/wire/control/common.ts";
import { chunkHandle, chunkVersion, sequence, sessionId } from "../../src/wire/ids.ts";

export const version = chunkVersion(1);
export const leaseUntilMs = 60_000;

export interface ChainOptions {
  readonly members?: number;
  readonly chunkBytes?: number;
  readonly fileOffset?: number;
  readonly appendTable?: AppendTable;
}

export class AppendChain {
  readonly primary: PrimaryState;
  /** The primary's own first. */
  readonly members: readonly MemberState[];
  /** Records of each member, in the order in which it logged them. */
  readonly logs: string[][];
  readonly effects: PrimaryEffect[] = [];

  constructor({ members = 3, chunkBytes = 1_000, fileOffset = 0, appendTable = [] }: ChainOptions = {}) {
    const handle = chunkHandle(1);
    const options = {
      handle,
      version,
      chunkBytes,
      chainLength: members,
      fileOffset,
      appendTable,
      limits: defaultLimits,
      prepareMs: 5_000,
      leaseUntilMs,
    };
    this.primary = openPrimary(options);
    const others = Array.from({ length: members - 1 }, (_, i) =>
      openMember({ handle, version, chunkBytes, last: i === members - 2 }),
    );
    this.members = [this.primary.member, ...others];
    this.logs = this.members.map(() => []);
  }

  /** A client's record at the primary; what it accepts goes into its log and down the chain at once. */
  append(text: string, from: { session?: number; number: number; nowMs?: number }): PrimaryEffect[] {
    const payload = utf8(text);
    const request = {
      asker: from.session ?? 1,
      version,
      session: sessionId(from.session ?? 1),
      sequence: sequence(from.number),
      bytes: payload.length,
      crc: crc32(payload),
    };
    const effects = appendArrived(this.primary, request, from.nowMs ?? 0);
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind !== "prepare") continue;
      this.logs[0]!.push(text);
      for (const [i, member] of this.members.entries()) {
        if (i === 0) continue;
        const refusal = prepareRecord(member, { version, offset: effect.offset, bytes: payload.length });
        if (refusal !== undefined) throw refusal;
        this.logs[i]!.push(text);
      }
    }
    return effects;
  }

  /** The disk of a member syncs all that it logged; votes go up as far as they reach. */
  sync(place: number): PrimaryEffect[] {
    const member = this.members[place]!;
    const before = this.effects.length;
    if (place === 0) this.effects.push(...primarySynced(this.primary, member.prepared));
    else ownSynced(member, member.prepared);
    for (let i = this.members.length - 1; i > 1; i--) downstreamVoted(this.members[i - 1]!, voteOf(this.members[i]!));
    const below = this.members[1];
    if (below !== undefined) this.effects.push(...primaryVoted(this.primary, voteOf(below)));
    for (const other of this.members.slice(1)) learnCommitted(other, this.primary.member.committed);
    return this.effects.slice(before);
  }

  syncAll(): PrimaryEffect[] {
    return this.members.flatMap((_, place) => this.sync(place));
  }
}

/** The answers among effects: sequence and file offset. */
export function answersOf(effects: readonly PrimaryEffect[]): [number, number][] {
  return effects.flatMap((effect) =>
    effect.kind === "answer" ? [[effect.answer.sequence, effect.answer.fileOffset] as [number, number]] : [],
  );
}

/** The codes of the refusals among effects. */
export function refusalsOf(effects: readonly PrimaryEffect[]): string[] {
  return effects.flatMap((effect) => (effect.kind === "refuse" ? [effect.error.code] : []));
}
