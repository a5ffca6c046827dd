/** Has chunks moved from full disks to empty ones (core/balance.ts; DESIGN §4.5), while nothing more urgent is to be done, and tells how even they are. */
import type { balanceStatus } from "../wire/control/balance.ts";
import { repairLimits, runClone } from "./clones.ts";
import { chunkView, inBackground, type MasterContext, nowMs } from "./context.ts";
import { type BalanceSettings, bytesToMove, isHindered, moveEnded, planMoves, shareOf } from "./core/balance.ts";
import type { VolumeIndex } from "./core/chunk-table.ts";
import type { ReplyOf } from "./core/decision.ts";
import { drainingVolumes, drainProgress } from "./core/drain.ts";
import { isBeingDeleted } from "./core/garbage.ts";
import { beginMove, runningRepairs } from "./core/repair.ts";
import { hasRoom, mayBegin } from "./core/repair-pace.ts";
import { queuedCount } from "./core/repair-queues.ts";
import { settingOf } from "./core/runtime-settings.ts";
import { nameOf, volumeAt } from "./core/volumes.ts";

/** Repairs that wait, while none is under way, can't be helped now: after so long balance does not wait for them. */
const stuckRepairMs = 30_000;

export function balanceSettings({ state }: Pick<MasterContext, "state">): BalanceSettings {
  return {
    on: settingOf(state, "balance") === 1,
    threshold: settingOf(state, "balance-threshold") / 100,
    rate: settingOf(state, "balance-rate"),
  };
}

/** Begins the moves that there is room for. */
export function tickBalance(ctx: MasterContext): void {
  const { balance, repair, garbage } = ctx.soft;
  const settings = balanceSettings(ctx);
  noteStuckRepair(ctx);
  if (!settings.on || whyWaiting(ctx) !== undefined) return;
  const now = nowMs(ctx);
  const pace = repairLimits(ctx);
  if (!mayBegin(repair.pace, pace, now)) return;
  const moves = planMoves(balance, chunkView(ctx), {
    nowMs: now,
    settings,
    hasRoom: (volume) => hasRoom(repair.pace, volume, { limits: pace, nowMs: now }),
    isBusy: (handle, volume) =>
      repair.running.has(handle) || repair.queues.levelOf.has(handle) || isBeingDeleted(garbage, volume, handle),
  });
  for (const move of moves) {
    const command = beginMove(repair, chunkView(ctx), { ...move, rate: settings.rate }, { nowMs: now, pace });
    if (command === undefined) moveEnded(balance, move.handle, "failed");
    else {
      const { handle: chunk, bytes, source, target } = move;
      ctx.world.events.emit("debug", "balance.begin", { chunk, bytes, source, target });
      inBackground(ctx, "move a chunk", runClone(ctx, command));
    }
  }
}

function noteStuckRepair(ctx: MasterContext): void {
  const { balance, repair } = ctx.soft;
  const stuck = queuedCount(repair.queues) > 0 && runningRepairs(repair) === 0 && balance.moving.size === 0;
  if (!stuck) balance.repairStuckMs = undefined;
  else balance.repairStuckMs ??= nowMs(ctx);
}

/** What goes before it; undefined: nothing. */
function whyWaiting(ctx: MasterContext): string | undefined {
  const { soft, state } = ctx;
  if (soft.mutationsStopped !== undefined) return `changes are stopped: ${soft.mutationsStopped}`;
  if (soft.safeMode.active) return `safe mode: ${soft.safeMode.reason}`;
  if (soft.repair.held !== undefined) return `repair is held back: ${soft.repair.held}`;
  for (const volume of drainingVolumes(state.volumes)) {
    const { safe } = drainProgress(soft.drains, chunkView(ctx), { volume: volume.index, limits: ctx.limits });
    if (!safe) return `${nameOf(volume)} is being drained`;
  }
  if (runningRepairs(soft.repair) > 0) return "chunks are being repaired";
  const { repairStuckMs } = soft.balance;
  const stuck = repairStuckMs !== undefined && nowMs(ctx) - repairStuckMs >= stuckRepairMs;
  return queuedCount(soft.repair.queues) > 0 && !stuck ? "chunks wait for repair" : undefined;
}

function whyOff({ state }: MasterContext): string {
  const by = state.settings.has("balance") ? "an operator stopped it" : "the configuration has it off (master.balance)";
  return `${by}; \`gfs balance start\` starts it`;
}

export function balanceStatusOf(ctx: MasterContext): ReplyOf<typeof balanceStatus> {
  const { balance } = ctx.soft;
  const settings = balanceSettings(ctx);
  const left = Math.round(bytesToMove(balance, settings.threshold));
  const hindered = isHindered(balance)
    ? "no chunk can move now: racks or disks of its other replicas are in the way, or servers have not reported it yet"
    : undefined;
  const why = settings.on ? (whyWaiting(ctx) ?? hindered) : whyOff(ctx);
  const busy = left > 0 || balance.moving.size > 0;
  const label = (volume: VolumeIndex): string => nameOf(volumeAt(ctx.state.volumes, volume));
  return {
    state: !settings.on ? "off" : !busy ? "balanced" : why !== undefined ? "waiting" : "moving",
    why: (why ?? "").slice(0, 1_024),
    threshold: settings.threshold,
    bytesPerSecond: settings.rate,
    mean: balance.mean,
    disks: balance.disks.map((disk) => ({
      servers: disk.volumes.slice(0, 1_024).map(label),
      share: shareOf(disk),
      totalBytes: disk.totalBytes,
    })),
    running: balance.moving.size,
    bytesLeft: left,
    moved: balance.moved,
    movedBytes: balance.movedBytes,
  };
}
