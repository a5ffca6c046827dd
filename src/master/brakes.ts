/** What holds repair, deletions and balance back by itself, and how it ends (DESIGN §4.1, §4.5; core/safe-mode.ts, core/mass-failure.ts). */
import { type MasterContext, nowMs } from "./context.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { acceptFailure, tickMassFailure } from "./core/mass-failure.ts";
import { endWaits } from "./core/volumes.ts";
import type { Limits } from "../limits.ts";
import { afterSafeMode, endSafeMode, tickSafeMode } from "./core/safe-mode.ts";

/** Leaves safe mode when enough is known; holds repair when many servers are lost at once, and lets it go. */
export function brakesTick(ctx: MasterContext): void {
  const { soft, state, limits } = ctx;
  const time = { nowMs: nowMs(ctx), limits };
  if (tickSafeMode(soft.safeMode, state, time)) {
    ctx.world.events.emit("info", "safe-mode.left", { by: "itself", now: nowGoesOn(ctx) });
    wantScan(soft.scan);
  }
  if (endWaits(state.volumes, time.nowMs, reportPatienceMs(limits))) wantScan(soft.scan);
  const change = tickMassFailure(soft.massFailure, state.volumes, time);
  const { reason } = soft.massFailure;
  soft.repair.held = reason === "" ? undefined : reason;
  if (change === "held") ctx.world.events.emit("error", "repair.held", { reason });
  if (change === "released") ctx.world.events.emit("info", "repair.resumed", { by: "itself" });
}

/** How long servers may take to tell what they hold before chunks are judged without them. */
export function reportPatienceMs({ safeModeMs }: Pick<Limits, "safeModeMs">): number {
  return 4 * safeModeMs;
}

function nowGoesOn({ soft }: MasterContext): string {
  return afterSafeMode({ mutations: soft.mutationsStopped, deletions: soft.garbage.stopped, held: soft.repair.held });
}

/** An operator says that the rest of the reports won't come. What it was waiting for; undefined: it was not in safe mode. */
export function leaveSafeMode(ctx: MasterContext): string | undefined {
  const { safeMode, scan } = ctx.soft;
  if (!safeMode.active) return undefined;
  const { reason } = safeMode;
  endSafeMode(safeMode);
  ctx.world.events.emit("warn", "safe-mode.left", { by: "operator", reason, now: nowGoesOn(ctx) });
  wantScan(scan);
  return reason;
}

/** An operator says that servers which were lost at once won't be back. Why repair was held; undefined: it was not. */
export function resumeRepair(ctx: MasterContext): string | undefined {
  const { massFailure, repair } = ctx.soft;
  const { reason } = massFailure;
  acceptFailure(massFailure);
  repair.held = undefined;
  if (reason === "") return undefined;
  ctx.world.events.emit("warn", "repair.resumed", { by: "operator", reason });
  return reason;
}
