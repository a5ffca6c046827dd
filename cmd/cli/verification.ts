/** Replicas that are read and checked on order, for people and scripts: progress, findings, exit codes. */
import type { ScrubOrder } from "../../src/client/api.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import { errorCodes } from "../../src/base/errors.ts";
import { formatDuration, formatSize } from "../../src/config/units.ts";
import type { Call } from "./call.ts";
import { counted, print, showName, showServer } from "./output.ts";
import { makeProgress } from "./progress.ts";

export const verifyFlag = {
  type: "boolean",
  about:
    "first have every byte of every replica read and checked by its server, and what is bad repaired; takes as long as that takes",
} as const;

/** To its end, with a bar; a signal stops the order as well. */
export async function awaitOrder(call: Call, client: GfsClient, id: string): Promise<ScrubOrder> {
  const progress = makeProgress("reading", call);
  try {
    return await client.operator.awaitScrub(id, {
      signal: call.signal,
      onProgress: ({ bytes, totalBytes }) => progress.update(bytes, Math.max(bytes, totalBytes)),
    });
  } finally {
    progress.stop();
    if (call.signal.aborted) await client.operator.scrubStop(id).catch(() => undefined);
  }
}

/** For `gfs fsck --verify`. */
export async function verifyBelow(call: Call, client: GfsClient, path: string): Promise<ScrubOrder> {
  const id = await client.operator.scrub({ kind: "path", path }, { signal: call.signal });
  return awaitOrder(call, client, id);
}

/** `healthy` first, and only what there is. */
export function orderText(order: ScrubOrder): string {
  const { healthy, corrupt, missing, unverified, bytes, tookMs, repairing, lost } = order;
  const bad = corrupt + missing;
  const parts = [
    `${counted(healthy, "replica")} good`,
    ...(corrupt > 0 ? [`${corrupt} corrupt`] : []),
    ...(missing > 0 ? [`${missing} missing`] : []),
    ...(unverified > 0 ? [`${unverified} not read`] : []),
  ];
  const mended =
    bad === 0 ? "" : lost > 0 ? `; ${lost} lost` : repairing > 0 ? `; ${repairing} not repaired yet` : "; all repaired";
  return `${parts.join(", ")} (${formatSize(bytes)} in ${formatDuration(tookMs)})${mended}`;
}

export function findingLines({ findings, corrupt, missing, unverified }: ScrubOrder): string[] {
  const lines = findings.map(({ kind, path, handle, why, state, ...server }) => {
    const end = state === "unverified" ? "" : `; ${state}`;
    return `${kind}: ${showName(path)}: chunk ${handle} on ${showServer(server)}: ${why}${end}`;
  });
  const more = corrupt + missing + unverified - findings.length;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

export async function printVerified(order: ScrubOrder): Promise<void> {
  for (const line of findingLines(order)) await print(line);
  const whole = order.unverified === 0 && order.state === "done";
  await print(`${whole ? "every byte read" : "not every byte read"}: ${orderText(order)}`);
}

/** Of a scrub: repaired is well; 8 where something is lost, 9 where something is not repaired, or could not be read. */
export function scrubExit({ lost, repairing, unverified, state }: ScrubOrder): number {
  if (lost > 0) return errorCodes.Corrupt.exit;
  return repairing + unverified > 0 || state !== "done" ? errorCodes.PartlyDone.exit : 0;
}
