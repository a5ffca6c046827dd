import { describe, expect, test } from "bun:test";
import { hasCode } from "../../../src/base/errors.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";

/** A reader has looked a file up when no server gives it; until they are back another file has its place, or none. */
function readerMeets(change: "replaced" | "removed"): Uint8Array | string {
  const cluster = new SmallCluster({ chunkservers: 3 });
  cluster.as("client", async (client) => {
    await client.setTrashRetention("/", 0);
    await client.put({ kind: "bytes", bytes: content(50_000, 1) }, "/f");
    await client.put({ kind: "bytes", bytes: content(40_000, 2) }, "/other");
  });
  for (const server of cluster.cluster.servers) cluster.cluster.crash(server, { powerLoss: false }, 2_500);
  const reader = cluster.begin("reader", (client) =>
    readAll(client, "/f").catch((error: unknown) => {
      if (hasCode(error, "NotFound")) return "NotFound";
      throw error;
    }),
  );
  cluster.simulation.runFor(500);
  cluster.as("client", async (client) => {
    if (change === "removed") await client.remove("/f");
    else await client.move("/other", "/f", { overwrite: true });
  });
  return cluster.simulation.complete(reader, 60_000);
}

describe("a reader of a file that goes for good before its first byte", () => {
  test("reads the file that has its place", () => {
    expect(readerMeets("replaced")).toEqual(content(40_000, 2));
  });

  test("finds none where it was removed", () => {
    expect(readerMeets("removed")).toBe("NotFound");
  });
});
