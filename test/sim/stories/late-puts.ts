/** A client that sleeps between the answer of the master and the first byte, until its draft has expired and its chunk was deleted: what comes late revives nothing (DESIGN §4.5). */
import { SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const lookMs = 10;

export const latePuts: Story = (seed, plant) => {
  const prng = new Prng(`late puts ${seed}`);
  const limits = { ...simLimits, draftMs: 1_500, deleteGraceMs: 500 };
  const cluster = new SmallCluster({ seed, limits, chunkservers: 3 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    let slept = false;
    const removed = new Map<string, string>();
    simulation.onEvent(({ name, machine, fields }) => {
      if (name === "mutation.START" && machine === "master" && !slept) {
        slept = true;
        simulation.machine("client").pause(prng.integer(6_000, 8_000));
      }
      const { handle } = fields;
      if (name !== "replica.removed" || typeof handle !== "number") return;
      const hex = handle.toString(16).padStart(16, "0");
      removed.set(machine, `/volume/chunks/${hex.slice(14)}/${hex}`);
    });
    const bytes = content(prng.integer(30_000, 60_000), 1);
    const put = cluster.begin("client", (client) =>
      client.put({ kind: "bytes", bytes }, "/f").then(
        () => "done",
        () => "refused",
      ),
    );
    const look = (): void => {
      for (const [machine, path] of removed)
        if (simulation.machine(machine).drive("/volume").files.info(path) !== undefined) {
          violations.push({ promise: "P2", what: `${path} was deleted at ${machine}, and is there again` });
          removed.delete(machine);
        }
      simulation.after(lookMs, look);
    };
    look();
    simulation.complete(put, 60_000);
    plant?.(cluster);
    simulation.runFor(1_000);
    if (removed.size === 0 && violations.length === 0)
      violations.push({ promise: "harness", what: "nothing was deleted before the put went on" });
  });
};
