import type { Clock, Timer } from "../io.ts";

/** `setTimeout` fires at once beyond 2^31 − 1 ms: longer waits go in several steps. */
const stepMsMax = 2 ** 31 - 1;

export function makeHostClock(): Clock {
  return {
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    after: (ms, fn) => startTimer(performance.now() + ms, fn),
  };
}

/** Never early by `monotonicMs`: the system's timer may fire up to a millisecond before its time, and is then set again. */
function startTimer(dueMs: number, fn: () => void): Timer {
  let handle: ReturnType<typeof setTimeout> | undefined;
  const arm = (): void => {
    const leftMs = Math.max(0, dueMs - performance.now());
    handle = setTimeout(fire, Math.min(Math.ceil(leftMs), stepMsMax));
    handle.unref();
  };
  const fire = (): void => {
    if (performance.now() < dueMs) return arm();
    handle = undefined;
    fn();
  };
  arm();
  return {
    cancel() {
      if (handle !== undefined) clearTimeout(handle);
      handle = undefined;
    },
  };
}
