/** What both sides of a connection must agree on, on either plane. */
import { GfsError } from "../base/errors.ts";
import { protocol } from "../limits.ts";
import type { ClusterId } from "../wire/ids.ts";

/** The highest protocol version that both sides speak. @throws GfsError("VersionUnsupported") naming both ranges. */
export function agreedVersion(
  other: string,
  { versionMin, versionMax }: { readonly versionMin: number; readonly versionMax: number },
): number {
  const version = Math.min(versionMax, protocol.versionMax);
  if (version >= versionMin && version >= protocol.versionMin) return version;
  throw new GfsError(
    "VersionUnsupported",
    `Cannot speak with ${other}: it speaks protocol versions ${versionMin} to ${versionMax}, this side ${protocol.versionMin} to ${protocol.versionMax}`,
  );
}

/** Either may be unknown. @throws GfsError("WrongCluster") */
export function checkCluster(other: string, ours: ClusterId | undefined, theirs: ClusterId | undefined): void {
  if (ours === undefined || theirs === undefined || ours === theirs) return;
  throw new GfsError(
    "WrongCluster",
    `Cannot speak with ${other}: it belongs to cluster ${theirs.slice(0, 8)}…, this side to ${ours.slice(0, 8)}…`,
  );
}
