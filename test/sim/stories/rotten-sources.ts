/**
 * The longest of a tail's replicas has rotted, unnoticed, when the others are to copy its end for the seal; as soon as one could not, its server is lost for ever, or stays. Whatever the master makes of
 * that: two good replicas are left of all that was acknowledged, and the tail is sealed by them (P1, P6).
 */
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { Prng } from "../world/prng.ts";
import type { Machine } from "../world/machine.ts";
import { type Story, told } from "./story.ts";

export const rottenSources: Story = (seed, plant) => {
  const prng = new Prng(`rotten sources ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: prng.integer(3, 4) });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const base = content(prng.integer(200, 500), 1);
    // The second append opens the tail.
    for (let i = 0; i < 2; i++) cluster.as("client", (client) => client.appendToFile("/f", base));
    const chain = cluster.as("looker", async (client) =>
      (await client.stat("/f")).extents.at(-1)!.replicas.map(({ label }) => label),
    );
    const lostAfterMs = prng.chance(0.7) ? prng.integer(0, 30) : undefined;
    const seen: { head?: Machine; failed: boolean } = { failed: false };
    using _ = simulation.onEvent(({ name, machine, fields }) => {
      if (name === "mutation.START" && machine !== "master" && "id" in fields && seen.head === undefined) {
        const head = cluster.server(machine);
        seen.head = head;
        simulation.after(0, () => {
          // Nobody below takes the record, and nobody is left who would send it again.
          for (const label of chain)
            if (label !== machine)
              cluster.cluster.crash(cluster.server(label), { powerLoss: false }, prng.integer(300, 900));
          simulation.machine("dying").crash({ powerLoss: true });
          rot(head, base);
        });
      }
      if (name !== "copy.source-failed" || seen.head === undefined || seen.failed) return;
      const { head } = seen;
      seen.failed = true;
      if (lostAfterMs !== undefined) simulation.after(lostAfterMs, () => cluster.cluster.replace(head));
    });
    cluster.begin("dying", (client) => client.appendToFile("/f", content(prng.integer(10, 2_000), 2)));
    simulation.runFor(20_000);
    if (!seen.failed) violations.push({ promise: "harness", what: "nobody copied from a source that has rotted" });
    cluster.as("heir", (client) => client.appendToFile("/f", base));
    plant?.(cluster);
    const read = cluster.as("reader", (client) => readAll(client, "/f").catch(() => new Uint8Array()));
    for (let i = 0; i < 3; i++)
      if (Buffer.compare(read.subarray(i * base.length, (i + 1) * base.length), base) !== 0)
        violations.push({ promise: "P1", what: `the acknowledged append ${i + 1} of 3 is not in /f` });
  });
};

/** Flips a bit of bytes that lie in the server's volume log. */
function rot(server: Machine, bytes: Uint8Array): void {
  const { files } = server.drive();
  for (const path of files.filesUnder("/volume/log")) {
    const { image } = files.file(path);
    const log = Buffer.alloc(image.bytes);
    image.read(log, 0);
    const at = log.lastIndexOf(bytes);
    if (at >= 0) server.drive().corrupt(path, at + 20);
  }
}
