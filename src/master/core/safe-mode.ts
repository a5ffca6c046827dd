/**
 * Safe mode (DESIGN §4.1, §4.5): after a start the master knows what its log says, not yet who still holds what. Until enough is reported,
 * repair, deletes and balance wait; reads are served, and a chunk without a reported holder is pending, never lost.
 */
import { are, counted, have } from "../../config/units.ts";
import type { Limits } from "../../limits.ts";
import type { ChunkTable } from "./chunk-table.ts";
import { allVolumes } from "./volumes.ts";
import type { VolumeTable } from "./volumes.ts";

export interface SafeMode {
  readonly startedMs: number;
  active: boolean;
  /** For people; empty when it is over. */
  reason: string;
}

export function createSafeMode(nowMs: number): SafeMode {
  return { startedMs: nowMs, active: true, reason: "the master has just started" };
}

/**
 * Ends once the share of sealed chunks with a replica reported since the start is reached; or once `safeModeMs` passed and every volume that
 * the log knows and that isn't retired has sent a full report. Time alone never ends it. True when it ended now.
 */
export function tickSafeMode(
  safeMode: SafeMode,
  state: { readonly chunks: ChunkTable; readonly volumes: VolumeTable },
  time: { readonly nowMs: number; readonly limits: Pick<Limits, "safeModeShare" | "safeModeMs"> },
): boolean {
  if (!safeMode.active) return false;
  const { sealedCount, sealedReportedCount } = state.chunks;
  const share = sealedCount === 0 ? 1 : sealedReportedCount / sealedCount;
  const volumes = allVolumes(state.volumes).filter((volume) => volume.liveness !== "retired");
  const silent = volumes.filter((volume) => !volume.reported);
  const waited = time.nowMs - safeMode.startedMs >= time.limits.safeModeMs;
  if (share >= time.limits.safeModeShare || (waited && silent.length === 0)) {
    endSafeMode(safeMode);
    return true;
  }
  safeMode.reason =
    `${sealedReportedCount} of ${counted(sealedCount, "chunk")} ${are(sealedReportedCount)} reported, ${time.limits.safeModeShare * 100} % are needed; ` +
    `${silent.length} of ${counted(volumes.length, "server")} ${have(silent.length)} not reported everything yet`;
  return false;
}

/**
 * What goes on once safe mode is over, for people. Why mutations or deletions wait for an operator, and since when too many servers are gone at once for repair; repair and seals are stopped
 * with mutations.
 */
export function afterSafeMode({
  mutations,
  deletions,
  held,
}: {
  readonly mutations?: string | undefined;
  readonly deletions?: string | undefined;
  readonly held?: string | undefined;
}): string {
  if (mutations !== undefined) return "changes, repair and deletions wait for `gfs master confirm`";
  const deleting = deletions === undefined ? "deletions go on" : "deletions wait for `gfs master confirm`";
  if (held !== undefined) return `${deleting}; repair is held back: ${held}; if they won't be back: gfs repair resume`;
  return `${deleting}; repair goes on once all servers have told what they hold, or are dead`;
}

/** An operator confirmed that the rest won't come. */
export function endSafeMode(safeMode: SafeMode): void {
  safeMode.active = false;
  safeMode.reason = "";
}
