/**
 * Of a tail's members only one is left, and goes for long when a spare has promised to copy from it and before it could; the spare goes too. Another member comes back, and the tail is sealed with what
 * it has; then come the last member, which was never fenced, and the spare, which has nothing. So one server has all, two have what is stale, and nobody else is there: copies are made all the same (P7).
 */
import { SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const awayMs = 300_000;
const healMs = 60_000;

export const staleMembers: Story = (seed, plant) => {
  const prng = new Prng(`stale members ${seed}`);
  const cluster = new SmallCluster({ seed });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const base = content(prng.integer(200, 500), 1);
    // The second append opens the tail.
    for (let i = 0; i < 2; i++) cluster.as("client", (client) => client.appendToFile("/f", base));
    const [lone = "", ...others] = cluster.as("looker", async (client) =>
      (await client.stat("/f")).extents.at(-1)!.replicas.map(({ label }) => label),
    );
    const spare = cluster.cluster.servers.find(({ name }) => name !== lone && !others.includes(name))!;
    const [first = "", last = ""] = prng.chance(0.5) ? others : others.toReversed();
    const { loneSealMs } = cluster.cluster.limits;
    let gone = false;
    using _ = simulation.onEvent(({ name }) => {
      if (gone || name !== "volume.dead") return;
      gone = true;
      // About when the spare is chosen: some seeds hit the moment between its promise and the bytes.
      simulation.after(loneSealMs + prng.integer(0, 10), () => {
        cluster.cluster.crash(spare, { powerLoss: false }, prng.integer(3_000, 9_000));
        cluster.cluster.crash(cluster.server(lone), { powerLoss: false }, awayMs);
      });
    });
    cluster.cluster.crash(cluster.server(first), { powerLoss: false }, prng.integer(7_000, 9_000));
    cluster.cluster.crash(cluster.server(last), { powerLoss: false }, prng.integer(11_000, 14_000));
    cluster.begin("writer", (client) => client.appendToFile("/f", base).catch(() => undefined));
    simulation.runFor(20_000);
    if (!gone) violations.push({ promise: "harness", what: "no member died" });
    simulation.runFor(healMs);
    plant?.(cluster);
    const { extents } = cluster.as("looker", (client) => client.stat("/f"));
    for (const { handle, replicas } of extents) {
      const told = replicas.map(({ label, health }) => `${label} ${health}`).join(", ");
      if (replicas.filter(({ health }) => health === "healthy").length < 2)
        violations.push({ promise: "P7", what: `after ${healMs} ms chunk ${handle} has one copy still: ${told}` });
    }
  });
};
