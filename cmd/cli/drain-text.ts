import type { DrainReport } from "../../src/wire/control/drains.ts";
import { formatDuration, formatSize } from "../../src/config/units.ts";
import { counted, showServer, table } from "./output.ts";
import { rateText } from "./values.ts";

/** One line: how far it is, or why nothing moves, and whether it may be stopped. `pace`: what is known better than by the rate of the last minute. */
export function drainLine(
  report: DrainReport,
  pace: "moving" | "still" = report.bytesPerSecond > 0 ? "moving" : "still",
): string {
  const name = showServer(report);
  const { state, why, chunksLeft, bytesLeft, openChunks, bytesPerSecond, estimateMs } = report;
  if (state === "safe") return `${name} is safe to stop: no chunk needs it (gfs decommission ${name} forgets it)`;
  if (chunksLeft === undefined) return `${name}: ${why}`;
  const left = `${counted(chunksLeft, "chunk")} (${formatSize(bytesLeft ?? 0)}) left`;
  const open = openChunks === undefined || openChunks === 0 ? "" : `, ${openChunks} being written`;
  if (pace === "still") return `${name}: ${left}${open}; ${state === "stuck" ? "STUCK: " : ""}${why}`;
  const rate = bytesPerSecond > 0 ? `, ${rateText(bytesPerSecond)}` : "";
  const time = estimateMs === undefined || chunksLeft === 0 ? "" : `, about ${formatDuration(estimateMs)}`;
  return `${name}: ${left}${open}${rate}${time}`;
}

export function drainsTable(reports: readonly DrainReport[]): string {
  if (reports.length === 0) return "no server is being drained";
  const rows = reports.map((report) => [
    showServer(report),
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
