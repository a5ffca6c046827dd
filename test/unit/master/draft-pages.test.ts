import { describe, expect, test } from "bun:test";
import { chunkAllocate, draftCommit, draftCreate, draftWritten, locate } from "../../../src/wire/control/files.ts";
import { status } from "../../../src/wire/control/namespace.ts";
import { MasterInSim } from "./master-in-sim.ts";

describe("a master", () => {
  test("keeps what a draft names before its commit over restarts, and publishes it at once", () => {
    const cluster = new MasterInSim(31);
    cluster.start();
    for (let i = 0; i < 3; i++) cluster.addServer();
    const target = { kind: "put" as const, path: "/f", overwrite: false };
    const { draft } = cluster.call(draftCreate, { id: cluster.nextId(), target });
    const chunks = Array.from({ length: 4 }, (_, i) => {
      const { placement } = cluster.call(chunkAllocate, { draft, bytes: 1_000, excluded: [] });
      const { handle, version, chain } = placement;
      return { handle, version, length: 100 + i, crc: 7, volumes: chain.map(({ volume }) => volume) };
    });
    const first = chunks[0]!.handle;
    for (const from of [0, 1, 1, 0, 2]) {
      cluster.call(draftWritten, { draft, first, from, chunks: chunks.slice(from, from + 1) });
      cluster.restart({ powerLoss: true });
      // Servers register anew before anything is changed.
      cluster.simulation.runFor(4 * cluster.limits.heartbeatMs);
    }
    expect(cluster.call(status, {}).files).toBe(0);
    for (let i = 0; i < 3; i++) cluster.addServer();
    const id = cluster.nextId();
    const committed = cluster.call(draftCommit, { id, draft, first, chunks: chunks.slice(3) });
    expect(committed.bytes).toBe(100 + 101 + 102 + 103);
    cluster.restart({ powerLoss: true });
    cluster.simulation.runFor(4 * cluster.limits.heartbeatMs);
    expect(cluster.call(draftCommit, { id, draft, first, chunks: chunks.slice(3) })).toEqual(committed);
    const located = cluster.call(locate, { target: { kind: "path", path: "/f" }, offset: 0, length: 1_000 });
    expect(located.extents.map(({ handle }) => handle)).toEqual(chunks.map(({ handle }) => handle));
  });
});
