import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeHostWorld } from "../../src/host/world.ts";
import type { WorldUnderTest } from "./world-under-test.ts";

/** The program that `spawn.self` runs in the suite: see `child.ts`. */
const child = [process.execPath, join(import.meta.dir, "child.ts")];

export function hostWorldUnderTest(): WorldUnderTest {
  const made: string[] = [];
  return {
    world: makeHostWorld({ logLevel: "error", logFormat: "text", selfCommand: child }),
    async directory() {
      const path = await mkdtemp(join(tmpdir(), "gfs-conformance-"));
      made.push(path);
      return path;
    },
    async run(fn) {
      // The clock's timers do not hold the process; a test that waits for one must.
      const hold = setInterval(() => {}, 60_000);
      try {
        return await fn();
      } finally {
        clearInterval(hold);
      }
    },
    address: () => "127.0.0.1:0",
    async dispose() {
      for (const path of made) await rm(path, { recursive: true, force: true });
    },
  };
}
