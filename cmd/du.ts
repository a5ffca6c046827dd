import { formatSize } from "../src/config/units.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { note, print, printJson, showName, table } from "./cli/output.ts";
import { clientFlags, jsonLines } from "./cli/settings.ts";

export const du: Verb = {
  spec: {
    name: "du",
    summary: "show how much files and directories hold, and what their replicas take",
    positionals: [{ name: "PATH", about: "a file or directory; / where it is left out", optional: true, many: true }],
    flags: { human: { type: "boolean", short: "h", about: "sizes like 1.2 GB" }, ...clientFlags, ...jsonLines },
    examples: [{ command: "gfs du -h /backup /projects", about: "two directories" }],
    notes: [
      "STORED counts all replicas. IN TRASH is what was removed from there or below and can still be restored, by the path that it had then; it is not among BYTES. `gfs trash ls PATH` lists it, `gfs trash purge -r PATH` gives its space back.",
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    await using client = await connect(call);
    const paths = call.args.positionals.length === 0 ? ["/"] : call.args.positionals;
    const size = (bytes: number): string => (call.args.on("human") ? formatSize(bytes) : String(bytes));
    const rows = [["BYTES", "STORED", "FILES", "DIRECTORIES", "IN TRASH", "PATH"]];
    let openFiles = 0;
    for (const path of paths) {
      const usage = await client.usage(path, { trash: true, signal: call.signal });
      if (call.json) await printJson({ path, ...usage });
      openFiles += usage.openFiles ?? 0;
      rows.push([
        size(usage.bytes),
        size(usage.storedBytes),
        String(usage.files),
        String(usage.directories),
        size(usage.trash?.bytes ?? 0),
        showName(path),
      ]);
    }
    if (call.json) return 0;
    await print(table(rows, [0, 1, 2, 3, 4]));
    if (openFiles > 0)
      note(call, `of files open for append (${openFiles}), the last bytes count as far as heartbeats have told`);
    return 0;
  },
};
