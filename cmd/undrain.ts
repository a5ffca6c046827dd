import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson, showServer } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

export const undrain: Verb = {
  spec: {
    name: "undrain",
    summary: "keep a server that is being drained",
    positionals: [{ name: "SERVER", about: "its label, volume id or HOST:PORT" }],
    flags: clientFlags,
    examples: [{ command: "gfs undrain server3", about: "its replicas count again at once" }],
  },
  subject: (args) => args.positionals[0] ?? "",
  async run(call) {
    const [server = ""] = call.args.positionals;
    await using client = await connect(call);
    const report = await client.operator.undrain(server, { signal: call.signal });
    const name = showServer(report);
    if (call.json) await printJson(report);
    else if (!call.quiet)
      await print(report.undrained ? `${name} is not being drained any more` : `${name} was not being drained`);
    return 0;
  },
};
