import { pipeToStdout } from "../src/host/environment.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { clientFlags, withoutJson } from "./cli/settings.ts";

export const cat: Verb = {
  spec: {
    name: "cat",
    summary: "write files to standard output, one after the other",
    positionals: [{ name: "PATH", about: "a file in gfs", many: true }],
    flags: withoutJson(clientFlags),
    examples: [{ command: "gfs cat /log/2026-01 /log/2026-02 | grep error", about: "two files, in order" }],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    await using client = await connect(call);
    for (const path of call.args.positionals) await pipeToStdout(client.read(path, { signal: call.signal }));
    return 0;
  },
};
