import { errorCodes } from "../src/base/errors.ts";
import { formatSize } from "../src/config/units.ts";
import type { FsckPage } from "../src/client/api.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, print, printJson, showName } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

type Kind = FsckPage["problems"][number]["kind"];

/** Lost or corrupt data wins over short replicas (DESIGN §7). */
function exitCode(counts: ReadonlyMap<Kind, number>): number {
  const bad = (["lost", "corrupt", "inconsistent"] as const).some((kind) => (counts.get(kind) ?? 0) > 0);
  if (bad) return errorCodes.Corrupt.exit;
  return counts.size > 0 ? errorCodes.PartlyDone.exit : 0;
}

export const fsck: Verb = {
  spec: {
    name: "fsck",
    summary: "check files against the chunk table and what chunkservers report; changes nothing",
    positionals: [{ name: "PATH", about: "only what is under it; / where it is left out", optional: true }],
    flags: clientFlags,
    examples: [{ command: "gfs fsck /projects", about: "every problem with the file it belongs to" }],
    notes: [
      "Exit code 0: all is well. 8: data is lost or corrupt. 9: chunks are short of replicas, or not reported yet.",
    ],
  },
  subject: (args) => args.positionals[0] ?? "/",
  async run(call) {
    await using client = await connect(call);
    const counts = new Map<Kind, number>();
    let files = 0;
    let chunks = 0;
    let bytes = 0;
    for await (const page of client.fsck(call.args.positionals[0] ?? "/", { signal: call.signal })) {
      files += page.files;
      chunks += page.chunks;
      bytes += page.bytes;
      for (const problem of page.problems) {
        counts.set(problem.kind, (counts.get(problem.kind) ?? 0) + 1);
        if (call.json) await printJson(problem);
        else await print(`${problem.kind}: ${showName(problem.path)}: ${problem.text}`);
      }
    }
    const summary =
      counts.size === 0 ? "all is well" : [...counts].map(([kind, count]) => `${count} ${kind}`).join(", ");
    if (call.json) await printJson({ files, chunks, bytes, problems: Object.fromEntries(counts) });
    else await print(`${counted(files, "file")}, ${counted(chunks, "chunk")}, ${formatSize(bytes)}: ${summary}`);
    return exitCode(counts);
  },
};
