/** What a round over the chunk table gathers besides what is short or surplus: replicas by volume, what is left on servers that are being drained, how full disks are. */
import { chunkView, type MasterContext, nowMs } from "./context.ts";
import { balanceSettings } from "./balancer.ts";
import { type BalanceRound, beginBalanceRound, endBalanceRound, stepBalanceRound } from "./core/balance.ts";
import { replicaCountAt, replicaVolumeAt } from "./core/chunk-replicas.ts";
import { stateAt, type VolumeIndex } from "./core/chunk-table.ts";
import { beginDrainRound, type DrainRound, endDrainRound, stepDrainRound } from "./core/drain.ts";

export interface ScanRound {
  readonly tally: Map<VolumeIndex, number>;
  readonly drain: DrainRound | undefined;
  readonly balance: BalanceRound;
}

export function beginRound(ctx: MasterContext): ScanRound {
  const balance = beginBalanceRound(ctx.soft.balance, balanceSettings(ctx));
  return { tally: new Map(), drain: beginDrainRound(chunkView(ctx), nowMs(ctx)), balance };
}

/** Slots from `from` on and before `end`. */
export function stepRound(ctx: MasterContext, round: ScanRound, slots: { from: number; end: number }): void {
  tallyReplicas(ctx, round.tally, slots);
  stepBalanceRound(chunkView(ctx), round.balance, slots);
  if (round.drain !== undefined) stepDrainRound(chunkView(ctx), round.drain, slots);
}

export function endRound(ctx: MasterContext, round: ScanRound): void {
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
