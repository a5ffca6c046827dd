import { expect, test } from "bun:test";
import { carriedMax, fittingAnswers } from "../../../../src/chunkserver/core/fence-answers.ts";
import type { FenceAnswer } from "../../../../src/wire/control/commands.ts";
import { chunkHandle, chunkVersion, sequence, sessionId } from "../../../../src/wire/ids.ts";

const fenced = (handle: number, sessions: number): FenceAnswer => ({
  kind: "fenced",
  handle: chunkHandle(handle),
  prepared: 1,
  committed: 1,
  crc: 1,
  dataVersion: chunkVersion(1),
  appendTable: Array.from({ length: sessions }, (_, i) => ({
    session: sessionId(i + 1),
    answers: [{ sequence: sequence(1), fileOffset: 0, bytes: 1, crc: 1 }],
  })),
});
const refused: FenceAnswer = { kind: "refused", handle: chunkHandle(9), promised: chunkVersion(3) };
const handlesOf = (answers: readonly FenceAnswer[]) => fittingAnswers(answers).map(({ handle }) => Number(handle));

test.each([
  ["small tables all go", [fenced(1, 10), refused, fenced(2, 10)], [1, 9, 2]],
  ["a first one goes however large it is", [fenced(1, carriedMax), fenced(2, 1)], [1]],
  [
    "one that does not fit is left out, and a smaller one after it is not",
    [fenced(1, 1), fenced(2, carriedMax / 2), fenced(3, 1)],
    [1, 3],
  ],
  ["what has no table goes in any case", [fenced(1, carriedMax), refused], [1, 9]],
  ["exactly the room is enough", [fenced(1, 1), fenced(2, carriedMax / 2 - 1), fenced(3, 1)], [1, 2]],
])("of the answers to many fences, %s", (_name, answers, handles) => {
  expect(handlesOf(answers)).toEqual(handles);
});
