import type { EventLevel, World } from "../../../src/io.ts";
import type { FaultSettings } from "./fault-settings.ts";
import type { Network } from "./network.ts";
import type { Prng } from "./prng.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimEvent } from "./sim-events.ts";

/** A program that `Spawn.self` may start, by its first argument. */
export type Program = (
  world: World,
  args: readonly string[],
) => Promise<{ readonly exitCode: number; readonly stdout?: Uint8Array; readonly stderr?: string }>;

/** What all machines of a simulation share. */
export interface SimContext {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly prng: Prng;
  /** As they are now. */
  faults: FaultSettings;
  readonly eventLevel: EventLevel;
  readonly programs: ReadonlyMap<string, Program>;
  nextProcessId(): number;
  onEvent(event: SimEvent): void;
}
