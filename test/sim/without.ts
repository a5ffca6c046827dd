/** Whole classes of faults left out, to find which one a failure needs. */
import type { SeedSettings } from "./run-seed.ts";
import { quietSchedule } from "./fault-schedule.ts";
import { noFaults } from "./world/fault-settings.ts";

export const faultClasses = [
  "kill",
  "partition",
  "pause",
  "network",
  "disk",
  "clock",
  "process",
  "abandon",
  "operator",
] as const;
export type FaultClass = (typeof faultClasses)[number];

export function isFaultClass(name: string): name is FaultClass {
  return faultClasses.some((one) => one === name);
}

export function withoutFaults(settings: SeedSettings, left: readonly FaultClass[]): SeedSettings {
  return left.reduce(without, settings);
}

function without(settings: SeedSettings, left: FaultClass): SeedSettings {
  const { schedule, faults, workload } = settings;
  switch (left) {
    case "kill": {
      const none = {
        ...quietSchedule,
        powerLoss: schedule.powerLoss,
        partitionMs: schedule.partitionMs,
        pauseMs: schedule.pauseMs,
        slowDiskMs: schedule.slowDiskMs,
        drives: schedule.drives,
        clockJumpMs: schedule.clockJumpMs,
      };
      return { ...settings, schedule: none };
    }
    case "partition":
      return { ...settings, schedule: { ...schedule, partitionMs: undefined } };
    case "pause":
      return { ...settings, schedule: { ...schedule, pauseMs: undefined } };
    case "network":
      return { ...settings, faults: { ...faults, stream: noFaults.stream, control: noFaults.control } };
    case "disk":
      return {
        ...settings,
        faults: { ...faults, disk: noFaults.disk },
        schedule: { ...schedule, slowDiskMs: undefined, drives: undefined },
      };
    case "clock":
      return {
        ...settings,
        faults: { ...faults, clock: noFaults.clock },
        schedule: { ...schedule, clockJumpMs: undefined },
      };
    case "process":
      return { ...settings, faults: { ...faults, process: noFaults.process } };
    case "abandon":
      return { ...settings, workload: { ...workload, abandoned: 0 } };
    case "operator":
      return { ...settings, operator: undefined };
    default:
      return left satisfies never;
  }
}
