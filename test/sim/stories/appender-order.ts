/**
 * One appender that takes records of all sizes without waiting for their answers, while the server that orders the small ones stands still: what is too large for a tail is written aside, and all
 * are in the file in the order of the calls (P2).
 */
import { concatBytes } from "../../../src/base/bytes.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

export const appenderOrder: Story = (seed, plant) => {
  const prng = new Prng(`appender order ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 5 });
  return told(cluster, (violations) => {
    const large = cluster.cluster.limits.chunkBytes;
    const records = Array.from({ length: 12 }, (_, i) =>
      content(i % 4 === 2 ? prng.integer(large, 2 * large) : prng.integer(1, 2_000), i + 1),
    );
    const { simulation } = cluster;
    let armed = false;
    simulation.onEvent(({ name, machine }) => {
      if (!armed || name !== "mutation.START" || machine === "master") return;
      armed = false;
      simulation.machine(machine).pause(prng.integer(2_000, 8_000));
    });
    const offsets = cluster.as("client", async (client) => {
      const appender = await client.appender("/f");
      // Its tail is open, and the server that is the first to hear of the next record is the one that orders them.
      const first = await appender.append(records[0]!);
      armed = true;
      const others = await Promise.all(records.slice(1).map((record) => appender.append(record)));
      await appender.close();
      return [first, ...others].map(({ offset }) => offset);
    });
    plant?.(cluster);
    if (offsets.some((offset, i) => offset <= (offsets[i - 1] ?? -1)))
      violations.push({
        promise: "P2",
        what: `the offsets do not grow in the order of the calls: ${offsets.join(", ")}`,
      });
    const read = cluster.as("reader", (client) => readAll(client, "/f").catch(() => new Uint8Array()));
    if (Buffer.compare(read, concatBytes(records)) !== 0)
      violations.push({ promise: "P2", what: `/f is not the ${records.length} records in the order of the calls` });
  });
};
