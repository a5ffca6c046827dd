/**
 * Open tails whose chain has fewer servers than wanted, since there were no more when they were opened (DESIGN §4.5): nothing is copied to an open chunk, so that an idle one would have too few
 * copies for ever. Once a whole chain can be had they are sealed; repair copies what they hold, and appends go on in a tail of as many servers as wanted.
 */
import { type MasterContext, nowMs } from "./context.ts";
import { findChunk } from "./core/chunk-table.ts";
import { candidatesOf, tryPlace } from "./core/placement.ts";
import { isGone } from "./core/volumes.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import { beginSealing } from "./sealer.ts";

/** Sealed in one round: each costs its appenders a moment. */
const sealsMax = 64;

/** When each was first found thin with more servers at hand: they are given as long as a lease before it is sealed, for servers come back one by one. */
export type ThinTails = Map<ChunkHandle, number>;

/** After each round over the chunk table. */
export function sealThinTails(ctx: MasterContext): void {
  const { state, soft, limits } = ctx;
  const { thinTails, safeMode, repair, mutationsStopped } = soft;
  if (safeMode.active || repair.held !== undefined || mutationsStopped !== undefined) return thinTails.clear();
  const candidates = candidatesOf(state.volumes);
  const possible = new Map<number, boolean>();
  const canPlace = (replicas: number): boolean => {
    const known = possible.get(replicas);
    if (known !== undefined) return known;
    const request = {
      replicas,
      minReplicas: replicas,
      bytes: limits.chunkBytes,
      use: "new" as const,
      from: {},
      excluded: new Set<number>(),
      weights: limits,
      what: "a whole chain",
    };
    const can = tryPlace(candidates, request) !== undefined;
    possible.set(replicas, can);
    return can;
  };
  const before = new Map(thinTails);
  thinTails.clear();
  let sealed = 0;
  for (const handle of state.chunks.unsealed) {
    const chunk = findChunk(state.chunks, handle);
    if (chunk?.state !== "open") continue;
    const there = chunk.members.filter((index) => !isGone(state.volumes.byIndex[index])).length;
    if (there >= chunk.goal || !canPlace(chunk.goal)) continue;
    const sinceMs = before.get(handle) ?? nowMs(ctx);
    if (nowMs(ctx) - sinceMs < limits.leaseMs || sealed >= sealsMax) {
      thinTails.set(handle, sinceMs);
      continue;
    }
    sealed++;
    beginSealing(ctx, handle, `its chain has ${there} servers, ${chunk.goal} are wanted, and as many are there now`);
  }
}
