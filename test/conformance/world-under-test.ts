import { expect } from "bun:test";
import type { Clock, World } from "../../src/io.ts";

/** One implementation of `src/io.ts`, as the conformance suite sees it. */
export interface WorldUnderTest {
  readonly world: World;
  /** A fresh, empty directory. */
  readonly directory: () => Promise<string>;
  /** Drives async code to its end: on the host just a call; a simulator pumps its events while the promise is pending. */
  readonly run: <T>(fn: () => Promise<T>) => Promise<T>;
  /** "host:port" to listen on; port 0, so that each gets its own. */
  readonly address: () => string;
  /** Called after each test. */
  readonly dispose: () => Promise<void>;
}

export type MakeWorld = () => WorldUnderTest | Promise<WorldUnderTest>;

/** Runs one test's body in a world of its own. */
export function inWorld(make: MakeWorld, body: (under: WorldUnderTest) => Promise<void>): () => Promise<void> {
  return async () => {
    const under = await make();
    try {
      await under.run(() => body(under));
    } finally {
      await under.dispose();
    }
  };
}

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

/** What the promise rejects with; fails where it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return expect.unreachable("it did not reject");
}

/** Bytes that tell their place: no two stretches of a few bytes are alike within 64 KiB. */
export function pattern(count: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}
