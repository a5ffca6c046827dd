/**
 * Random schedules of one open chunk with three members: messages, syncs, crashes, resets and fences in any order. What a client was told is durable at every
 * member, at that instant and for ever, and a seal from any one of them would keep it (DESIGN §4.3).
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { acceptAnswer, lookupAppend, tableFrom } from "../../../../src/chunkserver/core/append-table.ts";
import {
  downstreamVoted,
  openMember,
  ownSynced,
  prepareRecord,
  raisePromise,
  stopMember,
  voteOf,
  type MemberState,
} from "../../../../src/chunkserver/core/member.ts";
import {
  appendArrived,
  openPrimary,
  primaryFailed,
  primaryFenced,
  primarySynced,
  primaryVoted,
  type PrimaryEffect,
} from "../../../../src/chunkserver/core/primary.ts";
import { defaultLimits } from "../../../../src/limits.ts";
import { chunkHandle, chunkVersion, sequence, sessionId } from "../../../../src/wire/ids.ts";

const members = [0, 1, 2] as const;
type Place = (typeof members)[number];
const version = chunkVersion(1);
const handle = chunkHandle(5);
const chunkBytes = 400;

interface Logged {
  readonly session: number;
  readonly sequence: number;
  readonly offset: number;
  readonly bytes: number;
}

/** A member's disk: what was written, and how much of it a power cut leaves. */
interface Disk {
  log: Logged[];
  durable: number;
  /** A sync under way: how many records it will make durable. */
  syncing: number | undefined;
  /** Answer to the fence, in records. */
  fenced: number | undefined;
}

const end = (record: Logged | undefined): number => (record === undefined ? 0 : record.offset + record.bytes);

class Chunk {
  readonly primary = openPrimary({
    handle,
    version,
    chunkBytes,
    chainLength: 3,
    fileOffset: 0,
    appendTable: [],
    limits: defaultLimits,
    prepareMs: 1_000,
    leaseUntilMs: 1_000_000,
  });
  readonly roles: MemberState[] = [
    this.primary.member,
    openMember({ handle, version, chunkBytes, last: false }),
    openMember({ handle, version, chunkBytes, last: true }),
  ];
  readonly disks: Disk[] = members.map(() => ({ log: [], durable: 0, syncing: undefined, fenced: undefined }));
  readonly down: Logged[][] = [[], []];
  readonly up: number[][] = [[], []];
  readonly sent = new Map<number, Logged[]>();
  readonly acknowledged: Logged[] = [];
  #voted = [0, 0, 0];

  role(place: number): MemberState {
    return this.roles[place]!;
  }

  disk(place: number): Disk {
    return this.disks[place]!;
  }

  send(session: number, bytes: number, retry: boolean): void {
    const records = this.sent.get(session) ?? [];
    this.sent.set(session, records);
    const last = records.at(-1);
    const again = retry && last !== undefined;
    const seq = again ? last.sequence : (last?.sequence ?? 0) + 1;
    const record = { session, sequence: seq, offset: this.primary.member.prepared, bytes: again ? last.bytes : bytes };
    if (!again) records.push(record);
    const request = {
      asker: session,
      version,
      session: sessionId(session),
      sequence: sequence(seq),
      bytes: record.bytes,
      crc: seq,
    };
    const effects = appendArrived(this.primary, request, 0);
    for (const effect of effects) {
      if (effect.kind === "prepare") {
        this.disk(0).log.push({ ...record, offset: effect.offset });
        this.down[0]!.push({ ...record, offset: effect.offset });
      }
      // A refused new record never happened: the client sends the sequence again, elsewhere.
      if (effect.kind === "refuse" && !again) records.pop();
    }
    this.perform(effects);
  }

  deliver(link: 0 | 1): void {
    const record = this.down[link]!.shift();
    if (record === undefined) return;
    const place = link + 1;
    if (prepareRecord(this.role(place), { version, ...record }) !== undefined) return this.fail(place);
    this.disk(place).log.push(record);
    if (place === 1) this.down[1]!.push(record);
  }

  vote(link: 0 | 1): void {
    const length = this.up[link]!.shift();
    if (length === undefined) return;
    if (link === 0) return this.perform(primaryVoted(this.primary, length));
    downstreamVoted(this.role(1), length);
    this.pass(1);
  }

  beginSync(place: Place): void {
    const disk = this.disk(place);
    disk.syncing ??= disk.log.length;
  }

  endSync(place: Place): void {
    const disk = this.disk(place);
    if (disk.syncing === undefined) return;
    disk.durable = Math.max(disk.durable, disk.syncing);
    const length = end(disk.log[disk.syncing - 1]);
    disk.syncing = undefined;
    if (place === 0) return this.perform(primarySynced(this.primary, length));
    ownSynced(this.role(place), length);
    this.pass(place);
  }

