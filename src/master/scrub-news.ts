import type { ScrubReport } from "../wire/control/scrub.ts";
import type { MasterContext } from "./context.ts";
import type { Volume } from "./core/volumes.ts";

/** What operators are told of a volume's scrub: each round, and what rotted. The replicas themselves are among its bad ones. A heartbeat that came late says nothing new. */
export function hearScrub(ctx: MasterContext, volume: Volume, before: ScrubReport | undefined): void {
  const now = volume.scrub;
  if (before === undefined || now === undefined) return;
  const of = { volume: volume.volume, label: volume.label };
  const { events } = ctx.world;
  const found = now.corrupt - before.corrupt;
  if (found > 0) events.emit("warn", "scrub.corrupt", { ...of, found });
  if (now.rounds > before.rounds)
    events.emit("info", "scrub.round-finished", { ...of, rounds: now.rounds, bytes: now.totalBytes });
}
