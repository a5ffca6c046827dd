import { describe, expect, test } from "bun:test";
import { Deadlines } from "../../../src/base/deadlines.ts";

/** A clock that the test moves, and the one timer that is set on it. */
class HandClock {
  nowMs = 0;
  timersSet = 0;
  #timer: { readonly dueMs: number; readonly fn: () => void } | undefined;

  monotonicMs(): number {
    return this.nowMs;
  }

  after(ms: number, fn: () => void): { cancel(): void } {
    const timer = { dueMs: this.nowMs + ms, fn };
    this.#timer = timer;
    this.timersSet++;
    return {
      cancel: () => {
        if (this.#timer === timer) this.#timer = undefined;
      },
    };
  }

  goTo(ms: number): void {
    while (this.#timer !== undefined && this.#timer.dueMs <= ms) {
      const { dueMs, fn } = this.#timer;
      this.nowMs = dueMs;
      this.#timer = undefined;
      fn();
    }
    this.nowMs = ms;
  }
}

function start() {
  const clock = new HandClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const wait = (name: string, dueMs: number) => {
    const entry = { dueMs, expire: () => void expired.push(`${name} ${clock.nowMs}`) };
    deadlines.add(entry);
    return entry;
  };
  return { clock, deadlines, expired, wait };
}

describe("deadlines", () => {
  test("expire each at its own time, in whatever order they were added", () => {
    const { clock, expired, wait } = start();
    wait("late", 300);
    wait("early", 100);
    wait("middle", 200);
    clock.goTo(99);
    expect(expired).toEqual([]);
    clock.goTo(1_000);
    expect(expired).toEqual(["early 100", "middle 200", "late 300"]);
  });

  test("that are removed do not expire, and need no timer of their own", () => {
    const { clock, deadlines, expired, wait } = start();
    for (let i = 0; i < 1_000; i++) deadlines.remove(wait("ended", 5_000 + i));
    wait("kept", 7_000);
    clock.goTo(10_000);
    expect(expired).toEqual(["kept 7000"]);
    expect(clock.timersSet).toBe(2);
  });

  test("added while others expire are kept", () => {
    const { clock, deadlines, expired, wait } = start();
    deadlines.add({ dueMs: 100, expire: () => void wait("next", 150) });
    wait("other", 400);
    clock.goTo(500);
    expect(expired).toEqual(["next 150", "other 400"]);
  });
});
