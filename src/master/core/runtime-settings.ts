/**
 * What an operator changes while the cluster runs: durable by `setting-changed`, so that a limit that was lowered at night is still low after a restart of the
 * master. What nobody changed follows the configuration.
 *
 * To add one: a row in `runtimeSettings`, named for its part ("repair-streams"), its value in `limits.ts` with a key in `config/keys.ts`. Read it where it is
 * used, each time: `settingOf(state, "repair-streams")`; it can change between two calls. An operator's verb changes it by the client's `changeSettings` and
 * shows it by `settings`. On and off are 1 and 0.
 */
import { GfsError } from "../../base/errors.ts";
import { counted, formatSize } from "../../config/units.ts";
import type { ScrubTerms } from "../../wire/control/scrub.ts";
import { type Limits, repairRateMin } from "../../limits.ts";
import type { changeSettings, Setting } from "../../wire/control/settings.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import type { Decision, ReplyOf, RequestOf } from "./decision.ts";
import { written } from "./dump-sessions.ts";
import type { SectionReader } from "./sections.ts";
import type { MasterState } from "./state.ts";

interface SettingRow {
  readonly about: string;
  readonly unit: "clones" | "bytes/s" | "days" | "percent" | "1 or 0";
  /** Inclusive bounds, in `unit`; only whole numbers. `zero`: what 0 means, where it is no number of them; it is taken besides. */
  readonly zero?: string;
  readonly min: number;
  readonly max: number;
  readonly configured: (limits: Limits) => number;
}

const dayMs = 86_400_000;

export const runtimeSettings = {
  "repair-streams-per-server": {
    about: "clones of a server at a time, as source or target; 0: none",
    unit: "clones",
    min: 0,
    max: 64,
    configured: (limits) => limits.repairStreamsPerServer,
  },
  "scrub-days": {
    about: "within which every server reads and checks all that it holds; 0: never",
    unit: "days",
    zero: "off",
    min: 0,
    max: 3_650,
    configured: (limits) => limits.scrubMs / dayMs,
  },
  "scrub-rate": {
    about: "most that a server reads for its scrub; 0: no limit",
    unit: "bytes/s",
    zero: "no limit",
    min: 0,
    max: 1_000_000_000_000,
    configured: (limits) => limits.scrubBytesPerSecondMax,
  },
  "repair-streams": {
    about: "clones of the cluster at a time; 0: none",
    unit: "clones",
    min: 0,
    max: 4_096,
    configured: (limits) => limits.repairStreams,
  },
  "repair-rate": {
    about: "bytes that clones of the cluster copy",
    unit: "bytes/s",
    zero: "no limit",
    min: repairRateMin,
    max: 1e12,
    configured: (limits) => limits.repairRate,
  },
  "repair-server-rate": {
    about: "bytes that a server sends and takes for clones",
    unit: "bytes/s",
    zero: "no limit",
    min: repairRateMin,
    max: 1e12,
    configured: (limits) => limits.repairServerRate,
  },
  balance: {
    about: "1: chunks move slowly from full disks to empty ones; 0: they stay where they are",
    unit: "1 or 0",
    min: 0,
    max: 1,
    configured: (limits) => (limits.balance ? 1 : 0),
  },
  "balance-threshold": {
    about: "how far the used share of a disk may be from the mean of all",
    unit: "percent",
    min: 1,
    max: 50,
    configured: (limits) => Math.round(limits.balanceThreshold * 100),
  },
  "balance-rate": {
    about: "most that balance copies in the whole cluster",
    unit: "bytes/s",
    zero: "no limit",
    min: repairRateMin,
    max: 1e12,
    configured: (limits) => limits.balanceRate,
  },
} as const satisfies Record<string, SettingRow>;

export type RuntimeSetting = keyof typeof runtimeSettings;

const rows: ReadonlyMap<string, SettingRow> = new Map(Object.entries(runtimeSettings));

/** What operators set, by name. A name that this build does not know is kept: another build may. */
export type ChangedSettings = Map<string, number>;

/** Log record `setting-changed`. */
export type SettingChange = Extract<LogRecord, { kind: "setting-changed" }>;

