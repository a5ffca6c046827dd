/** A short run of every target of `bun run fuzz`, always the same; and that a run can fail. */
import { describe, expect, test } from "bun:test";
import { GfsError } from "../../src/base/errors.ts";
import { type FuzzTarget, typed } from "./fuzz-target.ts";
import { fuzzTarget } from "./run-target.ts";
import { fuzzTargets } from "./targets.ts";

const seed = 1;

describe("bad inputs are refused with a typed error, and change nothing else", () => {
  for (const target of fuzzTargets) {
    test(target.name, () => {
      const { failures, inputs } = fuzzTarget(target, { seed, inputsMax: target.shortRun, msMax: Infinity });
      expect(failures.join("\n")).toBe("");
      expect(inputs).toBe(target.shortRun);
    });
  }
});

describe("a run", () => {
  const failing = (code: () => void): FuzzTarget => ({
    name: "failing",
    shortRun: 10,
    prepare: () => ({ once: (prng) => (prng.chance(0.5) ? code() : undefined) }),
  });

  test("tells each input that fails and how to have it again, and stops after a few", () => {
    const target = failing(() => {
      throw new Error("as it should");
    });
    const { failures, inputs } = fuzzTarget(target, { seed, inputsMax: 1_000, msMax: Infinity });
    expect(failures).toHaveLength(5);
    expect(inputs).toBeLessThan(1_000);
    const [, input = ""] = /--target failing --seed 1 --input (\d+)$/.exec(failures[0] ?? "") ?? [];
    const again = fuzzTarget(target, { seed, firstInput: Number(input), inputsMax: 1, msMax: Infinity });
    expect(again.failures.map((failure) => failure.split("\n").at(-1))).toEqual([failures[0]?.split("\n").at(-1)]);
  });

  test("takes no other error for a typed one", () => {
    const refused = new GfsError("Corrupt", "Cannot read it");
    const refuse = (): never => {
      throw refused;
    };
    expect(typed(refuse, "Corrupt")).toBe(refused);
    expect(() => typed(refuse, "ProtocolError")).toThrow("it ended with Corrupt");
    const bug = (): never => {
      throw new TypeError("undefined is not an object");
    };
    expect(() => typed(bug)).toThrow("it ended with Bug: undefined is not an object");
  });
});
