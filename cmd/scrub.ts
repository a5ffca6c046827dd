import { GfsError } from "../src/base/errors.ts";
import type { ClusterStatus, ScrubOrder, SettingChange } from "../src/client/api.ts";
import { formatDuration } from "../src/config/units.ts";
import { settingText } from "../src/master/core/runtime-settings.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { note, print, printJson, showName, showServer, showTime, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import { onlyFor, rateText, rateValue, wholeNumber } from "./cli/values.ts";
import { awaitOrder, findingLines, orderText, scrubExit } from "./cli/verification.ts";

type Server = ClusterStatus["servers"][number];

async function start(call: Call, name: string): Promise<number> {
  await using client = await connect(call);
  const { operator } = client;
  const target = name.startsWith("/")
    ? ({ kind: "path", path: name } as const)
    : ({ kind: "server", server: name } as const);
  const id = await operator.scrub(target, { signal: call.signal });
  if (!call.args.on("wait")) {
    if (call.json) await printJson({ id });
    else if (!call.quiet) await print(`${showName(name)} is being read, order ${id}; see: gfs scrub status`);
    return 0;
  }
  const order = await awaitOrder(call, client, id);
  if (call.json) await printJson(order);
  else await print([...findingLines(order), orderText(order)].join("\n"));
  return scrubExit(order);
}

function serverRow(server: Server, nowMs: number): string[] {
  const { scrub } = server;
  if (scrub === undefined) return [showServer(server), "not told yet", "", "", "", "", ""];
  if (scrub.everyMs === 0) return [showServer(server), "off", "", "", "", "", String(scrub.corrupt)];
  const { doneBytes, totalBytes, bytesPerSecond, endsMs, oldestMs, corrupt } = scrub;
  const share = totalBytes === 0 ? "empty" : `${Math.floor((100 * doneBytes) / totalBytes)} %`;
  const rate = bytesPerSecond === 0 ? "waits" : rateText(bytesPerSecond);
  return [
    showServer(server),
    formatDuration(scrub.everyMs),
    share,
    rate,
    endsMs === undefined || totalBytes === 0 ? "" : formatDuration(Math.max(0, endsMs - nowMs)),
    oldestMs === undefined ? "first round" : formatDuration(Math.max(0, nowMs - oldestMs)),
    String(corrupt),
  ];
}

function orderRow({ id, target, state, beganMs, ...rest }: ScrubOrder): string[] {
  const order = { id, target, state, beganMs, ...rest };
  const share =
    rest.totalBytes === 0 ? "" : ` ${Math.floor((100 * rest.bytes) / Math.max(rest.bytes, rest.totalBytes))} %`;
  return [id, showTime(beganMs), state === "reading" ? `reading${share}` : state, showName(target), orderText(order)];
}

async function status(call: Call): Promise<number> {
  await using client = await connect(call);
  const { servers } = await client.status({ signal: call.signal });
  const orders = await client.operator.scrubOrders(undefined, { signal: call.signal });
  if (call.json) {
    const told = servers.map(({ volume, label, liveness, scrub }) => ({ volume, label, liveness, scrub }));
    await printJson({ servers: told, orders });
    return 0;
  }
  const live = servers.filter(({ liveness }) => liveness === "live" || liveness === "suspect");
  const head = ["SERVER", "ROUND OF", "DONE", "RATE", "LEFT", "OLDEST READ", "CORRUPT"];
  const now = Date.now();
  const parts = [table([head, ...live.map((server) => serverRow(server, now))], [2, 3, 6])];
  if (orders.length > 0) parts.push(table([["ORDER", "BEGAN", "STATE", "WHAT", "RESULT"], ...orders.map(orderRow)]));
  parts.push(...orders.flatMap(findingLines));
  await print(parts.join("\n"));
  return 0;
}

async function stop(call: Call): Promise<number> {
  const [, id] = call.args.positionals;
  if (id === undefined) throw new GfsError("Usage", "missing ORDER: `gfs scrub status` lists them");
  await using client = await connect(call);
  await client.operator.scrubStop(id, { signal: call.signal });
  if (call.json) await printJson({ id });
  else note(call, `order ${showName(id)} is stopped`);
  return 0;
}

/** `default`: without a value, as the master is configured. */
function changesOf({ args }: Call): SettingChange[] {
  const flags = [
    ["days", () => wholeNumber(args, "days", { min: 0, or: " (0: never), or default" })],
    ["rate", () => rateValue(args, "rate", { or: ", or default" })],
  ] as const;
  const given = flags.filter(([flag]) => args.text(flag) !== undefined);
  if (given.length === 0) throw new GfsError("Usage", "nothing to set: give --days, --rate or both");
  return given.map(([flag, value]) => ({
    name: `scrub-${flag}`,
    value: args.text(flag) === "default" ? undefined : value(),
  }));
}

async function set(call: Call): Promise<number> {
  const changes = changesOf(call);
  await using client = await connect(call);
  await client.operator.changeSettings(changes, { signal: call.signal });
  const settings = (await client.operator.settings({ signal: call.signal })).filter(({ name }) =>
    name.startsWith("scrub-"),
  );
  if (call.json)
    await printJson(Object.fromEntries(settings.map(({ name, value, configured }) => [name, value ?? configured])));
  else if (!call.quiet)
    await print(
      settings
        .map((setting) => `${setting.name} is ${settingText(setting, setting.value ?? setting.configured)}`)
        .join(", "),
    );
  return 0;
}

const actions: ReadonlyMap<string, (call: Call) => Promise<number>> = new Map([
  ["status", status],
  ["stop", stop],
  ["set", set],
]);

export const scrub: Verb = {
  spec: {
    name: "scrub",
    summary: "have all replicas of files, or of a server, read and checked now; what is bad is repaired",
    positionals: [
      { name: "TARGET", about: "a PATH, or a server by its label, volume id or address; or: status, stop, set" },
      { name: "ORDER", about: "for stop: which", optional: true },
    ],
    flags: {
      wait: { type: "boolean", about: "until all was read, and what was found is repaired" },
      days: {
        type: "string",
        hint: "N",
        about: "for set: within so many days every server reads all it holds (0: never)",
      },
      rate: {
        type: "string",
        hint: "SIZE",
        about: "for set: the most that a server reads a second for that (none: no limit)",
      },
      ...clientFlags,
    },
    examples: [
      { command: "gfs scrub status", about: "how far each server is with reading all that it holds, and orders" },
      { command: "gfs scrub --wait s3", about: "all of one server, after a doubtful repair of its disk" },
      { command: "gfs scrub --wait /projects", about: "all replicas of these files" },
      { command: "gfs scrub set --days 7 --rate 20MB", about: "from now on; `default` is as the master is configured" },
    ],
    notes: [
      "Servers read all that they hold again and again, whether this is used or not (`master.scrub_days`). An order reads at four times the scrub's rate, at least 50 MB/s.",
      "Exit code with --wait: 0: all is well, or repaired. 8: something is lost. 9: not all could be read, or is not repaired yet.",
    ],
  },
  subject: (args) => args.positionals.join(" "),
  run(call) {
    const [target = ""] = call.args.positionals;
    const [, order] = call.args.positionals;
    const act = actions.get(target);
    if (order !== undefined && target !== "stop")
      throw new GfsError("Usage", `unexpected argument ${JSON.stringify(order)}`);
    if (target !== "set") onlyFor(call.args, ["days", "rate"], "gfs scrub set");
    if (act !== undefined) onlyFor(call.args, ["wait"], "gfs scrub PATH and gfs scrub SERVER");
    return act === undefined ? start(call, target) : act(call);
  },
};
