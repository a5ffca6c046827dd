import { formatDuration, formatSize } from "../src/config/units.ts";
import type { FileStatus } from "../src/client/api.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { extentLines } from "./cli/extents-text.ts";
import { counted, print, printJson, showName, showTime, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

function inheritedFacts(path: string, { replicas, trashMs }: NonNullable<FileStatus["inherited"]>): string[][] {
  const from = (of: { from?: string | undefined }): string =>
    of.from === path ? "its own" : `from ${of.from === undefined ? "the master's configuration" : showName(of.from)}`;
  const kept = trashMs.value === 0 ? "nothing" : formatDuration(trashMs.value);
  return [
    ["new files want", `${counted(replicas.value, "replica")} (${from(replicas)})`],
    ["trash keeps", `${kept} (${from(trashMs)})`],
  ];
}

function describe(status: FileStatus): string {
  const { entry, extents } = status;
  const lines = [`${showName(status.path)}: ${entry.kind}`];
  const facts: string[][] = [];
  if (entry.kind === "directory") {
    facts.push(["entries", String(status.children ?? 0)]);
    if (status.inherited !== undefined) facts.push(...inheritedFacts(status.path, status.inherited));
  } else {
    facts.push(
      ["size", `${counted(entry.bytes, "byte")} (${formatSize(entry.bytes)})`],
      ["replicas wanted", String(entry.replicas)],
    );
    facts.push(["generation", String(entry.generation)], ["chunks", String(status.extentCount)]);
  }
  facts.push(["inode", String(entry.inode)], ["modified", showTime(entry.modifiedMs)]);
  lines.push(table(facts.map(([name = "", value = ""]) => [`  ${name}`, value])));
  for (const extent of extents) lines.push(...extentLines(extent, "  "));
  if (extents.length < status.extentCount)
    lines.push(`  … and ${status.extentCount - extents.length} more: gfs locate`);
  return lines.join("\n");
}

export const stat: Verb = {
  spec: {
    name: "stat",
    summary: "show a path's generation, its chunks, and where each replica lies, nearest first, dead servers last",
    positionals: [{ name: "PATH", about: "a file or directory", many: true }],
    flags: clientFlags,
    examples: [{ command: "gfs stat --location 0,0 /backup/photos.tar", about: "with distances from a place" }],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    await using client = await connect(call);
    for (const path of call.args.positionals) {
      const status = await client.stat(path, { signal: call.signal });
      if (call.json) await printJson(status);
      else await print(describe(status));
    }
    return 0;
  },
};
