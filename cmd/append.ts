import { tmpdir } from "node:os";
import { formatSize } from "../src/config/units.ts";
import { readStdin } from "../src/host/environment.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson, showName } from "./cli/output.ts";
import { makeProgress } from "./cli/progress.ts";
import { clientFlags } from "./cli/settings.ts";

export const append: Verb = {
  spec: {
    name: "append",
    summary: "append a local file's content, all of it or nothing, whoever else appends at the same time",
    positionals: [
      { name: "PATH", about: "the file in gfs; made where it does not exist" },
      { name: "LOCAL", about: "what to append, or - for standard input" },
    ],
    flags: {
      id: { type: "string", hint: "KEY", about: "repeating the command with the same key and content appends once" },
      create: { type: "boolean", about: "make the file where it does not exist (--no-create: refuse)" },
      ...clientFlags,
    },
    examples: [
      { command: "echo done | gfs append /log -", about: "one line" },
      { command: "gfs append --id job-17 /results part-17.csv", about: "safe to repeat" },
    ],
    notes: [
      "Exit code 7 says that the outcome is unknown; repeat the command with the id that it names to learn it, and to have it done once.",
    ],
  },
  subject: (args) => args.positionals[0] ?? "",
  async run(call) {
    const { args, quiet, json, signal } = call;
    const [path = "", local = ""] = args.positionals;
    await using client = await connect(call);
    const progress = makeProgress("append", { quiet });
    try {
      const source =
        local === "-"
          ? ({ kind: "stream", stream: readStdin(), spoolDirectory: tmpdir() } as const)
          : ({ kind: "file", path: local } as const);
      const result = await client.appendToFile(path, source, {
        id: args.text("id"),
        create: !args.off("create"),
        signal,
        onProgress: progress.update.bind(progress),
      });
      progress.stop();
      if (json) await printJson(result);
      else if (!quiet) await print(`${showName(result.path)}: ${formatSize(result.bytes)} at offset ${result.offset}`);
      return 0;
    } finally {
      progress.stop();
    }
  },
};
