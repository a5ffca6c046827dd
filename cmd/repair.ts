import { GfsError } from "../src/base/errors.ts";
import type { RepairReport, SettingChange } from "../src/client/api.ts";
import { formatDuration, formatSize } from "../src/config/units.ts";
import type { Setting } from "../src/wire/control/settings.ts";
import { actionOf } from "./cli/actions.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, print, printJson, showName, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import { limitText, onlyFor, rateText, rateValue, wholeNumber } from "./cli/values.ts";

/** Settings of repair by the flag that changes each. */
const limitFlags: ReadonlyMap<string, { readonly setting: string; readonly kind: "count" | "rate" }> = new Map([
  ["streams-per-server", { setting: "repair-streams-per-server", kind: "count" }],
  ["streams", { setting: "repair-streams", kind: "count" }],
  ["rate", { setting: "repair-rate", kind: "rate" }],
  ["server-rate", { setting: "repair-server-rate", kind: "rate" }],
]);

function changesOf(call: Call): SettingChange[] {
  const changes: SettingChange[] = [];
  for (const [flag, { setting: name, kind }] of limitFlags) {
    const value = kind === "count" ? wholeNumber(call.args, flag, { min: 0 }) : rateValue(call.args, flag);
    if (value !== undefined) changes.push({ name, value });
  }
  if (!call.args.on("reset")) return changes;
  if (changes.length > 0)
    throw new GfsError("Usage", "--reset takes all limits back to the configuration: give no other with it");
  return [...limitFlags.values()].map(({ setting: name }) => ({ name, value: undefined }));
}

function showLimit({ name, value, configured, unit }: Setting): string[] {
  const text = (number: number): string => (unit === "bytes/s" ? limitText(number) : String(number));
  const by = value === undefined ? "as configured" : `set while running; configured: ${text(configured)}`;
  return [name.replace(/^repair-/, ""), text(value ?? configured), by];
}

async function limits(call: Call): Promise<void> {
  const changes = changesOf(call);
  await using client = await connect(call);
  if (changes.length > 0) await client.operator.changeSettings(changes, { signal: call.signal });
  const names = new Set([...limitFlags.values()].map(({ setting }) => setting));
  const rows = (await client.operator.settings({ signal: call.signal })).filter(({ name }) => names.has(name));
  if (call.json) await printJson(rows);
  else await print(table([["LIMIT", "VALUE", ""], ...rows.map((row) => showLimit(row))]));
}

function clonesTable(report: RepairReport): string {
  const rows = report.running.map(({ handle, path, source, target, bytes, copied, runningMs, reason }) => {
    const rate = copied === undefined || runningMs <= 0 ? undefined : (copied / runningMs) * 1_000;
    return [
      String(handle),
      copied === undefined ? `? of ${formatSize(bytes)}` : `${formatSize(copied)} of ${formatSize(bytes)}`,
      rate === undefined ? "?" : rateText(rate),
      source,
      target,
      reason,
      showName(path),
    ];
  });
  return table([["CHUNK", "COPIED", "RATE", "FROM", "TO", "BECAUSE", "FILE"], ...rows]);
}

export function describeRepair(report: RepairReport): string {
  const { short, oneLeft, lost, misplaced, missingBytes, runningCount, done, doneBytes, rate } = report;
  const lines: string[] = [];
  if (report.held !== undefined) lines.push(`! held back: ${report.held}; if they won't be back: gfs repair resume`);
  if (report.blocked !== undefined) lines.push(`! waits: ${report.blocked}`);
  const lacking = `${counted(short, "chunk")} short of copies${oneLeft > 0 ? `, ${oneLeft} of them with one left` : ""}`;
  lines.push(
    [
      short === 0 ? "no chunk is short of copies" : `${lacking}; ${formatSize(missingBytes)} to copy`,
      ...(misplaced > 0 ? [`${misplaced} crowd a rack`] : []),
      ...(lost > 0 ? [`${lost} LOST (gfs fsck names their files)`] : []),
    ].join("; "),
  );
  const left =
    report.estimateMs === undefined
      ? report.noEstimate === undefined || report.held !== undefined
        ? ""
        : `; no estimate: ${report.noEstimate}`
      : `; about ${formatDuration(report.estimateMs)} left`;
  lines.push(
    `${counted(runningCount, "copy", "copies")} under way${rate > 0 ? `, ${rateText(rate)} lately` : ""}; ${done} done (${formatSize(doneBytes)}) since the master's start${left}`,
  );
  if (report.running.length > 0) lines.push(clonesTable(report));
  return lines.join("\n");
}

async function status(call: Call): Promise<void> {
  await using client = await connect(call);
  const report = await client.operator.repairStatus({ signal: call.signal });
  if (call.json) await printJson(report);
  else await print(describeRepair(report));
}

async function resume(call: Call): Promise<void> {
  await using client = await connect(call);
  const held = await client.operator.repairResume({ signal: call.signal });
  if (call.json) await printJson(held === undefined ? {} : { held });
  else await print(held === undefined ? "repair was not held back" : `repair goes on, though ${held}`);
}

const actions: ReadonlyMap<string, (call: Call) => Promise<void>> = new Map([
  ["status", status],
  ["limits", limits],
  ["resume", resume],
]);

export const repair: Verb = {
  spec: {
    name: "repair",
    summary: "show how far repair is, bound what it copies, resume it",
    positionals: [{ name: "ACTION", about: "status, limits or resume" }],
    flags: {
      "streams-per-server": {
        type: "string",
        hint: "N",
        about: "copies that a server takes part in at a time (0: none)",
      },
      streams: { type: "string", hint: "N", about: "copies in the cluster at a time (0: none)" },
      rate: { type: "string", hint: "BYTES", about: "bytes per second in the cluster, as 200MB; none: no limit" },
      "server-rate": {
        type: "string",
        hint: "BYTES",
        about: "bytes per second that a server sends and takes, as 50MB; none: no limit",
      },
      reset: { type: "boolean", about: "all limits as the master is configured" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs repair status", about: "what is short, each copy under way, the time left" },
      {
        command: "gfs repair limits --server-rate 200MB",
        about: "faster, from now on, also after a restart of the master",
      },
      { command: "gfs repair limits --reset", about: "as the master is configured" },
      { command: "gfs repair resume", about: "servers that were lost at once won't be back: go on without them" },
    ],
    notes: [
      "When more than `mass_failure_share` of the servers are lost at once, repair waits until enough are back, `gfs repair resume`, or `mass_failure_hold_seconds` have passed.",
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    const [action = ""] = call.args.positionals;
    const act = actionOf(action, actions);
    if (act !== limits) onlyFor(call.args, [...limitFlags.keys(), "reset"], "gfs repair limits");
    await act(call);
    return 0;
  },
};
