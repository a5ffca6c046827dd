import { formatDuration, formatSize } from "../../src/config/units.ts";
import type { ServerStatus } from "../../src/wire/control/namespace.ts";
import { showName, table } from "./output.ts";

function livenessText(server: ServerStatus): string {
  if (server.liveness === "retired") return `retired: ${server.retiredReason ?? "its disk failed"}`;
  return server.liveness === "live"
    ? "live"
    : `${server.liveness}, silent for ${formatDuration(server.lastHeartbeatMs)}`;
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
  return table(
    [["SERVER", "DATA", "LOCATION", "RACK", "USED", "FREE", "TOTAL", "REPLICAS", "STATE"], ...rows],
    [4, 5, 6, 7],
  );
}
