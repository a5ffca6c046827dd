/** A broken invariant: a bug in gfs, never an operating condition. Processes that catch one at the top exit with code 70. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Stays on in production: a server that finds its own state impossible must stop before it spreads. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The failure itself, for a hot path that must not put a message together which is never shown: `if (broken) fail(`…`)`. */
export function fail(message: string): never {
  throw new AssertionError(message);
}

/** The value, or an assertion failure that says what was missing. */
export function defined<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new AssertionError(`missing: ${what}`);
  return value;
}

/** Closes a `switch` over a union: a member that is added later fails to compile here. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
