/** What follows from a volume's coming, going and silence (DESIGN §4.5). */
import { type MasterContext, nowMs } from "./context.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { sealForVolume } from "./core/leases.ts";
import { type LivenessChange, tickLiveness } from "./core/volumes.ts";
import { sealAll, tellSeals } from "./sealer.ts";

export function livenessTick(ctx: MasterContext): void {
  for (const change of tickLiveness(ctx.state.volumes, nowMs(ctx), ctx.limits)) livenessChanged(ctx, change);
}

export function livenessChanged(ctx: MasterContext, { volume, from, to, silentMs }: LivenessChange): void {
  const { index, label } = volume;
  const fields = { volume: volume.volume, label, from, silentMs, reason: volume.retiredReason };
  ctx.world.events.emit(to === "live" ? "info" : "warn", `volume.${to}`, fields);
  if (to === "dead" || to === "retired") {
    sealAll(ctx, sealForVolume(ctx.state.chunks, index, `${label === "" ? volume.volume : label} is ${to}`));
    tellSeals(ctx, { kind: "volume-gone", volume: index });
  } else if (from === "dead" || from === "retired") {
    tellSeals(ctx, { kind: "volume-back", volume: index });
    // What happened to its replicas while it was away is not known.
    volume.reportWanted = true;
  }
  wantScan(ctx.soft.scan);
}
