/**
 * Many servers gone at once (DESIGN §4.5): a switch, a room or a bad release, and not so many broken disks. To copy all that they hold would load the network and fill the disks
 * of those that are left, for servers that will most likely be back. So repair is held, and said to be, until few enough of them are missing, an operator says to go on, or a
 * time has passed.
 *
 * Gone at once: dead or retired since less than a window before the latest of them, and all that are silent now. After a start of the master those that it never heard of count too, as
 * gone when they were called dead: it does not know since when they are. Those do not count that an operator takes away (draining, forgotten): that they stop is his will, and no accident.
 */
import type { Limits } from "../../limits.ts";
import type { VolumeIndex } from "./chunk-table.ts";
import { allVolumes, isCounted, isGone, type VolumeTable } from "./volumes.ts";

export interface MassFailure {
  /** When each volume that is gone now went. */
  readonly goneMs: Map<VolumeIndex, number>;
  /** An operator, or time, had repair go on without these. */
  readonly accepted: Set<VolumeIndex>;
  heldSinceMs: number | undefined;
  /** While it is held: those that went later than this are what it is held for, and whatever goes besides. */
  fromMs: number;
  /** For people; empty while repair is not held. */
  reason: string;
}

export function createMassFailure(): MassFailure {
  return { goneMs: new Map(), accepted: new Set(), heldSinceMs: undefined, fromMs: 0, reason: "" };
}

export type MassFailureLimits = Pick<Limits, "massFailureShare" | "massFailureWindowMs" | "massFailureHoldMs">;

/** Fewer than these together are single failures, however small the cluster. */
const togetherMin = 2;

/** Looks at the volumes as they are now. held, released: that changed just now. */
export function tickMassFailure(
  mass: MassFailure,
  volumes: VolumeTable,
  { nowMs, limits }: { readonly nowMs: number; readonly limits: MassFailureLimits },
): "held" | "released" | "unchanged" {
  const known = allVolumes(volumes).filter(isCounted);
  for (const index of mass.goneMs.keys()) if (!isCounted(volumes.byIndex[index])) notLost(mass, index);
  let silent = 0;
  let live = 0;
  for (const volume of known) {
    const { index } = volume;
    if (isGone(volume)) {
      if (!mass.goneMs.has(index)) mass.goneMs.set(index, nowMs);
      continue;
    }
    notLost(mass, index);
    if (volume.liveness === "suspect") silent++;
    else live++;
  }
  const counted = [...mass.goneMs].filter(([index]) => !mass.accepted.has(index));
  const latestMs = Math.max(...counted.map(([, atMs]) => atMs));
  // What was held for stays counted: the window is for those that go, not for the time that they are away.
  const isHeld = mass.heldSinceMs !== undefined;
  const fromMs = isHeld ? mass.fromMs : latestMs - limits.massFailureWindowMs;
  const dead = counted.filter(([, atMs]) => atMs > fromMs);
  const recent = isHeld || nowMs - latestMs < limits.massFailureWindowMs;
  const gone = dead.length + silent;
  const before = gone + live;
  const many = dead.length > 0 && recent && gone >= togetherMin && gone > limits.massFailureShare * before;
  if (!many) return release(mass);
  mass.heldSinceMs ??= nowMs;
  mass.fromMs = fromMs;
  const { massFailureHoldMs } = limits;
  if (massFailureHoldMs > 0 && nowMs - mass.heldSinceMs >= massFailureHoldMs) return acceptFailure(mass);
  mass.reason = `${gone} of ${before} servers were lost at once`;
  return isHeld ? "unchanged" : "held";
}

/** Back, or not expected back: it is none of those that were lost. */
function notLost({ goneMs, accepted }: MassFailure, index: VolumeIndex): void {
  goneMs.delete(index);
  accepted.delete(index);
}

function release(mass: MassFailure): "released" | "unchanged" {
  if (mass.heldSinceMs === undefined) return "unchanged";
  mass.heldSinceMs = undefined;
  mass.reason = "";
  return "released";
}

/** Those that are gone won't come back: repair goes on without them. */
export function acceptFailure(mass: MassFailure): "released" | "unchanged" {
  for (const index of mass.goneMs.keys()) mass.accepted.add(index);
  return release(mass);
}