export function applySettingChanged(settings: ChangedSettings, changed: SettingChange): void {
  if (changed.value === undefined) settings.delete(changed.name);
  else settings.set(changed.name, changed.value);
}

/** Section of a checkpoint: what was changed, by name. */
export function dumpSettings(settings: ChangedSettings): Generator<Uint8Array> {
  const changed = [...settings].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return written("settings", changed, (writer, [name, value]) => {
    writer.text(name);
    writer.f64(value);
  });
}

/** Whether the section is this one; if so its entries are in the table now. */
export function loadSettingsSection(reader: SectionReader, settings: ChangedSettings): boolean {
  if (reader.section !== "settings") return false;
  while (reader.nextEntry()) settings.set(reader.text(), reader.f64());
  return true;
}

/** Its value now, in the row's unit. */
export function settingOf(state: Pick<MasterState, "settings" | "limits">, name: RuntimeSetting): number {
  return state.settings.get(name) ?? runtimeSettings[name].configured(state.limits);
}

/** A value as an operator would say it: `on`, `20.0 MB/s`, `14 days`, `no limit`. */
export function settingText({ unit, zero }: Pick<Setting, "unit" | "zero">, value: number): string {
  if (value === 0 && zero !== undefined) return zero;
  switch (unit) {
    case "1 or 0":
      return value === 1 ? "on" : "off";
    case "bytes/s":
      return `${formatSize(value)}/s`;
    case "days":
      return counted(value, "day");
    case "percent":
      return `${value} %`;
    default:
      return String(value);
  }
}

/** What a change means from now on: `balance is on`; without a value that of the configuration, which is said. */
export function changeText(
  state: Pick<MasterState, "limits">,
  { name, value }: Pick<SettingChange, "name" | "value">,
): string {
  const row = rows.get(name);
  if (row === undefined) return `${name} is ${value ?? "as configured"}`;
  return `${name} is ${settingText(row, value ?? row.configured(state.limits))}${value === undefined ? ", as configured" : ""}`;
}

/** All of them, in the order of the table. */
export function listSettings(state: Pick<MasterState, "settings" | "limits">): Setting[] {
  return [...rows].map(([name, { about, unit, zero, min, max, configured }]) => {
    const value = state.settings.get(name);
    const fallback = configured(state.limits);
    const optional = { ...(zero === undefined ? {} : { zero }), ...(value === undefined ? {} : { value }) };
    return { name, about, unit, min, max, configured: fallback, ...optional };
  });
}

/** @throws GfsError("Usage") for a name that is none, and a value out of its bounds */
export function decideChangeSettings(
  state: Pick<MasterState, "settings">,
  { changes }: Pick<RequestOf<typeof changeSettings>, "changes">,
): Decision<ReplyOf<typeof changeSettings>> & { readonly records: readonly SettingChange[] } {
  for (const { name, value } of changes) {
    const row = rows.get(name);
    if (row === undefined)
      throw new GfsError(
        "Usage",
        `Cannot change ${name}: there is no such setting; known: ${[...rows.keys()].join(", ")}`,
      );
    if (value === undefined || (value === 0 && row.zero !== undefined)) continue;
    const { min, max, unit } = row;
    if (!(Number.isInteger(value) && value >= min && value <= max))
      throw new GfsError(
        "Usage",
        `Cannot set ${name} to ${value}: it takes whole numbers from ${min} to ${max} (${unit})`,
      );
  }
  const records = changes
    .filter(({ name, value }) => state.settings.get(name) !== value)
    .map(({ name, value }): SettingChange => ({
      kind: "setting-changed",
      name,
      ...(value === undefined ? {} : { value }),
    }));
  return { records, reply: {} };
}

/** How each volume reads all that it holds: told in the answers to heartbeats. */
export function scrubTerms(state: Pick<MasterState, "settings" | "limits">): ScrubTerms {
  return {
    everyMs: Math.round(settingOf(state, "scrub-days") * dayMs),
    bytesPerSecondMax: settingOf(state, "scrub-rate"),
  };
}
