import type { Random } from "../io.ts";

const firstMs = 50;
const longestMs = 5_000;

/**
 * How long to wait before trying again, after `attempt` (from 1) failures in a row: exponential with jitter, from half of it to all of it, so that neither do clients that
 * failed together come back together, nor does anybody come back at once. 25 ms to 5 s.
 */
export function backoffMs(attempt: number, random: Random): number {
  const ceiling = Math.min(longestMs, firstMs * 2 ** Math.min(Math.max(attempt - 1, 0), 16));
  return ceiling * (0.5 + random.fraction() / 2);
}
