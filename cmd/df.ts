import { formatSize } from "../src/config/units.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, print, printJson } from "./cli/output.ts";
import { serversTable, sharedDisks } from "./cli/servers-table.ts";
import { clientFlags } from "./cli/settings.ts";

export const df: Verb = {
  spec: {
    name: "df",
    summary: "show space: of the cluster, and by server",
    positionals: [],
    flags: clientFlags,
    examples: [{ command: "gfs df", about: "what is free, and how much a put may still store" }],
  },
  async run(call) {
    await using client = await connect(call);
    const report = await client.space({ signal: call.signal });
    if (call.json) await printJson(report);
    else {
      const { entries, bytes, storedBytes } = report.trash;
      const trash =
        entries === 0
          ? ""
          : `; the trash holds ${formatSize(bytes)} in ${counted(entries, "entry", "entries")}, ${formatSize(storedBytes)} with replicas`;
      await print(
        `${formatSize(report.usedBytes)} used, ${formatSize(report.freeBytes)} free of ${formatSize(report.totalBytes)}${trash}`,
      );
      await print(
        `room for about ${formatSize(report.usableBytes)} of files with ${counted(report.replicas, "replica")}`,
      );
      await print([serversTable(report.servers), ...sharedDisks(report.servers)].join("\n"));
    }
    return 0;
  },
};
