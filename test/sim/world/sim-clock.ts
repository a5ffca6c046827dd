import type { Clock, Crypto, Random } from "../../../src/io.ts";
import type { Prng } from "./prng.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimProcess } from "./sim-process.ts";

/** 2026-01-01: where wall clocks begin. */
const wallStartMs = 1_767_225_600_000;

/** The crystal and the wall clock of a machine: wrong, but steadily so until somebody sets it. */
export class MachineClock {
  /** Its milliseconds for one true one. */
  readonly rate: number;
  #wallErrorMs: number;

  constructor(rate: number, wallErrorMs: number) {
    this.rate = rate;
    this.#wallErrorMs = wallErrorMs;
  }

  wallMs(nowMs: number): number {
    return Math.floor(wallStartMs + this.#wallErrorMs + nowMs * this.rate);
  }

  /** The wall clock is set forward, or back. */
  jump(ms: number): void {
    this.#wallErrorMs += ms;
  }
}

/** `monotonicMs` begins anywhere, in every process elsewhere: nobody may keep it or send it. */
export function makeSimClock(scheduler: Scheduler, process: SimProcess, machine: MachineClock, prng: Prng): Clock {
  const startMs = scheduler.nowMs;
  const originMs = prng.integer(0, 1_000_000_000);
  return {
    monotonicMs() {
      scheduler.noteClockReading();
      return originMs + (scheduler.nowMs - startMs) * machine.rate;
    },
    wallMs: () => machine.wallMs(scheduler.nowMs),
    after(ms, fn) {
      if (!process.alive) return { cancel: () => undefined };
      // A little more, so that it is never early by `monotonicMs`.
      const timer = scheduler.after(ms / machine.rate + 0.001, process, fn);
      return { cancel: () => scheduler.cancel(timer) };
    },
  };
}

export function makeSimRandom(prng: Prng): Random {
  return { bytes: (count) => prng.bytes(count), fraction: () => prng.fraction() };
}

/** The real one: it depends on its arguments only. */
export function makeSimCrypto(): Crypto {
  return {
    hmac(key, message) {
      return Uint8Array.from(
        new Bun.CryptoHasher("sha256", key.length === 0 ? new Uint8Array(1) : key).update(message).digest(),
      );
    },
    sha256() {
      const hasher = new Bun.CryptoHasher("sha256");
      return {
        update(bytes) {
          hasher.update(bytes);
        },
        digest: () => Uint8Array.from(hasher.digest()),
      };
    },
  };
}
