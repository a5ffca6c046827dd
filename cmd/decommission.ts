import { GfsError } from "../src/base/errors.ts";
import { are, formatSize } from "../src/config/units.ts";
import type { DecommissionCheck } from "../src/client/api.ts";
import type { ServerStatus } from "../src/wire/control/namespace.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, note, print, printJson, showName, showServer } from "./cli/output.ts";
import { few } from "./cli/servers-table.ts";
import { clientFlags } from "./cli/settings.ts";

const namedMax = 20;

/** What is lost for good without it, and what is short. `servers`: all there are. */
export function costLines(check: DecommissionCheck, servers: readonly ServerStatus[]): string[] {
  const name = showServer(check);
  const named = check.lostChunks
    .slice(0, namedMax)
    .map(({ handle, path, bytes }) => `  chunk ${handle} of ${showName(path)}, ${formatSize(bytes)}`);
  // What they have counts for nothing while they are dead, and they may be back.
  const dead = servers.filter(({ liveness, volume }) => liveness === "dead" && volume !== check.volume);
  const others =
    dead.length === 0
      ? []
      : [`${few(dead.map(showServer))} ${are(dead.length)} dead too, and may have some of it once started again`];
  const more = check.lost > namedMax ? [`  and ${check.lost - namedMax} more`] : [];
  return [
    ...(check.lost + check.short > 0 ? [`${name} is not safe to forget: ${check.why}`] : []),
    ...(check.lost > 0
      ? [
          `${counted(check.lost, "chunk")} (${formatSize(check.lostBytes)}) would be LOST with it:`,
          ...named,
          ...more,
          ...others,
        ]
      : [`no chunk is lost with ${name}`]),
    ...(check.short > 0 ? [`${counted(check.short, "chunk")} would have fewer replicas than wanted`] : []),
  ];
}

export const decommission: Verb = {
  spec: {
    name: "decommission",
    summary: "forget a server for good",
    positionals: [{ name: "SERVER", about: "its label, volume id or HOST:PORT" }],
    flags: {
      force: { type: "boolean", about: "also one that is dead and never returns, or can't be drained" },
      "accept-loss": { type: "boolean", about: "with --force: also where chunks are lost for good thereby" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs decommission server3", about: "after gfs drain server3 --wait" },
      { command: "gfs decommission server3 --force", about: "it burnt; what is lost with it is named first" },
    ],
    notes: [
      "Without --force only a server that is drained and safe to stop is forgotten; otherwise the reason is told (exit code 5).",
      "A volume that was forgotten is refused when its server comes back: empty its data directory to have it join as a new one.",
    ],
  },
  subject: (args) => args.positionals[0] ?? "",
  async run(call) {
    const [server = ""] = call.args.positionals;
    const force = call.args.on("force");
    if (call.args.on("accept-loss") && !force) throw new GfsError("Usage", "--accept-loss goes with --force");
    await using client = await connect(call);
    const { signal } = call;
    let options = { signal, force: false, lostMax: 0 };
    if (force) {
      const check = await client.operator.decommissionCheck(server, { signal });
      if (!check.safe) {
        const { servers } = await client.space({ signal });
        for (const line of costLines(check, servers)) note(call, line);
      }
      if (check.lost > 0 && !call.args.on("accept-loss")) {
        const lost = `${counted(check.lost, "chunk")} would be lost for good`;
        throw new GfsError("Denied", `Cannot forget ${showServer(check)}: ${lost}`, {
          details: { hint: "--accept-loss says that they may be" },
        });
      }
      options = { signal, force, lostMax: check.lost };
    }
    const report = await client.operator.decommission(server, options);
    if (call.json) await printJson(report);
    else if (!call.quiet)
      await print(
        `${showServer(report)} is forgotten${report.lost > 0 ? `, and ${counted(report.lost, "chunk")} with it` : ""}`,
      );
    return 0;
  },
};
