import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { note, printJson, showName } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

export const rm: Verb = {
  spec: {
    name: "rm",
    summary: "remove files and directories, into the trash",
    positionals: [{ name: "PATH", about: "what to remove", many: true }],
    flags: {
      recursive: { type: "boolean", short: "r", about: "a directory with all that is in it" },
      "skip-trash": { type: "boolean", about: "for good: it can't be restored" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs rm /old.csv", about: "gfs trash restore /old.csv undoes it" },
      { command: "gfs rm -r --skip-trash /scratch", about: "for good, and its space is free soon" },
    ],
    notes: [
      "What is removed lies in the trash for as long as its directory says (gfs trash retention), or the master's trash_seconds; earlier it goes only where space is short.",
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    const { args, signal } = call;
    await using client = await connect(call);
    const removed: { path: string; trashed: boolean }[] = [];
    for (const path of args.positionals) {
      const result = await client.remove(path, {
        recursive: args.on("recursive"),
        skipTrash: args.on("skip-trash"),
        signal,
      });
      removed.push({ path, trashed: result.trashed });
      if (!result.trashed && !args.on("skip-trash"))
        note(call, `${showName(path)} is removed for good: its directory keeps nothing in the trash`);
    }
    if (call.json) await printJson({ removed });
    return 0;
  },
};
