/** Logs on the simulated disk, for the tests of src/log. */
import { utf8 } from "../../../src/base/bytes.ts";
import type { World } from "../../../src/io.ts";
import type { Log, LogOptions } from "../../../src/log/log-types.ts";
import { openLog } from "../../../src/log/open-log.ts";
import { noFaults } from "../../sim/world/fault-settings.ts";
import type { Machine } from "../../sim/world/machine.ts";
import { Simulation } from "../../sim/world/simulation.ts";

export const logId = "00112233445566778899aabbccddeeff";

export function logOptions(changes: Partial<LogOptions> = {}): LogOptions {
  return { directories: ["/a"], name: "log", id: logId, segmentBytes: 4_096, after: 0, ...changes };
}

export interface OpenedLog {
  readonly log: Log;
  readonly entries: string[];
}

export async function opened(world: World, changes: Partial<LogOptions> = {}): Promise<OpenedLog> {
  const entries: string[] = [];
  const log = await openLog(world, logOptions(changes), (position, entry) => {
    entries.push(`${position}:${new TextDecoder().decode(entry)}`);
  });
  return { log, entries };
}

export async function appendAll(log: Log, texts: readonly string[]): Promise<void> {
  for (const text of texts) await log.durable(log.append([utf8(text)]));
}

/** What a new process finds in the log. */
export function reopened(simulation: Simulation, machine: Machine, changes: Partial<LogOptions> = {}): string[] {
  machine.restart();
  return simulation.do(machine, async (world) => {
    const { log, entries } = await opened(world, changes);
    await log.close();
    return entries;
  });
}

export function newMachine(seed: number): { simulation: Simulation; machine: Machine } {
  const simulation = new Simulation(seed, { faults: noFaults });
  return { simulation, machine: simulation.machine("m") };
}

export function numbered(texts: readonly string[]): string[] {
  return texts.map((text, i) => `${i + 1}:${text}`);
}
