import { describe, expect, test } from "bun:test";
import { protocol } from "../../../../src/limits.ts";
import {
  acceptAnswer,
  type AppendLookup,
  lookupAppend,
  tableFrom,
  tableToWire,
} from "../../../../src/chunkserver/core/append-table.ts";
import { sequence, sessionId } from "../../../../src/wire/ids.ts";

const session = sessionId(7);
const answer = (seq: number) => ({ sequence: sequence(seq), fileOffset: (seq - 1) * 10, bytes: 10, crc: seq });
const identity = (seq: number, crc = seq, bytes = 10) => ({ sequence: sequence(seq), bytes, crc });

function tableUpTo(last: number) {
  const table = tableFrom([]);
  for (let seq = 1; seq <= last; seq++) acceptAnswer(table, session, answer(seq));
  return table;
}

describe("DESIGN §4.3 append table", () => {
  const window = protocol.appendWindow;
  const cases: [string, number, ReturnType<typeof identity>, AppendLookup["kind"]][] = [
    ["the first record of a session", 0, identity(1), "next"],
    ["a session that does not begin with 1", 0, identity(2), "gap"],
    ["the next sequence", 3, identity(4), "next"],
    ["a sequence after a hole", 3, identity(5), "gap"],
    ["the last one again", 3, identity(3), "known"],
    ["the same sequence with another CRC", 3, identity(3, 99), "reused"],
    ["the same sequence with another length", 3, identity(3, 3, 11), "reused"],
    ["the oldest answer of a full window", window + 5, identity(6), "known"],
    ["the answer before it", window + 5, identity(5), "forgotten"],
  ];
  test.each(cases)("%s", (_name, last, asked, kind) => {
    expect(lookupAppend(tableUpTo(last), session, asked).kind).toBe(kind);
  });

  test("a known record has its first answer", () => {
    expect(lookupAppend(tableUpTo(9), session, identity(4))).toEqual({ kind: "known", answer: answer(4) });
  });

  test("sessions do not see each other", () => {
    expect(lookupAppend(tableUpTo(9), sessionId(8), identity(1)).kind).toBe("next");
  });

  test("a table handed on answers as before", () => {
    const handed = tableFrom(tableToWire(tableUpTo(100)));
    expect(lookupAppend(handed, session, identity(100)).kind).toBe("known");
    expect(lookupAppend(handed, session, identity(101)).kind).toBe("next");
    expect(handed.sessions.get(session)).toHaveLength(window);
  });

  test("the copy that is handed on does not change with the table", () => {
    const table = tableUpTo(1);
    const handed = tableToWire(table);
    acceptAnswer(table, session, answer(2));
    expect(handed[0]?.answers).toHaveLength(1);
  });
});
