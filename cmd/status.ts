import { errorCodes } from "../src/base/errors.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import { describeStatus, isWell } from "./cli/status-text.ts";

export const status: Verb = {
  spec: {
    name: "status",
    summary: "show how the data is, what is wrong and what to do, and the numbers, on one screen",
    positionals: [],
    flags: {
      check: { type: "boolean", about: "for scripts: tell by the exit code whether all is well" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs status", about: "on one screen" },
      { command: "gfs status --check --quiet || page-me", about: "from cron" },
      { command: "gfs status --json | jq .chunks", about: "all of it, for scripts" },
    ],
    notes: [
      "The first word: healthy (every chunk has its replicas), starting (not all servers have reported since the master's start), degraded (some chunks have fewer replicas than wanted), AT RISK (some have one copy left), LOST (of some no replica can be read).",
      "Exit code 0, whatever it shows. With --check: 0 healthy; 8 lost; 9 anything else that is not well: degraded, at risk, starting, safe mode, changes or deletions stopped, a data directory of the master failed.",
    ],
  },
  async run(call) {
    await using client = await connect(call);
    const report = await client.status({ signal: call.signal });
    const check = call.args.on("check");
    if (call.json) await printJson(report);
    else if (!(check && call.quiet)) await print(describeStatus(report));
    if (!check || isWell(report)) return 0;
    return report.health === "lost" ? errorCodes.ChunkLost.exit : errorCodes.PartlyDone.exit;
  },
};
