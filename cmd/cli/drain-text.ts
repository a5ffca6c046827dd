import type { DrainReport } from "../../src/wire/control/drains.ts";
import { formatDuration, formatSize } from "../../src/config/units.ts";
import { counted, showName, table } from "./output.ts";

export function serverName({ label, volume }: { readonly label: string; readonly volume: string }): string {
  return label === "" ? volume.slice(0, 12) : showName(label);
}

/** One line: how far it is, and whether it may be stopped. */
export function drainLine(report: DrainReport): string {
  const name = serverName(report);
  if (report.state === "safe")
    return `${name} is safe to stop: no chunk needs it (gfs decommission ${name} forgets it)`;
  const { chunksLeft, bytesLeft, openChunks, bytesPerSecond, estimateMs } = report;
  if (chunksLeft === undefined) return `${name}: ${report.why}`;
  const left = `${counted(chunksLeft, "chunk")} (${formatSize(bytesLeft ?? 0)}) left`;
  const open = openChunks === undefined || openChunks === 0 ? "" : `, ${openChunks} being written`;
  const rate = bytesPerSecond > 0 ? `, ${formatSize(Math.round(bytesPerSecond))}/s` : "";
  const time = estimateMs === undefined || chunksLeft === 0 ? "" : `, about ${formatDuration(estimateMs)}`;
  return `${name}: ${left}${open}${rate}${time}${report.state === "stuck" ? `; STUCK: ${report.why}` : ""}`;
}

export function drainsTable(reports: readonly DrainReport[]): string {
  if (reports.length === 0) return "no server is being drained";
  const rows = reports.map((report) => [
    serverName(report),
    report.volume.slice(0, 12),
    report.liveness,
    report.chunksLeft === undefined ? "?" : String(report.chunksLeft),
    report.bytesLeft === undefined ? "?" : formatSize(report.bytesLeft),
    report.openChunks === undefined ? "?" : String(report.openChunks),
    report.estimateMs === undefined ? "-" : formatDuration(report.estimateMs),
    report.state === "safe" ? "safe to stop" : report.state === "stuck" ? `stuck: ${report.why}` : report.why,
  ]);
  return table([["SERVER", "VOLUME", "LIVENESS", "CHUNKS", "BYTES", "WRITTEN", "TIME", "STATE"], ...rows], [3, 4, 5]);
}
