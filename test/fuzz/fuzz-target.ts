/** What is fuzzed: code that takes bytes or texts from others, and what must hold whatever they are. */
import { asGfsError, GfsError, type ErrorCode } from "../../src/base/errors.ts";
import { encodeCbor } from "../../src/wire/cbor.ts";
import { Prng } from "../sim/world/prng.ts";

export interface FuzzTarget {
  readonly name: string;
  /** Inputs of the run that is part of the tests. */
  readonly shortRun: number;
  /** Makes ready what all inputs share. */
  readonly prepare: () => FuzzRun;
}

export interface FuzzRun {
  /** One input, drawn from `prng`. @throws Error where something does not hold */
  readonly once: (prng: Prng) => void;
}

/** Of each input a generator of its own: it can be had again alone. */
export function generatorOf(target: string, seed: number, input: number): Prng {
  return new Prng(`fuzz ${target} ${seed} ${input}`);
}

/**
 * What it gave, or the error it was refused with.
 *
 * @throws Error for any other error than a GfsError with one of the codes (any but Bug where none is named)
 */
export function typed<T>(code: () => T, ...codes: readonly ErrorCode[]): T | GfsError {
  try {
    return code();
  } catch (error) {
    return mustBeTyped(error, codes);
  }
}

export function mustBeTyped(thrown: unknown, codes: readonly ErrorCode[]): GfsError {
  const error = asGfsError(thrown);
  const allowed =
    thrown instanceof GfsError && (codes.length === 0 ? error.code !== "Bug" : codes.includes(error.code));
  if (!allowed) throw new Error(`it ended with ${error.code}: ${error.message}`, { cause: thrown });
  return error;
}

/** @throws Error saying so */
export function demand(holds: boolean, what: () => string): void {
  if (!holds) throw new Error(what());
}

/** The same value on the wire: 0 and -0 are. */
export function sameCbor(a: unknown, b: unknown): boolean {
  return Buffer.compare(encodeCbor(a), encodeCbor(b)) === 0;
}
