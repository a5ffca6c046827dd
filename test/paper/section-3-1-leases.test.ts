import { describe, expect, test } from "bun:test";
import { leaseExtended, primaryFenced } from "../../src/chunkserver/core/primary.ts";
import { defaultLimits } from "../../src/limits.ts";
import { applyTailOpened } from "../../src/master/core/chunk-apply.ts";
import {
  createLeaseTable,
  hearOpenReplicas,
  leaseHolds,
  openedChunk,
  openingChunk,
} from "../../src/master/core/leases.ts";
import type { OpenReplica } from "../../src/wire/control/chunkservers.ts";
import { chunkVersion, inodeId } from "../../src/wire/ids.ts";
import { chunkWorld, handleOf, v1 } from "../unit/master/core/chunk-world.ts";
import { answersOf, AppendChain, leaseUntilMs, refusalsOf } from "./append-chain.ts";

const handle = handleOf(1);
const leaseMs = 60_000;

function withOpenTail() {
  const { chunks } = chunkWorld(3);
  applyTailOpened(chunks, { inode: inodeId(2), handle, version: v1, members: [0, 1, 2], goal: 3 });
  const leases = createLeaseTable();
  openingChunk(leases, handle);
  openedChunk(leases, handle, 1_000 + leaseMs);
  return { chunks, leases };
}

function replica(role: OpenReplica["role"], changes: Partial<OpenReplica> = {}): OpenReplica {
  return { handle, version: v1, role, committed: 10, prepared: 10, ...changes };
}

describe("paper §3.1 leases and mutation order", () => {
  test("a lease has an initial timeout of 60 seconds", () => {
    expect(defaultLimits.leaseMs).toBe(60_000);
  });

  test.each([
    [leaseUntilMs - 1, []],
    [leaseUntilMs, ["NotPrimary"]],
    [leaseUntilMs + 1, ["NotPrimary"]],
  ])("a primary's lease holds until, and not at, its expiry: at %d", (nowMs, refusals) => {
    const chain = new AppendChain();
    expect(refusalsOf(chain.append("record", { number: 1, nowMs }))).toEqual(refusals);
  });

  test("extensions are piggybacked on heartbeats, as long as the chunk is being mutated or not", () => {
    const { chunks, leases } = withOpenTail();
    expect(leaseHolds(leases, handle, 60_999)).toBe(true);
    expect(leaseHolds(leases, handle, 61_000)).toBe(false);
    const heard = { volume: 0, label: "s0", open: [replica("primary")] };
    const { extended, mustSeal } = hearOpenReplicas({ leases, chunks }, heard, { nowMs: 50_000, leaseMs });
    expect(extended).toEqual([handle]);
    expect(mustSeal).toEqual([]);
    expect(leaseHolds(leases, handle, 109_999)).toBe(true);

    const chain = new AppendChain();
    leaseExtended(chain.primary, 110_000);
    expect(refusalsOf(chain.append("record", { number: 1, nowMs: 109_999 }))).toEqual([]);
  });

  test("a lapse alone does not seal a healthy chunk: its primary goes on when it is heard again", () => {
    const { chunks, leases } = withOpenTail();
    const late = { nowMs: 900_000, leaseMs };
    expect(leaseHolds(leases, handle, late.nowMs)).toBe(false);
    const heard = { volume: 0, label: "s0", open: [replica("primary")] };
    expect(hearOpenReplicas({ leases, chunks }, heard, late)).toEqual({ extended: [handle], mustSeal: [] });
    expect(leaseHolds(leases, handle, late.nowMs)).toBe(true);
  });

  test("only the primary's heartbeat extends", () => {
    const { chunks, leases } = withOpenTail();
    const heard = { volume: 1, label: "s1", open: [replica("secondary")] };
    expect(hearOpenReplicas({ leases, chunks }, heard, { nowMs: 50_000, leaseMs }).extended).toEqual([]);
  });

  test.each([
    ["that restarted never resumes", replica("lost"), "restarted and lost its role"],
    ["that stopped after a failure is reported", replica("primary", { stopped: "no vote" }), "stopped: no vote"],
    ["of another version is not one", replica("primary", { version: chunkVersion(2) }), "version 2, not 1"],
  ])("a primary %s: the chunk is sealed", (_what, open, reason) => {
    const { chunks, leases } = withOpenTail();
    const { extended, mustSeal } = hearOpenReplicas(
      { leases, chunks },
      { volume: 0, label: "s0", open: [open] },
      { nowMs: 50_000, leaseMs },
    );
    expect(extended).toEqual([]);
    expect(mustSeal).toHaveLength(1);
    expect(mustSeal[0]!.reason).toContain(reason);
  });

  test("the master may revoke a lease before it expires: the fence ends the role at once", () => {
    const chain = new AppendChain();
    chain.append("unanswered", { number: 1 });
    const effects = primaryFenced(chain.primary, chunkVersion(2));
    expect(refusalsOf(effects)).toEqual(["ChunkClosed"]);
    expect(refusalsOf(chain.append("next", { number: 2 }))).toEqual(["VersionStale"]);
    // What was synced meanwhile is not answered any more: the seal decides about it.
    expect(answersOf(chain.syncAll())).toEqual([]);
  });

  test("the primary picks a serial order for all mutations, and all replicas follow it", () => {
    const chain = new AppendChain();
    chain.append("of session 7 ", { session: 7, number: 1 });
    chain.append("of session 3 ", { session: 3, number: 1 });
    chain.append("of 7 again ", { session: 7, number: 2 });
    chain.syncAll();
    expect(chain.logs[0]).toEqual(["of session 7 ", "of session 3 ", "of 7 again "]);
    for (const log of chain.logs) expect(log).toEqual(chain.logs[0]!);
  });

  test.each([0, 1, 2])(
    "the primary replies only when all have completed the operation: not without member %d",
    (absent) => {
      const chain = new AppendChain();
      chain.append("record", { number: 1 });
      for (const place of [0, 1, 2]) if (place !== absent) expect(answersOf(chain.sync(place))).toEqual([]);
      expect(answersOf(chain.sync(absent))).toEqual([[1, 0]]);
    },
  );
});