  /** A quiet moment: everything on its way arrives. */
  settle(): void {
    for (const at of members) {
      if (at !== 2) while (this.down[at]!.length > 0) this.deliver(at);
      this.beginSync(at);
      this.endSync(at);
    }
    while (this.up[1]!.length > 0) this.vote(1);
    while (this.up[0]!.length > 0) this.vote(0);
  }

  /** The harshest answer to a fence: a sync under way does not count, whatever becomes of it. */
  fence(place: Place): void {
    const disk = this.disk(place);
    if (place === 0) this.perform(primaryFenced(this.primary, chunkVersion(2)));
    else raisePromise(this.role(place), chunkVersion(2));
    disk.fenced ??= disk.durable;
  }

  /** Power goes: what was not synced is gone, and so is the role. */
  crash(place: Place): void {
    const disk = this.disk(place);
    disk.log = disk.log.slice(0, disk.durable);
    disk.syncing = undefined;
    stopMember(this.role(place), "restarted");
    if (place === 0) this.primary.pending = [];
    this.reset(place);
  }

  reset(place: Place): void {
    for (const link of [place - 1, place]) {
      if (this.down[link] !== undefined) this.down[link].length = 0;
      if (this.up[link] !== undefined) this.up[link].length = 0;
    }
    this.fail(place);
  }

  fail(_place: number): void {
    this.perform(primaryFailed(this.primary, "a member failed"));
  }

  pass(place: number): void {
    const role = this.role(place);
    const length = voteOf(role);
    if (length <= this.#voted[place]!) return;
    this.#voted[place] = length;
    this.up[place - 1]!.push(length);
  }

  perform(effects: readonly PrimaryEffect[]): void {
    for (const effect of effects) {
      if (effect.kind !== "answer") continue;
      const { answer } = effect;
      const record = {
        session: effect.asker,
        sequence: answer.sequence,
        offset: answer.fileOffset,
        bytes: answer.bytes,
      };
      this.acknowledged.push(record);
    }
    this.check();
  }

  check(): void {
    for (const { log, durable, fenced } of this.disks) {
      const kept = log.slice(0, Math.min(durable, fenced ?? durable));
      for (const record of this.acknowledged) expect(kept).toContainEqual(record);
    }
  }
}

const place = fc.constantFrom(...members);
const link = fc.constantFrom(0 as const, 1 as const);
const weighted = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ weight, arbitrary });
const send = { session: fc.integer({ min: 1, max: 3 }), bytes: fc.integer({ min: 1, max: 30 }), retry: fc.boolean() };
const step = fc.oneof(
  weighted(24, fc.record({ kind: fc.constant("send" as const), ...send })),
  weighted(32, fc.record({ kind: fc.constantFrom("deliver" as const, "vote" as const), link })),
  weighted(40, fc.record({ kind: fc.constantFrom("beginSync" as const, "endSync" as const), place })),
  weighted(4, fc.record({ kind: fc.constant("settle" as const) })),
  weighted(3, fc.record({ kind: fc.constantFrom("fence" as const, "crash" as const, "reset" as const), place })),
);

describe("DESIGN §4.3 under any schedule", () => {
  test("what was acknowledged is durable at every member, and in each one's answer to a fence", () => {
    let acknowledged = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 40, maxLength: 160, size: "max" }), (steps) => {
        const chunk = new Chunk();
        for (const next of steps) {
          if (next.kind === "send") chunk.send(next.session, next.bytes, next.retry);
          else if (next.kind === "settle") chunk.settle();
          else if ("link" in next) chunk[next.kind](next.link);
          else chunk[next.kind](next.place);
        }
        for (const at of members) chunk.fence(at);
        chunk.check();
        acknowledged += chunk.acknowledged.length;

        // One member's prefix is never at odds with another's, and holds each record once.
        const longest = chunk.disks
          .map(({ log, durable }) => log.slice(0, durable))
          .reduce((a, b) => (end(b.at(-1)) > end(a.at(-1)) ? b : a));
        for (const { log, durable } of chunk.disks) expect(longest.slice(0, durable)).toEqual(log.slice(0, durable));
        const table = tableFrom([]);
        for (const { session, sequence: seq, offset, bytes } of longest)
          acceptAnswer(table, sessionId(session), { sequence: sequence(seq), fileOffset: offset, bytes, crc: seq });
        for (const { session, sequence: seq, offset, bytes } of chunk.acknowledged) {
          const known = lookupAppend(table, sessionId(session), { sequence: sequence(seq), bytes, crc: seq });
          expect(known).toMatchObject({ kind: "known", answer: { fileOffset: offset } });
        }
      }),
      { numRuns: 300, seed: 4_370 },
    );
    expect(acknowledged).toBeGreaterThan(500);
  });
});
