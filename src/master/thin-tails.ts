/**
 * Open tails whose chain has fewer servers than wanted, since there were no more when they were opened (DESIGN §4.5): nothing is copied to an open chunk, so that an idle one would have too few
 * copies for ever. Once a whole chain can be had they are sealed; repair copies what they hold, and appends go on in a tail of as many servers as wanted.
 */
import { counted } from "../config/units.ts";
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

/** A look at all chunks that are not sealed. */
export interface ThinRound {
  readonly candidates: ReturnType<typeof candidatesOf>;
  /** Whether so many replicas could be placed when it was first asked. */
  readonly placeable: Map<number, boolean>;
  readonly found: ThinTails;
  sealed: number;
}

/** Undefined where none is to be sealed now. */
export function beginThinRound(ctx: MasterContext): ThinRound | undefined {
  const { safeMode, repair, mutationsStopped } = ctx.soft;
  if (safeMode.active || repair.held !== undefined || mutationsStopped !== undefined) return undefined;
  return { candidates: candidatesOf(ctx.state.volumes), placeable: new Map(), found: new Map(), sealed: 0 };
}

export function stepThinRound(ctx: MasterContext, round: ThinRound, handle: ChunkHandle): void {
  const { state, soft, limits } = ctx;
  const chunk = findChunk(state.chunks, handle);
  if (chunk?.state !== "open") return;
  const there = chunk.members.filter((index) => !isGone(state.volumes.byIndex[index])).length;
  if (there >= chunk.goal || !canPlace(ctx, round, chunk.goal)) return;
  const sinceMs = soft.thinTails.get(handle) ?? nowMs(ctx);
  if (nowMs(ctx) - sinceMs < limits.leaseMs || round.sealed >= sealsMax) {
    round.found.set(handle, sinceMs);
    return;
  }
  round.sealed++;
  beginSealing(
    ctx,
    handle,
    `its chain has ${counted(there, "server")}, ${chunk.goal} are wanted, and as many are there now`,
  );
}

export function endThinRound({ soft: { thinTails } }: MasterContext, round: ThinRound | undefined): void {
  thinTails.clear();
  for (const [handle, sinceMs] of round?.found ?? []) thinTails.set(handle, sinceMs);
}

function canPlace({ limits }: MasterContext, { candidates, placeable }: ThinRound, replicas: number): boolean {
  const known = placeable.get(replicas);
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
  placeable.set(replicas, can);
  return can;
}
