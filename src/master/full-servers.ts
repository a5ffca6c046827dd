/** Tells of servers that are full: they take no new chunks, and keep what is left for clones (DESIGN §4.5). */
import type { MasterContext } from "./context.ts";
import { allVolumes, isCounted, type Volume } from "./core/volumes.ts";

/** Of its space: below the one a volume is full, from the other on it is not any more. */
const fullBelow = 0.005;
const roomFrom = 0.02;

/** To be called when a volume has told its space. */
export function noteFullness(ctx: MasterContext, volume: Volume): void {
  const { totalBytes, newBytes = volume.space.freeBytes } = volume.space;
  if (totalBytes === 0) return;
  const full = newBytes < totalBytes * (volume.full ? roomFrom : fullBelow);
  if (full === volume.full) return;
  volume.full = full;
  const fields = { volume: volume.volume, label: volume.label, freeBytes: volume.space.freeBytes, totalBytes };
  ctx.world.events.emit(full ? "warn" : "info", full ? "server.full" : "server.no-longer-full", fields);
}

/** For `status`. */
export function fullWarnings(ctx: MasterContext): string[] {
  const counted = allVolumes(ctx.state.volumes).filter(isCounted);
  const full = counted.filter((volume) => volume.full);
  if (full.length === 0) return [];
  const [{ label, volume } = { label: "", volume: "" }] = full;
  const others = full.length === 1 ? "" : ` and ${full.length - 1} more`;
  const what = `${label === "" ? volume : label}${others} of ${counted.length} servers`;
  if (full.length < counted.length) return [`full: ${what}; new chunks go elsewhere`];
  return ["every server is full: puts and appends are refused; remove files (rm --skip-trash) or add servers"];
}
