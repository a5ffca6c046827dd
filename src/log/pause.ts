import type { Clock } from "../io.ts";

export function sleepMs(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
