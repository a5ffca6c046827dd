/** Puts of small files, each put to the proof as soon as it is acknowledged: all servers, whose drives are far slower than the master's, lose power (P1). */
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

export const smallPuts: Story = (seed, plant) => {
  const prng = new Prng(`small puts ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 3 });
  return told(cluster, (violations) => {
    const { servers } = cluster.cluster;
    for (let i = 0; i < 4; i++) {
      const bytes = content(prng.integer(1, 20_000), i + 1);
      for (const server of servers) server.drive("/volume").slow(300);
      cluster.as("client", (client) => client.put({ kind: "bytes", bytes }, `/f${i}`));
      for (const server of servers) {
        server.drive("/volume").slow(1);
        cluster.cluster.crash(server, { powerLoss: true, keep: 0 }, prng.integer(20, 300));
      }
      cluster.simulation.runFor(2_000);
      plant?.(cluster);
      cluster.as("reader", async (client) => {
        const read = await readAll(client, `/f${i}`).catch((error: unknown) => String(error));
        if (typeof read === "string" || Buffer.compare(read, bytes) !== 0)
          violations.push({
            promise: "P1",
            what: `/f${i}, acknowledged, is ${typeof read === "string" ? read : "other bytes"}`,
          });
      });
    }
  });
};
