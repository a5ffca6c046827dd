/**
 * An empty server joins a cluster that has more to do than to even its disks (DESIGN §4.5; master/balancer.ts): some files want more replicas than there are servers. No chunk moves while any is
 * repaired, or waits for it; once what is left can't be helped, chunks move all the same.
 */
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const diskBytes = 8_000_000;
/** What waits for repair can't be helped where none of it was begun for half a minute. */
const waitMs = 29_000;

export const balanceWaits: Story = (seed, plant) => {
  const prng = new Prng(`balance waits ${seed}`);
  const cluster = new SmallCluster({ seed, limits: simLimits, chunkservers: 3 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const resize = (): void => {
      for (const server of cluster.cluster.servers) server.drive("/volume").files.capacityBytes = diskBytes;
    };
    resize();
    const files = new Map<string, Uint8Array>();
    const put = (path: string, replicas: number): void => {
      const bytes = content(prng.integer(50_000, 180_000), files.size + 1);
      cluster.as("client", (client) => client.put({ kind: "bytes", bytes }, path, { replicas }));
      files.set(path, bytes);
    };
    for (let i = 0; i < 24; i++) put(`/many/${i}`, prng.integer(2, 3));
    const greedy = prng.integer(1, 4);
    for (let i = 0; i < greedy; i++) put(`/greedy/${i}`, 5);

    const moves: number[] = [];
    let repairedMs = simulation.nowMs;
    simulation.onEvent(({ name }) => {
      if (name === "balance.begin") moves.push(simulation.nowMs);
      if (name === "repair.healed") repairedMs = simulation.nowMs;
    });
    cluster.cluster.add();
    resize();
    plant?.(cluster);
    cluster.until("what waits for repair is given up", async () => moves.length > 0);
    const [first = 0] = moves;
    if (first < repairedMs + waitMs)
      violations.push({
        promise: "P7",
        what: `a move began ${Math.round(first - repairedMs)} ms after the last repair, and chunks waited for another one`,
      });
    cluster.as("reader", async (client) => {
      if ((await client.status()).chunks.short < greedy)
        violations.push({ promise: "harness", what: "nothing waited for repair" });
      for (const [path, bytes] of files)
        if (Buffer.compare(await readAll(client, path), bytes) !== 0)
          violations.push({ promise: "P1", what: `${path} is not what was put` });
    });
  });
};
