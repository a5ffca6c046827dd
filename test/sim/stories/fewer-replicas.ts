/**
 * Files want fewer replicas than they have, on disks that are not equally full (DESIGN §4.5; master/core/chunk-scan.ts): of each chunk goes first what crowds a rack, then what lies on the
 * fullest disk, and just as many as are too many.
 */
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

/** So far apart that what is put and removed here, and the servers' logs, change nothing about which one is fuller. */
const diskSizes = [6_000_000, 12_000_000, 24_000_000, 60_000_000];

interface Disk {
  readonly label: string;
  readonly rack: string;
  readonly used: number;
}

export const fewerReplicas: Story = (seed, plant) => {
  const prng = new Prng(`fewer replicas ${seed}`);
  // Of four servers two share a rack.
  const cluster = new SmallCluster({ seed, limits: { ...simLimits, deleteGraceMs: 500, balance: false } });
  return told(cluster, (violations) => {
    const sizes = [...diskSizes];
    for (const server of cluster.cluster.servers) {
      const [bytes] = sizes.splice(prng.integer(0, sizes.length - 1), 1);
      server.drive("/volume").files.capacityBytes = bytes ?? 0;
    }
    const files = new Map<string, Uint8Array>();
    cluster.as("client", async (client) => {
      for (let i = 0; i < 10; i++) {
        const bytes = content(prng.integer(1_000, 90_000), i + 1);
        await client.put({ kind: "bytes", bytes }, `/d/${i}`, { replicas: 4 });
        files.set(`/d/${i}`, bytes);
      }
    });
    cluster.simulation.runFor(3_000);
    const disks = cluster.as("operator", async (client) =>
      (await client.status()).servers.map(({ label, rack, freeBytes, totalBytes }): Disk => ({
        label,
        rack: rack ?? label,
        used: 1 - freeBytes / totalBytes,
      })),
    );
    const wanted = prng.integer(1, 3);
    const kept = keptOf(disks, wanted);
    cluster.as("operator", (client) => client.setReplicas("/d", wanted, { recursive: true }));
    plant?.(cluster);
    cluster.until("what is too many is gone", async (client) => {
      for (const path of files.keys())
        for (const { replicas } of (await client.stat(path)).extents) if (replicas.length > wanted) return false;
      return true;
    });
    cluster.as("reader", async (client) => {
      for (const [path, bytes] of files) {
        if (Buffer.compare(await readAll(client, path), bytes) !== 0)
          violations.push({ promise: "P1", what: `${path} is not what was put` });
        for (const { handle, replicas } of (await client.stat(path)).extents) {
          const labels = replicas.map(({ label }) => label).sort();
          if (labels.join() !== kept.join())
            violations.push({
              promise: "P7",
              what: `of ${wanted} replicas chunk ${handle} of ${path} kept those on ${labels.join()}, and not on ${kept.join()}`,
            });
        }
      }
    });
  });
};

/** Where the replicas are to stay. */
function keptOf(disks: readonly Disk[], wanted: number): string[] {
  let left = disks.toSorted((a, b) => b.used - a.used);
  while (left.length > wanted) {
    const crowded = left.find((disk) => left.some((other) => other !== disk && other.rack === disk.rack));
    const first = crowded ?? left[0];
    left = left.filter((disk) => disk !== first);
  }
  return left.map(({ label }) => label).sort();
}
