import type { ClusterStatus } from "../src/client/api.ts";
import { formatDuration, formatSize } from "../src/config/units.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, print, printJson, showName, table } from "./cli/output.ts";
import { serversTable } from "./cli/servers-table.ts";
import { clientFlags } from "./cli/settings.ts";

function verdict(status: ClusterStatus): string {
  const { chunks } = status;
  if (chunks.lost > 0) return `LOST: ${chunks.lost} of ${chunks.total} chunks have no replica left`;
  if (chunks.short > 0) return `degraded: ${chunks.short} of ${chunks.total} chunks have fewer replicas than wanted`;
  if (chunks.pending > 0) return `starting: ${chunks.pending} of ${chunks.total} chunks are not reported yet`;
  return chunks.total === 0 ? "healthy (no chunks yet)" : `healthy: all ${chunks.total} chunks have their replicas`;
}

/** The last bytes of such files count as far as heartbeats have told. */
function openFiles({ openFiles: count = 0 }: ClusterStatus): string {
  return count === 0 ? "" : ` as last told (${count} open for append)`;
}

function describe(status: ClusterStatus): string {
  const { chunks, repair, garbage } = status;
  const parts = [verdict(status)];
  const alarms = [
    ...(status.stopped.mutations === undefined ? [] : [`changes are stopped: ${status.stopped.mutations}`]),
    ...(status.stopped.deletions === undefined ? [] : [`deletions are stopped: ${status.stopped.deletions}`]),
    ...(status.safeMode.active ? [`safe mode: ${status.safeMode.reason}`] : []),
    ...status.warnings,
  ];
  parts.push(...alarms.map((alarm) => `! ${alarm}`));
  const states = [
    `${chunks.healthy} healthy`,
    ...(chunks.short > 0 ? [`${chunks.short} short`] : []),
    ...(chunks.lost > 0 ? [`${chunks.lost} lost`] : []),
    ...(chunks.pending > 0 ? [`${chunks.pending} pending`] : []),
    ...(chunks.open > 0 ? [`${chunks.open} open`] : []),
    ...(chunks.sealing > 0 ? [`${chunks.sealing} sealing`] : []),
    ...(chunks.misplaced > 0 ? [`${chunks.misplaced} not spread over racks as wanted`] : []),
  ];
  const security = status.secure
    ? "with a secret"
    : status.insecureBind
      ? "WITHOUT a secret, open to the network (--insecure)"
      : "without a secret, this machine only";
  parts.push(
    table([
      ["cluster", `${status.clusterId}, ${security}`],
      ["master", `gfs ${status.version}, up ${formatDuration(status.uptimeMs)}, epoch ${status.epoch.number}`],
      [
        "files",
        `${status.files} in ${counted(status.directories, "directory", "directories")}, ${formatSize(status.bytes)}${openFiles(status)}; trash: ${counted(status.trash.entries, "entry", "entries")}, ${formatSize(status.trash.bytes)}`,
      ],
      ["chunks", states.join(", ")],
      ["repair", `${repair.running} running, ${repair.queued} waiting, ${repair.done} done since the start`],
      ["garbage", `${garbage.waiting} replicas waiting, ${garbage.deleted} deleted since the start`],
      [
        "clients",
        `${status.clients.length} connected, ${counted(status.sessions, "session")}, ${counted(status.drafts, "put")} in progress`,
      ],
      ["metadata", status.dataDirs.map((dir) => `${dir.path} (${dir.state})`).join(", ")],
    ]),
    serversTable(status.servers),
  );
  if (status.shortChunks.length > 0) {
    const rows = status.shortChunks.map((chunk) => [
      String(chunk.handle),
      `${chunk.healthy} of ${chunk.wanted}`,
      showName(chunk.path),
      chunk.why,
    ]);
    parts.push(table([["CHUNK", "REPLICAS", "FILE", "WHY"], ...rows]));
  }
  return parts.join("\n");
}

export const status: Verb = {
  spec: {
    name: "status",
    summary: "show servers, chunks, and what is wrong and why",
    positionals: [],
    flags: clientFlags,
    examples: [
      { command: "gfs status", about: "on one screen" },
      { command: "gfs status --json | jq .chunks", about: "for scripts" },
    ],
  },
  async run(call) {
    await using client = await connect(call);
    const report = await client.status({ signal: call.signal });
    if (call.json) await printJson(report);
    else await print(describe(report));
    return 0;
  },
};
