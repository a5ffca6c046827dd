/** What each session appended to an inode, as far as an open chunk knows (DESIGN §4.3): the last W answers a session, compactly. */
import { assert } from "../../base/assert.ts";
import { protocol } from "../../limits.ts";
import type { AppendAnswer, AppendTable } from "../../wire/control/common.ts";
import { sequence, sessionId } from "../../wire/ids.ts";

const fields = 3;

/** A ring of the last answers: file offset, bytes, CRC; sequences have no gaps, so the last one names all. */
interface Ring {
  values: Float64Array;
  count: number;
  first: number;
  lastSequence: number;
}

export class AppendAnswers {
  readonly #sessions = new Map<number, Ring>();

  static from(table: AppendTable): AppendAnswers {
    const answers = new AppendAnswers();
    for (const { session, answers: list } of table) for (const answer of list) answers.add(session, answer);
    return answers;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Last sequence answered to the session; 0 when none. */
  lastSequence(session: number): number {
    return this.#sessions.get(session)?.lastSequence ?? 0;
  }

  add(session: number, answer: AppendAnswer): void {
    let ring = this.#sessions.get(session);
    if (ring === undefined) {
      ring = { values: new Float64Array(fields), count: 0, first: 0, lastSequence: answer.sequence - 1 };
      this.#sessions.set(session, ring);
    }
    assert(answer.sequence === ring.lastSequence + 1, "append answers have a gap");
    if (ring.count * fields === ring.values.length && ring.count < protocol.appendWindow) grow(ring);
    const capacity = ring.values.length / fields;
    const at = ((ring.first + ring.count) % capacity) * fields;
    ring.values[at] = answer.fileOffset;
    ring.values[at + 1] = answer.bytes;
    ring.values[at + 2] = answer.crc;
    if (ring.count === capacity) ring.first = (ring.first + 1) % capacity;
    else ring.count++;
    ring.lastSequence = answer.sequence;
  }

  /**
   * Takes in what another member knows of the same records and of later ones. Where answers lie between those here and the first of the other's,
   * they are beyond the last W: the session's ring begins anew.
   */
  merge(table: AppendTable): void {
    for (const { session, answers } of table) {
      const first = answers[0]?.sequence ?? 1;
      if (first > this.lastSequence(session) + 1) this.#sessions.delete(session);
      for (const answer of answers) if (answer.sequence > this.lastSequence(session)) this.add(session, answer);
    }
  }

  table(): AppendTable {
    const table: AppendTable = [];
    for (const [session, ring] of this.#sessions) table.push({ session: sessionId(session), answers: answersOf(ring) });
    return table;
  }

  /** Answers about the file from `fileOffset` on, of the sessions that have any: what a tail that begins there has added to the table. */
  since(fileOffset: number): AppendTable {
    const table: AppendTable = [];
    for (const [session, ring] of this.#sessions) {
      const answers = answersOf(ring).filter((answer) => answer.fileOffset >= fileOffset);
      if (answers.length > 0) table.push({ session: sessionId(session), answers });
    }
    return table;
  }
}

function grow(ring: Ring): void {
  const capacity = Math.min(protocol.appendWindow, ring.count * 2);
  const values = new Float64Array(capacity * fields);
  values.set(ring.values); // Below W nothing has been dropped yet: `first` is 0.
  ring.values = values;
}

function answersOf(ring: Ring): AppendAnswer[] {
  const capacity = ring.values.length / fields;
  const answers: AppendAnswer[] = [];
  for (let i = 0; i < ring.count; i++) {
    const at = ((ring.first + i) % capacity) * fields;
    answers.push({
      sequence: sequence(ring.lastSequence - ring.count + 1 + i),
      fileOffset: ring.values[at] ?? 0,
      bytes: ring.values[at + 1] ?? 0,
      crc: ring.values[at + 2] ?? 0,
    });
  }
  return answers;
}
