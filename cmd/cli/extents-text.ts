/** Where the pieces of a file lie, for people: a line for each chunk, and one for each of its replicas. */
import type { FileExtent } from "../../src/client/api.ts";
import { counted, showAddress, showName, showServer } from "./output.ts";

type Replica = FileExtent["replicas"][number];

export function replicaText(replica: Replica): string {
  const { distance, rack, health } = replica;
  const where = distance === undefined ? "" : ` at distance ${Number(distance.toPrecision(4))}`;
  const room = rack === undefined ? "" : `, rack ${showName(rack)}`;
  const words = health === "unreported" ? "not reported yet" : health;
  return `${words} on ${showServer(replica)} (${showAddress(replica)}${where}${room})`;
}

export function extentText(extent: FileExtent): string {
  const { fileOffset, handle, version, length, offset, state, wanted, replicas } = extent;
  const at = offset === 0 ? "" : ` from its byte ${offset}`;
  const healthy = replicas.filter(({ health }) => health === "healthy").length;
  const count = `${healthy} of ${counted(wanted, "replica")}`;
  return `${fileOffset}: chunk ${handle} version ${version}, ${counted(length, "byte")}${at}, ${state}, ${count}`;
}

/** Indented by `margin`. */
export function extentLines(extent: FileExtent, margin: string): string[] {
  const replicas = extent.replicas.map(replicaText);
  return [
    extentText(extent),
    ...(replicas.length === 0 ? ["no replica is known"] : replicas).map((line) => `  ${line}`),
  ].map((line) => margin + line);
}
