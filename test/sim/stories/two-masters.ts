/** Two masters on copies of one directory (DESIGN §4.1): servers follow the later start, and whatever the other one commands is refused; it learns so, and stops. */
import { GfsClient } from "../../../src/client/gfs-client.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { pause } from "../client-machine.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { copyDirectory, restoreDirectory } from "./directory-copy.ts";
import { type Story, told } from "./story.ts";

const directory = "/master1";

export const twoMasters: Story = (seed, plant) => {
  const prng = new Prng(`two masters ${seed}`);
  // The older one takes its servers for live all the while.
  const limits = {
    ...simLimits,
    deadHeartbeats: 1_000,
    suspectHeartbeats: 900,
    deleteGraceMs: 1_000,
    trashMs: 600_000,
  };
  const cluster = new SmallCluster({ seed, limits, chunkservers: prng.integer(3, 4) });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const older = cluster.cluster.masterAddress;
    const file = content(prng.integer(30_000, 150_000), 1);
    const record = content(prng.integer(100, 2_000), 2);
    cluster.as("client", async (client) => {
      await client.put({ kind: "bytes", bytes: file }, "/file");
      await client.appendToFile("/log", record);
      await client.appendToFile("/log", record);
    });

    const later = simulation.machine("later");
    const copy = copyDirectory(cluster.cluster.master, directory);
    simulation.do(later, (world) => restoreDirectory(world, directory, copy));
    cluster.cluster.beginAnother(later);
    cluster.cluster.dial(later);
    for (const server of cluster.cluster.servers)
      cluster.cluster.crash(server, { powerLoss: false }, prng.integer(20, 200));
    simulation.runFor(3_000);
    const removed: string[] = [];
    simulation.onEvent(({ name, machine }) => {
      if (name === "replica.removed") removed.push(machine);
    });

    const asked = simulation.machine("misled client").run(async (world) => {
      await using client = await GfsClient.connect(world, { master: older, limits });
      await client.remove("/file", { skipTrash: true });
      // Long enough for it to have the chunks deleted.
      await pause(world, 8_000);
      const append = await client.appendToFile("/log", record).then(
        () => "done",
        () => "refused",
      );
      const { stopped } = await client.status();
      return { append, stopped };
    });
    const { append, stopped } = simulation.complete(asked, 60_000);
    if (append === "done")
      violations.push({ promise: "P1", what: "an append by the master that nobody obeys is acknowledged" });
    if (stopped.mutations === undefined)
      violations.push({ promise: "P7", what: "the older master does not know that its servers obey another" });
    plant?.(cluster);
    if (removed.length > 0)
      violations.push({ promise: "P1", what: `deleted at the word of the older master: at ${removed.join(", ")}` });
    cluster.as("reader", async (client) => {
      await client.appendToFile("/log", record);
      const log = Buffer.concat([record, record, record]);
      for (const [path, bytes] of [
        ["/file", file],
        ["/log", log],
      ] as const)
        if (Buffer.compare(await readAll(client, path), bytes) !== 0)
          violations.push({ promise: "P1", what: `${path} is not what the later master acknowledged` });
    });
  });
};
