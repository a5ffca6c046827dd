import { describe, expect, test } from "bun:test";
import {
  appendArrived,
  committedAnswers,
  leaseExtended,
  openPrimary,
  prepareDeadlineMs,
  primaryFailed,
  primaryFenced,
  primarySynced,
  primaryTick,
  primaryVoted,
  stoppedReason,
  type PrimaryEffect,
  type PrimaryState,
} from "../../../../src/chunkserver/core/primary.ts";
import { defaultLimits, protocol } from "../../../../src/limits.ts";
import type { AppendTable } from "../../../../src/wire/control/common.ts";
import { chunkHandle, chunkVersion, sequence, sessionId } from "../../../../src/wire/ids.ts";

const version = chunkVersion(3);
const fileOffset = 1_000_000;

interface Options {
  chainLength?: number;
  chunkBytes?: number;
  leaseUntilMs?: number;
  appendTable?: AppendTable;
  limits?: { appendSessionsMax: number; appendTableMax: number };
}

function primary(options: Options = {}): PrimaryState {
  return openPrimary({
    handle: chunkHandle(9),
    version,
    chunkBytes: options.chunkBytes ?? 100_000,
    chainLength: options.chainLength ?? 3,
    fileOffset,
    appendTable: options.appendTable ?? [],
    limits: options.limits ?? defaultLimits,
    prepareMs: 5_000,
    leaseUntilMs: options.leaseUntilMs ?? 60_000,
  });
}

interface Ask {
  asker?: number;
  session?: number;
  bytes?: number;
  crc?: number;
  nowMs?: number;
}

function append(state: PrimaryState, seq: number, ask: Ask = {}): PrimaryEffect[] {
  const { asker = 1, session = 7, bytes = 10, crc = seq, nowMs = 0 } = ask;
  const request = { asker, version, session: sessionId(session), sequence: sequence(seq), bytes, crc };
  return appendArrived(state, request, nowMs);
}

const refusals = (effects: readonly PrimaryEffect[]) =>
  effects.flatMap((effect) =>
    effect.kind === "refuse" ? [[effect.asker, Number(effect.sequence), effect.error.code]] : [],
  );
const answers = (effects: readonly PrimaryEffect[]) =>
  effects.flatMap((effect) => (effect.kind === "answer" ? [[effect.asker, effect.answer.fileOffset]] : []));
const stops = (effects: readonly PrimaryEffect[]) => effects.filter((effect) => effect.kind === "stopped").length;

/** All that was accepted is synced by all members. */
function commitAll(state: PrimaryState): PrimaryEffect[] {
  const { prepared } = state.member;
  return [...primarySynced(state, prepared), ...primaryVoted(state, prepared)];
}

