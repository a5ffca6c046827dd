/**
 * What a round over the chunk table gathers besides what is short or surplus: replicas by volume, what is left on servers that are being drained, how full disks are. After all slots come
 * those chunks once more that are not sealed: they may have been opened in slots that were passed already.
 */
import { chunkView, type MasterContext, nowMs } from "./context.ts";
import { balanceSettings } from "./balancer.ts";
import { type BalanceRound, beginBalanceRound, endBalanceRound, stepBalanceRound } from "./core/balance.ts";
import { replicaCountAt, replicaVolumeAt } from "./core/chunk-replicas.ts";
import { stateAt, type VolumeIndex } from "./core/chunk-table.ts";
import { beginDrainRound, type DrainRound, endDrainRound, stepDrainRound, stepDrainUnsealed } from "./core/drain.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import { beginThinRound, endThinRound, stepThinRound, type ThinRound } from "./thin-tails.ts";

export interface ScanRound {
  readonly tally: Map<VolumeIndex, number>;
  readonly drain: DrainRound | undefined;
  readonly balance: BalanceRound;
  /** The look at chunks that are not sealed, once it has begun. */
  unsealed: UnsealedLook | undefined;
}

interface UnsealedLook {
  /** What is opened meanwhile comes too: a Set's iterator goes on to what was added. */
  readonly handles: Iterator<ChunkHandle, unknown>;
  readonly thin: ThinRound | undefined;
}

/** Looked at in a step. */
const unsealedPerStep = 512;

export function beginRound(ctx: MasterContext): ScanRound {
  const balance = beginBalanceRound(ctx.soft.balance, balanceSettings(ctx));
  return { tally: new Map(), drain: beginDrainRound(chunkView(ctx), nowMs(ctx)), balance, unsealed: undefined };
}

/** Slots from `from` on and before `end`. */
export function stepRound(ctx: MasterContext, round: ScanRound, slots: { from: number; end: number }): void {
  tallyReplicas(ctx, round.tally, slots);
  stepBalanceRound(chunkView(ctx), round.balance, slots);
  if (round.drain !== undefined) stepDrainRound(chunkView(ctx), round.drain, slots);
}

/** After all slots: some of the chunks that are not sealed. True while others are left; else `endRound` is next, in the same turn. */
export function stepUnsealed(ctx: MasterContext, round: ScanRound): boolean {
  const { chunks } = ctx.state;
  round.unsealed ??= { handles: chunks.unsealed.values(), thin: beginThinRound(ctx) };
  const { handles, thin } = round.unsealed;
  if (round.drain === undefined && thin === undefined) return false;
  for (let looked = 0; looked < unsealedPerStep; looked++) {
    const next = handles.next();
    if (next.done === true) return false;
    if (round.drain !== undefined) stepDrainUnsealed(chunkView(ctx), round.drain, next.value);
    if (thin !== undefined) stepThinRound(ctx, thin, next.value);
  }
  return true;
}

export function endRound(ctx: MasterContext, round: ScanRound): void {
  endThinRound(ctx, round.unsealed?.thin);
  ctx.soft.replicaTally = round.tally;
  endBalanceRound(ctx.soft.balance, chunkView(ctx), round.balance);
  if (round.drain !== undefined) endDrainRound(ctx.soft.drains, chunkView(ctx), round.drain, nowMs(ctx));
}

function tallyReplicas(
  ctx: MasterContext,
  tally: Map<VolumeIndex, number>,
  slots: { from: number; end: number },
): void {
  const { chunks } = ctx.state;
  for (let slot = slots.from; slot < slots.end; slot++) {
    if (stateAt(chunks, slot) === undefined) continue;
    for (let i = replicaCountAt(chunks, slot) - 1; i >= 0; i--) {
      const volume = replicaVolumeAt(chunks, slot, i);
      tally.set(volume, (tally.get(volume) ?? 0) + 1);
    }
  }
}
