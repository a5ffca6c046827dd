import { expect, test } from "bun:test";
import { costLines } from "../../../cmd/decommission.ts";
import type { DecommissionCheck } from "../../../src/client/api.ts";
import { chunkHandle, volumeId } from "../../../src/wire/ids.ts";
import { space, type ServerStatus } from "../../../src/wire/control/namespace.ts";
import { started } from "../master/cluster-with-puts.ts";

const [first] = started(1, 1).call(space, {}).servers;

function server(label: string, liveness: ServerStatus["liveness"]): ServerStatus {
  if (first === undefined) throw new Error("no server");
  return { ...first, label, liveness, volume: volumeId(Bun.hash(label).toString(16).padStart(32, "0")) };
}

test("chunks that would be lost may be on other servers that are dead too: these are named", () => {
  const s2 = server("s2", "dead");
  const check: DecommissionCheck = {
    volume: s2.volume,
    label: "s2",
    liveness: "dead",
    safe: false,
    why: "it is not being drained",
    lost: 1,
    lostBytes: 50_000,
    short: 0,
    lostChunks: [{ handle: chunkHandle(7), path: "/a", bytes: 50_000 }],
  };
  const lost = [
    "s2 is not safe to forget: it is not being drained",
    "1 chunk (50.0 kB) would be LOST with it:",
    "  chunk 7 of /a, 50.0 kB",
  ];
  const others = [server("s3", "dead"), server("s4", "live"), server("s5", "dead")];
  expect(costLines(check, [s2, ...others])).toEqual([
    ...lost,
    "s3, s5 are dead too, and may have some of it once started again",
  ]);
  expect(costLines(check, [s2, server("s4", "live"), server("s5", "retired")])).toEqual(lost);
});
