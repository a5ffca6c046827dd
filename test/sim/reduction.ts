/** A run made smaller: classes of faults left out, less time, fewer clients. What a failure still needs tells where to look. */
import { type FaultClass, withoutFaults } from "./without.ts";
import type { SeedSettings } from "./run-seed.ts";

/** Undefined: as the seed drew it. */
export interface Reduction {
  readonly without: readonly FaultClass[];
  readonly durationMs?: number;
  readonly clients?: number;
  readonly lanes?: number;
  readonly operations?: number;
  /** The same settings under other luck. */
  readonly luck?: number;
}

export const asDrawn: Reduction = { without: [] };

export function reduced(settings: SeedSettings, reduction: Reduction): SeedSettings {
  const { without, durationMs, clients, lanes, operations } = reduction;
  const { workload } = settings;
  const smaller = {
    ...workload,
    durationMs: durationMs ?? workload.durationMs,
    clients: clients ?? workload.clients,
    lanes: lanes ?? workload.lanes,
    operations: operations ?? workload.operations,
  };
  return withoutFaults({ ...settings, workload: smaller }, without);
}

/** What runs it. */
export function commandOf(scenario: string, seed: number, reduction: Reduction = asDrawn): string {
  const { without, durationMs, clients, lanes, operations, luck } = reduction;
  const flag = (name: string, value: string | number | undefined): string[] =>
    value === undefined || value === "" ? [] : [`--${name} ${value}`];
  return [
    `bun run sim --seed ${seed}`,
    ...flag("scenario", scenario === "standard" ? undefined : scenario),
    ...flag("without", without.join(",")),
    ...flag("duration-ms", durationMs),
    ...flag("clients", clients),
    ...flag("lanes", lanes),
    ...flag("operations", operations),
    ...flag("luck", luck),
  ].join(" ");
}
