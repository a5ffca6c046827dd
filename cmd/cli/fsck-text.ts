/** What `gfs fsck` says of files, and at last of all that it checked. */
import type { CheckedFile, FsckPage } from "../../src/client/api.ts";
import { formatSize } from "../../src/config/units.ts";
import { asLastTold, counted, showName } from "./output.ts";

type Kind = FsckPage["problems"][number]["kind"];

export interface FsckSums {
  files: number;
  openFiles: number;
  chunks: number;
  bytes: number;
}

export function fileLine(file: CheckedFile): string {
  const { path, bytes, chunks, replicas, problems, open = false } = file;
  const size = `${formatSize(bytes)}${open ? " as last told (open for append)" : ""}`;
  const state = problems === 0 ? "ok" : counted(problems, "problem");
  return `${showName(path)}: ${size}, ${counted(chunks, "chunk")}, ${counted(replicas, "replica")} wanted: ${state}`;
}

export function summaryLine(sums: FsckSums, counts: ReadonlyMap<Kind, number>): string {
  const { files, openFiles, chunks, bytes } = sums;
  const size = `${formatSize(bytes)}${asLastTold(openFiles)}`;
  const verdict = counts.size === 0 ? "all is well" : [...counts].map(([kind, count]) => `${count} ${kind}`).join(", ");
  return `${counted(files, "file")}, ${counted(chunks, "chunk")}, ${size}: ${verdict}`;
}
