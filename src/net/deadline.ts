/** Waiting with an end: nothing in gfs waits without one. */
import { GfsError } from "../base/errors.ts";
import type { Clock } from "../io.ts";

/** What an aborted wait throws: the signal's reason where that is an operating error, else `Interrupted`. */
export function abortError(what: string, signal: AbortSignal): GfsError {
  const reason: unknown = signal.reason;
  if (reason instanceof GfsError) return reason;
  return new GfsError("Interrupted", `Cannot ${what}: interrupted`, { cause: reason });
}

/** @throws GfsError what `abortError` makes of a signal that is aborted already. */
export function throwIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(what, signal);
}

/** Resolves `ms` from now. @throws GfsError("Interrupted"), or the signal's own GfsError, as soon as it is aborted. */
export async function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  throwIfAborted("wait", signal);
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      timer.cancel();
      if (signal !== undefined) reject(abortError("wait", signal));
    };
    const timer = clock.after(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/**
 * What `run` gives, or throws; at most `ms` later, or as soon as `outer` is aborted, its signal is aborted and this throws without waiting for it any longer.
 *
 * @throws GfsError("Timeout"): `Cannot <what>: no answer within <ms> ms`; GfsError("Interrupted"), or the outer signal's own GfsError.
 */
// oxlint-disable-next-line max-params -- the last one is optional, and an options object would hide what is being run
export async function withTimeout<T>(
  clock: Clock,
  ms: number,
  what: string,
  run: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  throwIfAborted(what, outer);
  const inner = new AbortController();
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const stop = (error: GfsError): void => {
    reject(error);
    inner.abort(error);
  };
  const onAbort = (): void => {
    if (outer !== undefined) stop(abortError(what, outer));
  };
  const timer = clock.after(ms, () =>
    stop(new GfsError("Timeout", `Cannot ${what}: no answer within ${Math.round(ms)} ms`)),
  );
  outer?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([run(inner.signal), cut]);
  } finally {
    timer.cancel();
    outer?.removeEventListener("abort", onAbort);
  }
}

/** An instant by which something must have happened, or at least made progress. */
export class Deadline {
  readonly #clock: Clock;
  readonly #spanMs: number;
  #endMs: number;

  private constructor(clock: Clock, spanMs: number) {
    this.#clock = clock;
    this.#spanMs = spanMs;
    this.#endMs = clock.monotonicMs() + spanMs;
  }

  /** @param ms from now, and from each `extend` */
  static in(clock: Clock, ms: number): Deadline {
    return new Deadline(clock, ms);
  }

  /** Never below 0. */
  remainingMs(): number {
    return Math.max(0, this.#endMs - this.#clock.monotonicMs());
  }

  get expired(): boolean {
    return this.#clock.monotonicMs() >= this.#endMs;
  }

  get spanMs(): number {
    return this.#spanMs;
  }

  /** Progress was made: the whole span begins anew. */
  extend(): void {
    this.#endMs = this.#clock.monotonicMs() + this.#spanMs;
  }
}
