import { describe, expect, test } from "bun:test";
import { applySealBegun, applyTailOpened } from "../../../../src/master/core/chunk-apply.ts";
import { createLeaseTable, hearOpenReplicas, heardCommitted, leaseHolds } from "../../../../src/master/core/leases.ts";
import { openedChunk, openingChunk, sealForVolume, sealingChunks } from "../../../../src/master/core/leases.ts";
import type { OpenReplica } from "../../../../src/wire/control/chunkservers.ts";
import { chunkVersion, inodeId } from "../../../../src/wire/ids.ts";
import { chunkWorld, handleOf, v1 } from "./chunk-world.ts";

const leaseMs = 60_000;
const handle = handleOf(1);

function opened() {
  const world = chunkWorld(3);
  const leases = createLeaseTable();
  applyTailOpened(world.chunks, { inode: inodeId(2), handle, version: v1, members: [0, 1, 2], goal: 3 });
  const state = { leases, chunks: world.chunks };
  const hear = (volume: number, nowMs: number, open: readonly OpenReplica[]) =>
    hearOpenReplicas(state, { volume, label: `s${volume}`, open }, { nowMs, leaseMs });
  return { world, leases, hear };
}

function replica(more: Partial<OpenReplica> = {}): OpenReplica {
  return { handle, version: v1, role: "primary", committed: 5, prepared: 9, ...more };
}

describe("leases of open chunks", () => {
  test("a heartbeat of the primary extends its lease, until and not at its end", () => {
    const { leases, hear } = opened();
    expect(hear(0, 1_000, [replica()])).toEqual({ extended: [handle], mustSeal: [] });
    expect(leaseHolds(leases, handle, 1_000 + leaseMs - 1)).toBe(true);
    expect(leaseHolds(leases, handle, 1_000 + leaseMs)).toBe(false);
    expect(heardCommitted(leases, handle)).toBe(5);
  });

  test("a secondary gets none", () => {
    const { hear } = opened();
    expect(hear(1, 1_000, [replica({ role: "secondary" })])).toEqual({ extended: [], mustSeal: [] });
  });

  test("a lapse alone seals nothing: the primary goes on when it is heard again", () => {
    const { hear } = opened();
    hear(0, 1_000, [replica()]);
    expect(hear(0, 1_000 + 10 * leaseMs, [replica()])).toEqual({ extended: [handle], mustSeal: [] });
  });

  test.each([
    ["stopped", 0, replica({ stopped: "a member refused" }), "s0 stopped: a member refused"],
    ["a secondary that stopped", 1, replica({ role: "secondary", stopped: "disk full" }), "s1 stopped: disk full"],
    ["restarted", 0, replica({ role: "lost" }), "s0 restarted and lost its role"],
    ["of another version", 0, replica({ version: chunkVersion(0) }), "s0 has it at version 0, not 1"],
    ["a secondary that plays primary", 1, replica(), "s1 plays primary, out of its place"],
  ] as const)("%s: the chunk is sealed", (_what, volume, open, reason) => {
    expect(opened().hear(volume, 1, [open]).mustSeal).toEqual([{ handle, reason }]);
  });

  test("a member that lacks it in two heartbeats: sealed; in one, which may have been sent before: not", () => {
    const { hear } = opened();
    expect(hear(1, 1, []).mustSeal).toEqual([]);
    hear(1, 2, [replica({ role: "secondary" })]);
    expect(hear(1, 3, []).mustSeal).toEqual([]);
    expect(hear(1, 4, []).mustSeal).toEqual([{ handle, reason: "s1 does not have it open" }]);
  });

  test("while the members are being told to open it nobody need have it", () => {
    const { leases, hear } = opened();
    openingChunk(leases, handle);
    for (let beat = 0; beat < 5; beat++) expect(hear(1, beat, []).mustSeal).toEqual([]);
    openedChunk(leases, handle, 100);
    expect(leaseHolds(leases, handle, 99)).toBe(true);
    hear(1, 6, []);
    expect(hear(1, 7, []).mustSeal).toHaveLength(1);
  });

  test("a chunk that is being sealed gets no lease, and is not sealed again", () => {
    const { world, hear } = opened();
    applySealBegun(world.chunks, handle, chunkVersion(2));
    expect(hear(0, 1, [replica({ stopped: "fenced" })])).toEqual({ extended: [], mustSeal: [] });
    expect(sealingChunks(world.chunks)).toEqual([handle]);
  });

  test("a volume that died takes all chunks along that it had open", () => {
    const { world } = opened();
    applyTailOpened(world.chunks, { inode: inodeId(3), handle: handleOf(2), version: v1, members: [0, 1], goal: 2 });
    expect(sealForVolume(world.chunks, 2, "s2 is dead")).toEqual([{ handle, reason: "s2 is dead" }]);
    expect(sealForVolume(world.chunks, 1, "s1 is dead")).toHaveLength(2);
  });
});