describe("DESIGN §4.3 the primary accepts", () => {
  test("records in sequence, one after the other in the chunk", () => {
    const state = primary();
    expect(append(state, 1)).toEqual([{ kind: "prepare", offset: 0 }]);
    expect(append(state, 2, { bytes: 5 })).toEqual([{ kind: "prepare", offset: 10 }]);
    expect(append(state, 1, { session: 8 })).toEqual([{ kind: "prepare", offset: 15 }]);
  });

  test("no gap in a session", () => {
    const state = primary();
    expect(refusals(append(state, 2))).toEqual([[1, 2, "ProtocolError"]]);
    expect(state.member.prepared).toBe(0);
  });

  test("at most the window of unanswered records a session, and more once some are answered", () => {
    const state = primary({ chainLength: 1 });
    for (let seq = 1; seq <= protocol.appendWindow; seq++) expect(append(state, seq)).toHaveLength(1);
    expect(refusals(append(state, protocol.appendWindow + 1))).toEqual([[1, protocol.appendWindow + 1, "Busy"]]);
    expect(append(state, 1, { session: 8 })).toHaveLength(1);
    primarySynced(state, 10);
    expect(append(state, protocol.appendWindow + 1)).toHaveLength(1);
  });

  test("a record that was answered: the same answer, at once, for whoever asks", () => {
    const state = primary({ chainLength: 1 });
    append(state, 1);
    primarySynced(state, 10);
    expect(answers(append(state, 1, { asker: 2 }))).toEqual([[2, fileOffset]]);
  });

  test("a record that is on its way: the answer goes to all who asked, when it is committed", () => {
    const state = primary({ chainLength: 1 });
    append(state, 1);
    expect(append(state, 1, { asker: 2 })).toEqual([]);
    expect(answers(primarySynced(state, 10))).toEqual([
      [1, fileOffset],
      [2, fileOffset],
    ]);
  });

  test("no other content under a sequence that was used", () => {
    const state = primary();
    append(state, 1);
    expect(refusals(append(state, 1, { crc: 99 }))).toEqual([[1, 1, "IdReused"]]);
    expect(refusals(append(state, 1, { bytes: 11 }))).toEqual([[1, 1, "IdReused"]]);
  });

  test.each([
    ["a record that just fits", 90, []],
    ["one byte more", 91, [[1, 2, "ChunkFull"]]],
  ] as const)("%s the rest of the chunk: sealed short, never padded", (_name, bytes, expected) => {
    const state = primary({ chunkBytes: 100 });
    append(state, 1);
    commitAll(state);
    expect(refusals(append(state, 2, { bytes })) as unknown[]).toEqual([...expected]);
    expect(state.member.prepared).toBe(expected.length === 0 ? 100 : 10);
  });

  test("nothing after a record that did not fit, not even what would; what was accepted is still answered", () => {
    const state = primary({ chunkBytes: 100 });
    append(state, 1);
    expect(append(state, 2, { bytes: 91 })).toEqual([]);
    // A stream hears of its first refusal only: it sends nothing more then.
    expect(append(state, 3)).toEqual([]);
    expect(append(state, 1, { asker: 2, session: 8, bytes: 1 })).toEqual([]);
    // Nobody hears of it before: the master would seal it, and cut off what is on its way to the members.
    expect(stoppedReason(state)).toBeUndefined();
    primarySynced(state, 10);
    const effects = primaryVoted(state, 10);
    expect(answers(effects)).toEqual([[1, fileOffset]]);
    expect(refusals(effects)).toEqual([
      [1, 2, "ChunkFull"],
      [2, 1, "ChunkFull"],
    ]);
    expect(effects.at(-1)).toEqual({ kind: "stopped", reason: "full" });
    expect(stoppedReason(state)).toBe("full");
    expect(append(state, 1, { asker: 3, session: 9 })).toMatchObject([
      { kind: "refuse", error: { code: "ChunkFull" } },
    ]);
  });

  test("and those that came too late are refused with those that were accepted, where the chunk is rolled back or fenced", () => {
    for (const end of [
      (state: PrimaryState) => primaryFailed(state, "a member is gone"),
      (state: PrimaryState) => primaryFenced(state, chunkVersion(4)),
      (state: PrimaryState) => primaryTick(state, 5_000),
    ]) {
      const state = primary({ chunkBytes: 100 });
      append(state, 1);
      append(state, 2, { bytes: 91 });
      append(state, 1, { asker: 2, session: 8 });
      expect(refusals(end(state))).toEqual([
        [1, 1, "ChunkClosed"],
        [1, 2, "ChunkFull"],
        [2, 1, "ChunkFull"],
      ]);
      expect(refusals(primaryFailed(state, "again"))).toEqual([]);
    }
  });

  test("until, and not at, the end of its lease; a lapse stops nothing for good", () => {
    const state = primary({ leaseUntilMs: 60_000 });
    expect(append(state, 1, { nowMs: 59_999 })).toHaveLength(1);
    expect(refusals(append(state, 2, { nowMs: 60_000 }))).toEqual([[1, 2, "NotPrimary"]]);
    expect(stoppedReason(state)).toBeUndefined();
    leaseExtended(state, 70_000);
    expect(append(state, 2, { nowMs: 60_000 })).toHaveLength(1);
  });

  test("an older promise does not shorten the lease", () => {
    const state = primary({ leaseUntilMs: 60_000 });
    leaseExtended(state, 50_000);
    expect(append(state, 1, { nowMs: 59_999 })).toHaveLength(1);
  });
});

describe("DESIGN §4.3 the primary commits", () => {
  test.each([
    ["its own sync alone", [10], [], []],
    ["the votes below alone", [], [10], []],
    ["both", [10], [10], [[1, fileOffset]]],
  ] as const)("with %s", (_name, synced, voted, expected) => {
    const state = primary();
    append(state, 1);
    const effects = [
      ...synced.flatMap((length) => primarySynced(state, length)),
      ...voted.flatMap((length) => primaryVoted(state, length)),
    ];
    expect(answers(effects) as unknown[]).toEqual(expected.map((pair) => [...pair]));
  });

  test("in the order of the offsets, whatever comes first", () => {
    const state = primary();
    for (let seq = 1; seq <= 3; seq++) append(state, seq);
    primaryVoted(state, 30);
    expect(answers(primarySynced(state, 20))).toEqual([
      [1, fileOffset],
      [1, fileOffset + 10],
    ]);
    expect(state.member.committed).toBe(20);
    expect(committedAnswers(state, sessionId(7)).map(({ sequence: seq }) => Number(seq))).toEqual([1, 2]);
  });

  test("never what it was told of more than it sent: such a vote rolls back", () => {
    const state = primary();
    append(state, 1);
    const effects = primaryVoted(state, 11);
    expect(stops(effects)).toBe(1);
    expect(refusals(effects)).toEqual([[1, 1, "ChunkClosed"]]);
  });
});

