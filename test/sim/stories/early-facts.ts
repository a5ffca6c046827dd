/** Somebody sees what another has just made, before its maker hears of it; then the master, whose drive is slow, loses power: what was seen once does not vanish (P3). */
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { SmallCluster } from "../../paper/small-cluster.ts";
import { pause } from "../client-machine.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

export const earlyFacts: Story = (seed, plant) => {
  const prng = new Prng(`early facts ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 3 });
  return told(cluster, (violations) => {
    const { master } = cluster.cluster;
    for (let i = 0; i < 3; i++) {
      const path = `/d${i}`;
      master.drive("/master1").slow(prng.integer(100, 400));
      const made = cluster.begin("maker", (client) => client.makeDirectory(path).catch(() => undefined));
      cluster.as("reader", async (client, world) => {
        while (!(await sees(client, path))) await pause(world, 1);
      });
      master.drive("/master1").slow(1);
      cluster.cluster.crash(master, { powerLoss: true, keep: 0 }, prng.integer(20, 200));
      plant?.(cluster);
      if (!cluster.as("later reader", (client) => sees(client, path)))
        violations.push({ promise: "P3", what: `${path} was seen, and is not there after a loss of power` });
      cluster.simulation.complete(made, 60_000);
    }
  });
};

/** Of one directory, as `ls` tells. */
async function sees(client: GfsClient, path: string): Promise<boolean> {
  for await (const { name } of client.list("/")) if (`/${name}` === path) return true;
  return false;
}
