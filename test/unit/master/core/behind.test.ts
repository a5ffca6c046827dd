import { describe, expect, test } from "bun:test";
import {
  acceptProofs,
  type Behind,
  noteProof,
  type Proof,
  proofsOf,
  whyBehind,
} from "../../../../src/master/core/behind.ts";

const proof = (kind: Proof["kind"], rank: number): Proof => ({ kind, rank, why: `${kind} ${rank}` });

describe("proofs that the master is behind", () => {
  test("stand side by side, the strongest of each kind, and the most telling one is named first", () => {
    const behind: Behind = new Map();
    expect(whyBehind(behind)).toBeUndefined();
    expect(noteProof(behind, proof("rebuilt", 9))).toBe(true);
    expect(noteProof(behind, proof("copy", 13))).toBe(true);
    expect(noteProof(behind, proof("copy", 13))).toBe(false);
    expect(noteProof(behind, proof("copy", 11))).toBe(false);
    expect(noteProof(behind, proof("copy", 14))).toBe(true);
    expect(noteProof(behind, proof("handle", 3))).toBe(true);
    expect(whyBehind(behind)).toBe("copy 14; handle 3; rebuilt 9");
  });

  test("are accepted as they were told: one that is stronger, or came later, stands on", () => {
    const behind: Behind = new Map();
    for (const each of [proof("rebuilt", 9), proof("copy", 13)]) noteProof(behind, each);
    const told = proofsOf(behind);
    noteProof(behind, proof("copy", 14));
    noteProof(behind, proof("start", 2));
    acceptProofs(behind, told);
    expect(whyBehind(behind)).toBe("copy 14; start 2");
    acceptProofs(behind, proofsOf(behind));
    expect(whyBehind(behind)).toBeUndefined();
    // What is proved again after that is news.
    expect(noteProof(behind, proof("copy", 14))).toBe(true);
  });
});
