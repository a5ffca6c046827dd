/** Repair in tests of the core: whole rounds over the queues, as the loop of the master makes them. */
import type { Limits } from "../../../../src/limits.ts";
import type { ChunkView } from "../../../../src/master/core/chunk-scan.ts";
import { createGarbage, type Garbage } from "../../../../src/master/core/garbage.ts";
import { planRepairs, type Repair, type RepairCommand, repairEnded } from "../../../../src/master/core/repair.ts";
import type { PaceLimits } from "../../../../src/master/core/repair-pace.ts";
import { queueShort } from "../../../../src/master/core/repair-queues.ts";
import { handleOf, limits as usual } from "./chunk-world.ts";

export const unlimited: PaceLimits = { streams: 1_000, streamsPerServer: 1, rate: 0, serverRate: 0 };

interface At {
  readonly nowMs: number;
  readonly pace?: Partial<PaceLimits>;
  readonly garbage?: Garbage;
  readonly limits?: Limits;
}

/** One round: at most one clone a server where nothing else is said. */
export function planRound(repair: Repair, view: ChunkView, at: At): RepairCommand[] {
  const { nowMs, garbage = createGarbage(), limits = usual } = at;
  const time = { nowMs, limits, pace: { ...unlimited, ...at.pace }, garbage, isTrashed: () => false };
  const commands: RepairCommand[] = [];
  for (let steps = 0; steps < 1_000; steps++) {
    const step = planRepairs(repair, view, time);
    commands.push(...step.commands);
    if (!step.more) return commands;
  }
  throw new Error("a round without an end");
}

export function endClone(repair: Repair, view: ChunkView, end: At & { command: RepairCommand; failure?: string }) {
  const { command, failure, nowMs } = end;
  return repairEnded(repair, view, { command, failure, nowMs, pace: { ...unlimited, ...end.pace } });
}

export function queueNumber(repair: Repair, number: number, holders: number, trashed = false): void {
  queueShort(repair.queues, { handle: handleOf(number), holders, trashed }, 0);
}
