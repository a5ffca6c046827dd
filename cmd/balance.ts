import { GfsError } from "../src/base/errors.ts";
import type { BalanceStatus, SettingChange } from "../src/client/api.ts";
import { didYouMean } from "../src/config/nearest.ts";
import { formatSize } from "../src/config/units.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, print, printJson, showName, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import { limitText, onlyFor, percentValue, rateValue } from "./cli/values.ts";

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

function changes({ args }: Call, on: boolean): SettingChange[] {
  const [threshold, rate] = [percentValue(args, "threshold"), rateValue(args, "rate")];
  return [
    { name: "balance", value: on ? 1 : 0 },
    ...(threshold === undefined ? [] : [{ name: "balance-threshold", value: threshold }]),
    ...(rate === undefined ? [] : [{ name: "balance-rate", value: rate }]),
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
  const limit = `${bytesPerSecond === 0 ? "" : "at most "}${limitText(bytesPerSecond)}`;
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
      rate: {
        type: "string",
        hint: "50MB",
        about: "most that is copied a second, in the whole cluster; none: no limit",
      },
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
    const wanted = action === "status" ? [] : changes(call, action === "start");
    await using client = await connect(call);
    const { signal } = call;
    if (wanted.length > 0) await client.operator.changeSettings(wanted, { signal });
    const status = await client.operator.balance({ signal });
    if (call.json) await printJson(status);
    else if (action === "status" || !call.quiet) await print(describe(status));
    return 0;
  },
};