describe("DESIGN §4.3 rollback", () => {
  test("refuses all that is unanswered, reports it, and never resumes", () => {
    const state = primary();
    append(state, 1);
    append(state, 2, { asker: 2 });
    const effects = primaryFailed(state, "reset by the next member");
    expect(refusals(effects)).toEqual([
      [1, 1, "ChunkClosed"],
      [2, 2, "ChunkClosed"],
    ]);
    expect(stoppedReason(state)).toBe("reset by the next member");
    expect([...primarySynced(state, 20), ...primaryVoted(state, 20)]).toEqual([]);
    expect(refusals(append(state, 3))).toEqual([[1, 3, "ChunkClosed"]]);
    expect(primaryFailed(state, "again")).toEqual([]);
  });

  test("a retry of what was rolled back is refused, not left waiting", () => {
    const state = primary();
    append(state, 1);
    primaryFailed(state, "reset");
    expect(refusals(append(state, 1, { asker: 2 }))).toEqual([[2, 1, "ChunkClosed"]]);
  });

  test("what was answered before stays answered", () => {
    const state = primary({ chainLength: 1 });
    append(state, 1);
    primarySynced(state, 10);
    primaryFailed(state, "reset");
    expect(answers(append(state, 1))).toEqual([[1, fileOffset]]);
  });

  test("comes when the oldest record is without all votes for prepareMs, and not before", () => {
    const state = primary();
    append(state, 1, { nowMs: 100 });
    append(state, 2, { nowMs: 3_000 });
    expect(prepareDeadlineMs(state)).toBe(5_100);
    expect(primaryTick(state, 5_099)).toEqual([]);
    expect(stops(primaryTick(state, 5_100))).toBe(1);
  });

  test("has no deadline where nothing is pending", () => {
    const state = primary({ chainLength: 1 });
    append(state, 1);
    primarySynced(state, 10);
    expect(prepareDeadlineMs(state)).toBeUndefined();
    expect(primaryTick(state, 1e9)).toEqual([]);
  });
});

describe("DESIGN §4.3 a fence", () => {
  test("ends the role: what was synced and not answered is never answered", () => {
    const state = primary();
    append(state, 1);
    primarySynced(state, 10);
    expect(refusals(primaryFenced(state, chunkVersion(4)))).toEqual([[1, 1, "ChunkClosed"]]);
    expect(primaryVoted(state, 10)).toEqual([]);
    expect(refusals(append(state, 2))).toEqual([[1, 2, "VersionStale"]]);
  });

  test("that comes between the write and the end of its sync keeps the sync from counting", () => {
    const state = primary({ chainLength: 1 });
    append(state, 1);
    primaryFenced(state, chunkVersion(4));
    expect(primarySynced(state, 10)).toEqual([]);
    expect(state.member.own).toBe(0);
  });
});

describe("DESIGN §4.3 the append table has a bound", () => {
  const limits = { appendSessionsMax: 3, appendTableMax: 4 };
  const begun: AppendTable = [100, 101].map((session) => ({
    session: sessionId(session),
    answers: [{ sequence: sequence(1), fileOffset: session, bytes: 1, crc: 1 }],
  }));

  test("a tail takes so many sessions beyond those it began with; the next one finds it full, and it stops", () => {
    const state = primary({ appendTable: begun, limits });
    for (const session of [1, 2, 3]) expect(refusals(append(state, 1, { session }))).toEqual([]);
    commitAll(state);
    const effects = append(state, 1, { session: 4 });
    expect(refusals(effects)).toEqual([[1, 1, "ChunkFull"]]);
    expect(stops(effects)).toBe(1);
    expect(stoppedReason(state)).toBe("full");
  });

  test("sessions that it knows go on until the answers fill it", () => {
    const state = primary({ appendTable: begun, limits });
    for (const seq of [1, 2, 3, 4, 5, 6]) expect(refusals(append(state, seq, { session: 1 }))).toEqual([]);
    commitAll(state);
    expect(refusals(append(state, 7, { session: 1 }))).toEqual([[1, 7, "ChunkFull"]]);
  });

  test("a session with all the answers that are kept of one does not fill it further", () => {
    const state = primary({ limits: { appendSessionsMax: 3, appendTableMax: protocol.appendWindow / 2 } });
    for (let seq = 1; seq <= 200; seq++) {
      expect(refusals(append(state, seq, { session: 1 }))).toEqual([]);
      primarySynced(state, seq * 10);
      primaryVoted(state, seq * 10);
    }
    expect(refusals(append(state, 1, { session: 2 }))).toEqual([[1, 1, "ChunkFull"]]);
  });
});
