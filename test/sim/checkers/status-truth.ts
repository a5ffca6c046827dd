/**
 * What status says against what is so (P7): the replicas of every chunk that files refer to, looked for on every server past the master, and on the drives of those that are down.
 * Only where nothing moves meanwhile can the two be the same.
 */
import type { ClusterStatus, FileExtent } from "../../../src/client/api.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import type { FramePool } from "../../../src/net/frame-pool.ts";
import type { Cluster } from "../cluster.ts";
import { readReplica } from "../replica-reader.ts";
import type { Machine } from "../world/machine.ts";

interface TrueCounts {
  total: number;
  healthy: number;
  short: number;
  atRisk: number;
  lost: number;
  away: number;
  shortBytes: number;
  atRiskBytes: number;
  lostBytes: number;
  missingBytes: number;
}

export interface Looked {
  readonly client: GfsClient;
  readonly pool: FramePool;
  /** Machines that were replaced: for all that the master can know, their drives may be back. */
  readonly replaced: readonly Machine[];
}

/** Of all chunks of the files at the top of the tree, none of which is shared. */
async function trueCounts(cluster: Cluster, { client, pool, replaced }: Looked): Promise<TrueCounts> {
  const { servers } = await client.status();
  const counts: TrueCounts = {
    total: 0,
    healthy: 0,
    short: 0,
    atRisk: 0,
    lost: 0,
    away: 0,
    shortBytes: 0,
    atRiskBytes: 0,
    lostBytes: 0,
    missingBytes: 0,
  };
  const running = cluster.servers.filter(({ alive, up }) => alive && up);
  const down = [...replaced, ...cluster.servers.filter((machine) => !running.includes(machine))];
  for await (const { name: file } of client.list("/"))
    for (const extent of (await client.stat(`/${file}`)).extents) {
      counts.total++;
      if (extent.state !== "sealed") continue;
      const copies = await Promise.all(
        running.map(async ({ name }) => {
          const address = servers.find(({ label }) => label === name);
          return address !== undefined && (await isGood(pool, extent, address));
        }),
      );
      const good = copies.filter(Boolean).length;
      const { wanted, length } = extent;
      if (good >= wanted) counts.healthy++;
      else if (good === 0) {
        counts.lost++;
        counts.lostBytes += length;
        if (down.some((machine) => hasFile(machine, extent.handle))) counts.away++;
      } else {
        counts.short++;
        counts.shortBytes += length;
        counts.missingBytes += (wanted - good) * length;
        if (good === 1) counts.atRisk++;
        if (good === 1) counts.atRiskBytes += length;
      }
    }
  return counts;
}

type Address = ClusterStatus["servers"][number];

async function isGood(pool: FramePool, extent: FileExtent, server: Address): Promise<boolean> {
  try {
    const bytes = await readReplica(pool, { ...extent, replica: server, committed: undefined });
    return bytes.length >= extent.offset + extent.length;
  } catch {
    return false;
  }
}

function hasFile(machine: Machine, handle: number): boolean {
  const name = handle.toString(16).padStart(16, "0");
  return machine
    .drive()
    .files.filesUnder("/volume/chunks")
    .some((path) => path.endsWith(`/${name}`));
}

/** What status says otherwise than it is; nothing should have moved for a while. */
export async function statusAgainstTruth(cluster: Cluster, of: Looked): Promise<string[]> {
  const truth = await trueCounts(cluster, of);
  const { chunks, health, repair } = await of.client.status();
  const wrong = Object.entries(truth).flatMap(([name, value]) => {
    const said: unknown = Object.entries(chunks).find(([key]) => key === name)?.[1];
    return said === value ? [] : [`${name} is ${value}, and status says ${String(said)}`];
  });
  const word = truth.lost > 0 ? "lost" : truth.atRisk > 0 ? "at-risk" : truth.short > 0 ? "degraded" : "healthy";
  if (health !== word) wrong.push(`the cluster is ${word}, and status says ${health}`);
  // Nothing is copied while nothing moves.
  if (repair.estimateMs !== undefined)
    wrong.push(`nothing is being copied, and status says that all is whole in ${repair.estimateMs} ms`);
  if (truth.short > 0 && (repair.noEstimate ?? "") === "")
    wrong.push("nothing is being copied, and status does not say why there is no estimate");
  return wrong;
}
