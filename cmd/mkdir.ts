import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { printJson } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

export const mkdir: Verb = {
  spec: {
    name: "mkdir",
    summary: "make directories",
    positionals: [{ name: "PATH", about: "a directory", many: true }],
    flags: {
      parents: { type: "boolean", short: "p", about: "make missing parents; an existing directory is no error" },
      ...clientFlags,
    },
    examples: [{ command: "gfs mkdir -p /projects/2026/raw", about: "with its parents" }],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    await using client = await connect(call);
    for (const path of call.args.positionals) {
      await client.makeDirectory(path, { parents: call.args.on("parents"), signal: call.signal });
    }
    if (call.json) await printJson({ made: call.args.positionals });
    return 0;
  },
};
