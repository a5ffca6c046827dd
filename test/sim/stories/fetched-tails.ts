/**
 * A record that only the head of its chain has when the chain breaks: the others fetch it for the seal, and as soon as one has it the master ends and the head is lost for ever. The next master seals
 * by what they tell; whoever appends the record once more under its key is told where it is (P4).
 */
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

export const fetchedTails: Story = (seed, plant) => {
  const prng = new Prng(`fetched tails ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 4 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const { master } = cluster.cluster;
    const base = content(prng.integer(10, 500), 1);
    // The second append opens the tail.
    for (let i = 0; i < 2; i++) cluster.as("client", (client) => client.appendToFile("/f", base));
    const chain = cluster.as("looker", async (client) =>
      (await client.stat("/f")).extents.at(-1)!.replicas.map(({ label }) => label),
    );
    const seen: { head?: string; fetched: boolean } = { fetched: false };
    using _ = simulation.onEvent(({ name, machine, fields }) => {
      if (name === "mutation.START" && machine !== "master" && "id" in fields && seen.head === undefined) {
        seen.head = machine;
        simulation.after(0, () => {
          // Nobody below takes it, and nobody is left who would send it again.
          for (const label of chain)
            if (label !== machine)
              cluster.cluster.crash(cluster.server(label), { powerLoss: false }, prng.integer(1_000, 2_000));
          simulation.machine("dying").crash({ powerLoss: true });
        });
      }
      if (name !== "mutation.FETCH" || machine === "master" || seen.head === undefined || seen.fetched) return;
      seen.fetched = true;
      simulation.after(0, () => {
        cluster.cluster.crash(master, { powerLoss: true, keep: 0 }, prng.integer(50, 500));
        cluster.cluster.replace(cluster.server(seen.head!));
      });
    });
    const record = content(prng.integer(10, 2_000), 2);
    cluster.begin("dying", (client) => client.appendToFile("/f", record, { id: "key" }));
    simulation.runFor(20_000);
    if (!seen.fetched) violations.push({ promise: "harness", what: "no tail was fetched" });
    const { offset } = cluster.as("heir", (client) => client.appendToFile("/f", record, { id: "key" }));
    plant?.(cluster);
    const read = cluster.as("reader", (client) => readAll(client, "/f").catch(() => new Uint8Array()));
    const wanted = [base, base, record].reduce((sum, { length }) => sum + length, 0);
    if (read.length !== wanted || Buffer.compare(read.subarray(offset, offset + record.length), record) !== 0)
      violations.push({
        promise: "P4",
        what: `/f has ${read.length} bytes, and ${wanted} were appended, the last at ${offset}`,
      });
  });
};
