import { afterSafeMode } from "../src/master/core/safe-mode.ts";
import { actionOf } from "./cli/actions.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

async function status(call: Call): Promise<void> {
  await using client = await connect(call);
  const { safeMode, stopped } = await client.status({ signal: call.signal });
  if (call.json) await printJson(safeMode);
  else if (safeMode.active) await print(`in safe mode: ${safeMode.reason}`);
  else {
    const { held } = await client.operator.repairStatus({ signal: call.signal });
    await print(`safe mode is over: ${afterSafeMode({ ...stopped, held })}`);
  }
}

async function leave(call: Call): Promise<void> {
  await using client = await connect(call);
  const waitedFor = await client.operator.safeModeLeave({ signal: call.signal });
  if (call.json) await printJson(waitedFor === undefined ? {} : { waitedFor });
  else await print(waitedFor === undefined ? "it was over already" : `left safe mode, though ${waitedFor}`);
}

const actions: ReadonlyMap<string, (call: Call) => Promise<void>> = new Map([
  ["status", status],
  ["leave", leave],
]);

export const safemode: Verb = {
  spec: {
    name: "safemode",
    summary: "show whether repair and deletions still wait after the master's start, or end the wait",
    positionals: [{ name: "ACTION", about: "status or leave" }],
    flags: clientFlags,
    examples: [
      { command: "gfs safemode status", about: "what it waits for" },
      { command: "gfs safemode leave", about: "the servers that are missing won't be back" },
    ],
    notes: [
      "After its start the master repairs and deletes nothing before `safe_mode_share` of the chunks (99.9 %) are reported, mostly within seconds; or, where that share is not reached, before all servers that it knows have reported and `safe_mode_seconds` (30 s) have passed. Repair waits besides until all of them have told what they hold, or are dead. Reads and writes are served meanwhile.",
      "Leave it by hand only where missing servers are gone for good: what only they hold counts as lost, and what is short of copies without them is copied.",
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    const [action = ""] = call.args.positionals;
    await actionOf(action, actions)(call);
    return 0;
  },
};
