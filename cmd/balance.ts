import { GfsError } from "../src/base/errors.ts";
import type { BalanceStatus, SettingChange } from "../src/client/api.ts";
import { didYouMean } from "../src/config/nearest.ts";
import { formatSize, parseSize } from "../src/config/units.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, print, printJson, showName, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import { onlyFor } from "./cli/values.ts";

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** `10%` or `10`. */
function thresholdOf(text: string): number {
  const value = Number(text.replace(/\s*%$/, ""));
  if (!Number.isInteger(value))
    throw new GfsError("Usage", `--threshold wants a whole percentage like 10%, not ${JSON.stringify(text)}`);
  return value;
}

function rateOf(text: string): number {
  const value = parseSize(text.replace(/\/s$/, ""));
  if (value === undefined)
    throw new GfsError("Usage", `--rate wants bytes per second like 50MB, not ${JSON.stringify(text)}`);
  return value;
}

function changes(call: Call, on: boolean): SettingChange[] {
  const threshold = call.args.text("threshold");
  const rate = call.args.text("rate");
  return [
    { name: "balance", value: on ? 1 : 0 },
    ...(threshold === undefined ? [] : [{ name: "balance-threshold", value: thresholdOf(threshold) }]),
    ...(rate === undefined ? [] : [{ name: "balance-rate", value: rateOf(rate) }]),
  ];
}

const stateWords: Readonly<Record<BalanceStatus["state"], string>> = {
  off: "off",
  waiting: "waiting",
  moving: "on, and moves chunks",
  balanced: "on, and all disks are within the threshold",
};

function describe(status: BalanceStatus): string {
  const { state, why, threshold, bytesPerSecond, mean, disks, bytesLeft, moved, movedBytes, running } = status;
  const limit = bytesPerSecond === 0 ? "no limit" : `at most ${formatSize(bytesPerSecond)}/s`;
  const lines = [
    `balance is ${stateWords[state]}${state === "off" || state === "waiting" ? `: ${why}` : ""}`,
    `disks may be ${percent(threshold)} from the mean of ${percent(mean)}; ${limit}`,
    `${formatSize(bytesLeft)} left to move, ${counted(running, "chunk")} under way, ${counted(moved, "chunk")} (${formatSize(movedBytes)}) moved since the master's start`,
  ];
  const rows = disks.map((disk) => [
    disk.servers.map(showName).join(", "),
    percent(disk.share),
    formatSize(disk.totalBytes),
  ]);
  return [...lines, ...(rows.length === 0 ? [] : [table([["DISK OF", "USED", "SIZE"], ...rows], [1, 2])])].join("\n");
}

const actions = ["start", "stop", "status"] as const;

export const balance: Verb = {
  spec: {
    name: "balance",
    summary: "move chunks slowly from full disks to empty ones",
    positionals: [{ name: "ACTION", about: "start, stop or status; status where it is left out", optional: true }],
    flags: {
      threshold: { type: "string", hint: "10%", about: "how far a disk may be from the mean used share" },
      rate: { type: "string", hint: "50MB", about: "most that is copied a second, in the whole cluster; 0: no limit" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs balance", about: "how even the disks are, and what is moved" },
      { command: "gfs balance start --rate 200MB", about: "faster, until it is changed again" },
      { command: "gfs balance stop", about: "what is under way ends; nothing else begins" },
    ],
    notes: [
      "It is on by default, waits while anything is repaired or drained, and never lowers the number of copies. What is set here lasts through restarts of the master.",
    ],
  },
  subject: (args) => args.positionals[0] ?? "status",
  async run(call) {
    const [action = "status"] = call.args.positionals;
    if (!actions.some((known) => known === action))
      throw new GfsError(
        "Usage",
        `unknown action ${action}${didYouMean(action, actions)}; known: ${actions.join(", ")}`,
      );
    if (action !== "start") onlyFor(call.args, ["threshold", "rate"], "gfs balance start");
    await using client = await connect(call);
    const { signal } = call;
    if (action !== "status") await client.operator.changeSettings(changes(call, action === "start"), { signal });
    const status = await client.operator.balance({ signal });
    if (call.json) await printJson(status);
    else if (action === "status" || !call.quiet) await print(describe(status));
    return 0;
  },
};
