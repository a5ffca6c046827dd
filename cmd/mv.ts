import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson, showName } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

export const mv: Verb = {
  spec: {
    name: "mv",
    summary: "move or rename a file or directory, at once",
    positionals: [
      { name: "FROM", about: "what to move" },
      { name: "TO", about: "its new name, or the directory to move it into" },
    ],
    flags: {
      overwrite: { type: "boolean", about: "a file may take the place of a file, which goes to the trash" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs mv /incoming/a.csv /done/", about: "into a directory" },
      { command: "gfs mv --overwrite /new.db /site.db", about: "replace a file" },
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    const [from = "", to = ""] = call.args.positionals;
    await using client = await connect(call);
    const path = await client.move(from, to, { overwrite: call.args.on("overwrite"), signal: call.signal });
    if (call.json) await printJson({ from, path });
    else if (!call.quiet && path !== to) await print(showName(path));
    return 0;
  },
};
