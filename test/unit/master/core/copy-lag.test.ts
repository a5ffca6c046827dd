/** DESIGN §4.1: a copy of the metadata is as far behind as the oldest entry that it lacks. */
import { describe, expect, test } from "bun:test";
import { behindMs, copiedAllOf, type CopyLag, lookAtCopy } from "../../../../src/master/core/copy-lag.ts";

const hourMs = 3_600_000;

describe("a copy of the log", () => {
  test("that was never complete is behind by nobody knows how much", () => {
    const lag: CopyLag = { completeMs: undefined };
    lookAtCopy(lag, { position: 0, durable: 9 }, 1_000);
    expect(behindMs(lag, { position: 0, durable: 9 }, 1_000)).toBeUndefined();
  });

  test("is not behind while nothing comes, and from then on by the time since something came", () => {
    const lag: CopyLag = { completeMs: undefined };
    copiedAllOf(lag, 0);
    const whole = { position: 9, durable: 9 };
    for (let now = 1_000; now <= hourMs; now += 1_000) {
      lookAtCopy(lag, whole, now);
      expect(behindMs(lag, whole, now)).toBe(0);
    }
    const short = { position: 9, durable: 10 };
    for (let now = hourMs + 1_000; now <= hourMs + 5_000; now += 1_000) lookAtCopy(lag, short, now);
    expect(behindMs(lag, short, hourMs + 5_000)).toBe(5_000);
  });

  test("that is copied all the time is behind since the last round began that ended", () => {
    const lag: CopyLag = { completeMs: undefined };
    copiedAllOf(lag, 100);
    expect(behindMs(lag, { position: 20, durable: 25 }, 400)).toBe(300);
    copiedAllOf(lag, 300);
    lookAtCopy(lag, { position: 25, durable: 30 }, 400);
    expect(behindMs(lag, { position: 25, durable: 30 }, 450)).toBe(150);
  });

  test("that was looked at while its round went on is not older than that look", () => {
    const lag: CopyLag = { completeMs: undefined };
    copiedAllOf(lag, 100);
    lookAtCopy(lag, { position: 25, durable: 25 }, 300);
    copiedAllOf(lag, 200);
    expect(behindMs(lag, { position: 25, durable: 26 }, 350)).toBe(50);
  });
});
