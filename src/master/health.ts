/** How the chunks are, told as it changes, and when they will be whole (core/chunk-health.ts, core/repair-estimate.ts). */
import type { ReplyOf } from "../wire/control/common.ts";
import type { status } from "../wire/control/namespace.ts";
import { type MasterContext, nowMs } from "./context.ts";
import { type Health, healthOf } from "./core/chunk-health.ts";
import { estimateMs, noteRepairs } from "./core/repair-estimate.ts";
import { awaitsReports } from "./core/volumes.ts";
import { pathOfChunk } from "./locating.ts";

/** Lost chunks that an event names, each with its file. */
const namedMax = 5;

/** Of each master what was told last. */
const toldOf = new WeakMap<MasterContext, Health>();

/** A round over the chunk table is over. */
export function noteHealth(ctx: MasterContext): void {
  const { scan, repair, repairRate } = ctx.soft;
  const counts = scan.finished?.counts;
  if (counts === undefined) return;
  noteRepairs(repairRate, { atMs: nowMs(ctx), chunks: repair.done, bytes: repair.doneBytes }, counts.short);
  const health = healthOf(counts);
  if (health === "starting" || counts.total === 0 || health === toldOf.get(ctx)) return;
  toldOf.set(ctx, health);
  const { total, short, atRisk, lost, away, unsealedShort, unsealedAtRisk } = counts;
  const names = (scan.finished?.shortOnes ?? [])
    .filter(({ rank }) => rank === 0)
    .slice(0, namedMax)
    .map(({ handle, inode }) => `chunk ${handle} of ${pathOfChunk(ctx, inode)}`);
  const fields = {
    total,
    short: short + unsealedShort,
    atRisk: atRisk + unsealedAtRisk,
    lost,
    away,
    ...(lost === 0 ? {} : { chunks: names }),
  };
  ctx.world.events.emit(
    health === "healthy" ? "info" : health === "lost" ? "error" : "warn",
    `health.${health}`,
    fields,
  );
}

type Until = Pick<ReplyOf<typeof status>["repair"], "estimateMs" | "noEstimate">;

/** When nothing will be short any more, or why nobody can say. */
export function untilWhole(ctx: MasterContext): Until {
  const { scan, repair, repairRate, safeMode, mutationsStopped } = ctx.soft;
  const counts = scan.finished?.counts;
  if (counts === undefined || counts.short === 0) return {};
  if (mutationsStopped !== undefined) return { noEstimate: "changes are stopped" };
  if (safeMode.active) return { noEstimate: "repair waits until safe mode is over" };
  if (awaitsReports(ctx.state.volumes))
    return { noEstimate: "repair waits until all servers have told what they hold" };
  if (repair.held !== undefined) return { noEstimate: `repair is held back: ${repair.held}`.slice(0, 512) };
  const now = { atMs: nowMs(ctx), chunks: repair.done, bytes: repair.doneBytes };
  const ms = estimateMs(repairRate, { chunks: counts.short, bytes: counts.missingBytes }, now);
  if (repair.running.size === 0 && repair.blocked !== "")
    return { noEstimate: `repair waits: ${repair.blocked}`.slice(0, 512) };
  if (ms === 0) return { noEstimate: "the last copies are being counted" };
  if (ms !== undefined) return { estimateMs: ms };
  return { noEstimate: repair.running.size > 0 ? "no copy has ended yet" : "nothing has been copied of late" };
}
