/** Compares the servers' times with each other, and tells of those that are much slower (core/pace.ts). */
import type { MasterContext } from "./context.ts";
import { judgePaces } from "./core/pace.ts";
import { allVolumes, type Volume } from "./core/volumes.ts";

/** One round; once a heartbeat interval. */
export function comparePaces(ctx: MasterContext): void {
  const live = allVolumes(ctx.state.volumes).filter(({ liveness }) => liveness === "live");
  for (const { volume, label, pace } of judgePaces(live)) {
    const { slow } = pace;
    if (slow === undefined) ctx.world.events.emit("info", "server.no-longer-slow", { volume, label });
    else ctx.world.events.emit("warn", "server.slow", { volume, label, reason: slow });
  }
}

/** For `status`. */
export function slowWarnings(volumes: readonly Volume[]): string[] {
  return volumes.flatMap(({ label, volume, liveness, pace }) =>
    pace.slow === undefined || liveness !== "live"
      ? []
      : [`server ${label === "" ? volume : label} is slow: ${pace.slow}`],
  );
}
