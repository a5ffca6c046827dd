/**
 * A client that sleeps between the acknowledgement of its only chunk and the commit, while two of the three servers that have it are lost for ever: what is acknowledged then has
 * `min_replicas` copies all the same, or the put is refused (P1).
 */
import { SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

export const thinPuts: Story = (seed, plant) => {
  const prng = new Prng(`thin puts ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 3 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const begun = new Set<string>();
    simulation.onEvent(({ name, machine }) => {
      if (name !== "mutation.START" || machine === "master" || begun.has(machine)) return;
      begun.add(machine);
      if (begun.size < 3) return;
      // The last of the chain has it; the acknowledgement is on its way.
      simulation.machine("client").pause(8_000);
      simulation.after(200, () => {
        const [first, second] = cluster.cluster.servers;
        for (const server of [first, second]) if (server !== undefined) cluster.cluster.replace(server);
      });
    });
    const bytes = content(prng.integer(30_000, 60_000), 1);
    const put = cluster.begin("client", (client) =>
      client.put({ kind: "bytes", bytes }, "/f").then(
        () => "done",
        () => "refused",
      ),
    );
    const outcome = simulation.complete(put, 60_000);
    plant?.(cluster);
    if (begun.size < 3) violations.push({ promise: "harness", what: "the chunk had no chain of three" });
    if (outcome === "refused") return;
    const copies = cluster.as("looker", async (client) =>
      (await client.stat("/f")).extents.map(
        ({ replicas }) => replicas.filter(({ health }) => health === "healthy").length,
      ),
    );
    if (copies.some((count) => count < 2))
      violations.push({ promise: "P1", what: `acknowledged with ${copies.join(", ")} copies` });
  });
};
