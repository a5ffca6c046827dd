import { randomFillSync } from "node:crypto";
import type { Random } from "../io.ts";

export function makeHostRandom(): Random {
  return {
    bytes: (count) => randomFillSync(new Uint8Array(count)),
    fraction: () => Math.random(),
  };
}
