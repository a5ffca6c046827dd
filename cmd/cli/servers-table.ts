import { formatDuration, formatSize } from "../../src/config/units.ts";
import type { ServerStatus } from "../../src/wire/control/namespace.ts";
import { showName, table } from "./output.ts";

function livenessText(server: ServerStatus): string {
  if (server.liveness === "retired") return `retired: ${server.retiredReason ?? "its disk failed"}`;
  return server.liveness === "live"
    ? "live"
    : `${server.liveness}, silent for ${formatDuration(Math.max(0, Date.now() - server.lastHeartbeatMs))}`;
}

/** One row a server: who, where, how full, alive or not. */
export function serversTable(servers: readonly ServerStatus[]): string {
  if (servers.length === 0) return "no chunkserver has registered yet (start one: gfs chunk --help)";
  const rows = servers.map((server) => [
    showName(server.label),
    server.data,
    server.location === undefined ? "-" : `${server.location.x},${server.location.y}`,
    server.rack ?? "-",
    formatSize(server.usedBytes),
    formatSize(server.freeBytes),
    formatSize(server.totalBytes),
    String(server.replicas),
    livenessText(server),
  ]);
  const rowsText = table(
    [["SERVER", "DATA", "LOCATION", "RACK", "USED", "FREE", "TOTAL", "REPLICAS", "STATE"], ...rows],
    [4, 5, 6, 7],
  );
  return [rowsText, ...sharedDisks(servers)].join("\n");
}

/** Who lies on one disk with others: their space is the same, and so is their loss. */
function sharedDisks(servers: readonly ServerStatus[]): string[] {
  const labels = new Map<string, string[]>();
  for (const { fileSystem, label } of servers)
    if (fileSystem !== undefined) labels.set(fileSystem, [...(labels.get(fileSystem) ?? []), showName(label)]);
  return [...labels.values()]
    .filter(({ length }) => length > 1)
    .map((sharing) => `on one disk, whose space they share: ${sharing.join(", ")}`);
}
