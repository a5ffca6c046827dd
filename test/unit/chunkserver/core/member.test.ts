import { describe, expect, test } from "bun:test";
import {
  downstreamVoted,
  learnCommitted,
  openMember,
  ownSynced,
  prepareRecord,
  raisePromise,
  roleRefusal,
  servableLength,
  voteOf,
  type MemberState,
} from "../../../../src/chunkserver/core/member.ts";
import { chunkHandle, chunkVersion } from "../../../../src/wire/ids.ts";

const version = chunkVersion(3);
const member = (last = true): MemberState => openMember({ handle: chunkHandle(9), version, chunkBytes: 100, last });
const record = (offset: number, bytes = 10, of = version) => ({ version: of, offset, bytes });

describe("DESIGN §4.3 a member prepares", () => {
  test.each([
    ["the next record", record(10), undefined],
    ["a record that fills the chunk", record(10, 90), undefined],
    ["one byte too many", record(10, 91), "ChunkFull"],
    ["a record of an older version", record(10, 10, chunkVersion(2)), "VersionStale"],
    ["a record of a newer version", record(10, 10, chunkVersion(4)), "VersionStale"],
    ["a record after a hole", record(11), "ProtocolError"],
    ["a record that it has already", record(0), "ProtocolError"],
    ["an empty record", record(10, 0), "ProtocolError"],
  ] as const)("%s", (_name, next, code) => {
    const state = member();
    prepareRecord(state, record(0));
    const refusal = prepareRecord(state, next);
    expect(refusal?.code).toBe(code);
    expect(state.prepared).toBe(code === undefined ? 10 + next.bytes : 10);
  });

  test("nothing after a refusal: it missed a record", () => {
    const state = member();
    prepareRecord(state, record(5));
    expect(prepareRecord(state, record(0))?.code).toBe("ChunkClosed");
  });

  test("nothing under a higher promise", () => {
    const state = member();
    raisePromise(state, chunkVersion(4));
    expect(prepareRecord(state, record(0))?.code).toBe("VersionStale");
    expect(roleRefusal(state, version)?.code).toBe("VersionStale");
  });

  test("and an older promise changes nothing", () => {
    const state = member();
    raisePromise(state, version);
    expect(prepareRecord(state, record(0))).toBeUndefined();
  });
});

describe("DESIGN §4.3 a member votes", () => {
  test("after its sync, and after the members below it", () => {
    const state = member(false);
    prepareRecord(state, record(0));
    prepareRecord(state, record(10));
    expect(voteOf(state)).toBe(0);
    ownSynced(state, 20);
    expect(voteOf(state)).toBe(0);
    downstreamVoted(state, 10);
    expect(voteOf(state)).toBe(10);
    downstreamVoted(state, 20);
    expect(voteOf(state)).toBe(20);
  });

  test("for nobody once the promise rose, though the sync ends well", () => {
    const state = member();
    prepareRecord(state, record(0));
    raisePromise(state, chunkVersion(4));
    ownSynced(state, 10);
    expect(voteOf(state)).toBe(0);
  });

  test("never for more than was sent down", () => {
    const state = member(false);
    prepareRecord(state, record(0));
    expect(downstreamVoted(state, 11)?.code).toBe("ProtocolError");
    expect(state.stopped).toBeDefined();
  });
});

describe("DESIGN §4.3 committed length", () => {
  test("grows only, and never beyond what was voted for", () => {
    const state = member();
    prepareRecord(state, record(0));
    prepareRecord(state, record(10));
    ownSynced(state, 10);
    learnCommitted(state, 20);
    expect(state.committed).toBe(10);
    learnCommitted(state, 5);
    expect(state.committed).toBe(10);
  });

  test.each([
    ["what is known", { committed: 10, durable: 30 }, undefined, 10],
    ["more, where the reader has it from the primary", { committed: 10, durable: 30 }, 20, 20],
    ["not less, where the reader knows less", { committed: 10, durable: 30 }, 5, 10],
    ["never what is not durable here", { committed: 10, durable: 30 }, 40, 30],
  ] as const)("serves %s", (_name, known, brought, expected) => {
    expect(servableLength(known, brought)).toBe(expected);
  });
});
