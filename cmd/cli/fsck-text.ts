/** What `gfs fsck` says of files, and at last of all that it checked: in words, and by its exit code. */
import { errorCodes } from "../../src/base/errors.ts";
import type { CheckedFile, FsckPage, ScrubOrder } from "../../src/client/api.ts";
import { formatSize } from "../../src/config/units.ts";
import { asLastTold, counted, showName } from "./output.ts";
import { scrubExit } from "./verification.ts";

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

/** What is wrong now, or that all is well: of the check, and of the reading that went before it. */
function verdictOf(counts: ReadonlyMap<Kind, number>, verified: ScrubOrder | undefined): string {
  const wrong = [...counts].map(([kind, count]) => `${count} ${kind}`);
  if (verified === undefined) return wrong.length === 0 ? "all is well" : wrong.join(", ");
  const { corrupt, missing, repairing, lost, unverified, state } = verified;
  if (lost > 0) wrong.push(`${counted(lost, "bad replica")} without a good one left`);
  if (repairing > 0) wrong.push(`${counted(repairing, "bad replica")} not replaced yet`);
  if (unverified > 0) wrong.push(`${counted(unverified, "replica")} not read`);
  if (state !== "done") wrong.push("the reading was stopped");
  if (wrong.length > 0) return wrong.join(", ");
  const bad = corrupt + missing;
  return bad === 0 ? "all is well" : `all is well, ${counted(bad, "bad replica")} replaced`;
}

export function summaryLine(sums: FsckSums, counts: ReadonlyMap<Kind, number>, verified?: ScrubOrder): string {
  const { files, openFiles, chunks, bytes } = sums;
  const size = `${formatSize(bytes)}${asLastTold(openFiles)}`;
  return `${counted(files, "file")}, ${counted(chunks, "chunk")}, ${size}: ${verdictOf(counts, verified)}`;
}

/** 0: all is well, or repaired. Lost or corrupt data (8) wins over what is short, or could not be looked at (9) (DESIGN §7). */
export function fsckExit(counts: ReadonlyMap<Kind, number>, verified?: ScrubOrder): number {
  const read = verified === undefined ? 0 : scrubExit(verified);
  const bad = (["lost", "corrupt", "inconsistent"] as const).some((kind) => (counts.get(kind) ?? 0) > 0);
  if (bad || read === errorCodes.Corrupt.exit) return errorCodes.Corrupt.exit;
  return counts.size > 0 ? errorCodes.PartlyDone.exit : read;
}
