import { describe, expect, test } from "bun:test";
import { inWorld, type MakeWorld, sleep } from "./world-under-test.ts";

export function describeClock(name: string, make: MakeWorld): void {
  describe(`clock of ${name}`, () => {
    test(
      "after() calls once, not before its time by monotonicMs",
      inWorld(make, async ({ world: { clock } }) => {
        for (const ms of [0, 0.5, 1, 3, 20]) {
          const start = clock.monotonicMs();
          let calls = 0;
          clock.after(ms, () => calls++);
          await sleep(clock, ms);
          await sleep(clock, 5);
          expect(calls).toBe(1);
          expect(clock.monotonicMs() - start).toBeGreaterThanOrEqual(ms + 5);
        }
      }),
    );

    test(
      "after() never calls before it returned",
      inWorld(make, async ({ world: { clock } }) => {
        let called = false;
        clock.after(0, () => {
          called = true;
        });
        expect(called).toBe(false);
        await sleep(clock, 5);
        expect(called).toBe(true);
      }),
    );

    test(
      "timers fire in the order of their times",
      inWorld(make, async ({ world: { clock } }) => {
        const order: number[] = [];
        for (const ms of [60, 20, 40]) clock.after(ms, () => order.push(ms));
        await sleep(clock, 80);
        expect(order).toEqual([20, 40, 60]);
      }),
    );

    test(
      "cancel() prevents the call, and is harmless after it and twice",
      inWorld(make, async ({ world: { clock } }) => {
        let calls = 0;
        const cancelled = clock.after(5, () => calls++);
        cancelled.cancel();
        cancelled.cancel();
        const fired = clock.after(5, () => calls++);
        await sleep(clock, 20);
        expect(calls).toBe(1);
        fired.cancel();
      }),
    );

    test(
      "a wait of 60 days does not fire at once",
      inWorld(make, async ({ world: { clock } }) => {
        let fired = false;
        const timer = clock.after(60 * 86_400_000, () => {
          fired = true;
        });
        await sleep(clock, 30);
        expect(fired).toBe(false);
        timer.cancel();
      }),
    );

    test(
      "monotonicMs() never goes back, wallMs() is of this century",
      inWorld(make, async ({ world: { clock } }) => {
        let last = clock.monotonicMs();
        for (let i = 0; i < 1000; i++) {
          const now = clock.monotonicMs();
          expect(now).toBeGreaterThanOrEqual(last);
          last = now;
        }
        expect(clock.wallMs()).toBeGreaterThan(946_684_800_000);
      }),
    );
  });
}
