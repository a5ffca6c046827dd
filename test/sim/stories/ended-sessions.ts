/**
 * A mutation takes effect, its answer does not arrive, and before the client can ask again its session has ended, with all that it knew: the client says that nobody knows, and
 * neither does it again nor calls it refused (P3).
 */
import { asGfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { SmallCluster } from "../../paper/small-cluster.ts";
import { pause } from "../client-machine.ts";
import { isUnknown } from "../history.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

interface Change {
  readonly what: string;
  readonly make: (client: GfsClient) => Promise<unknown>;
  /** Of the names in the root: whether it has taken effect. */
  readonly isMade: (names: ReadonlySet<string>) => boolean;
}

const changes: readonly Change[] = [
  { what: "mkdir", make: (client) => client.makeDirectory("/new"), isMade: (names) => names.has("new") },
  { what: "mv", make: (client) => client.move("/new", "/moved"), isMade: (names) => names.has("moved") },
  { what: "rm", make: (client) => client.remove("/moved"), isMade: (names) => !names.has("moved") },
];

const idleMs = 2_000;
/** The request has arrived by then, and what it does is not synced yet: the answer is still to come. */
const underWayMs = 30;

export const endedSessions: Story = (seed, plant) => {
  const prng = new Prng(`ended sessions ${seed}`);
  const cluster = new SmallCluster({ seed, limits: { ...simLimits, sessionIdleMs: idleMs }, chunkservers: 3 });
  const { simulation } = cluster;
  let ended = 0;
  simulation.onEvent(({ name }) => {
    if (name === "session.expired") ended++;
  });
  return told(cluster, (violations) => {
    const drive = cluster.cluster.master.drive("/master1");
    for (const { what, make, isMade } of changes) {
      // What the one before has left open has ended.
      simulation.runFor(2 * idleMs);
      const before = ended;
      let asked = false;
      const outcome = cluster.begin(`maker of ${what}`, async (client, world) => {
        // Its session is open.
        await client.makeDirectory(`/${what}`);
        drive.slow(prng.integer(300, 600));
        await pause(world, prng.integer(1, 50));
        asked = true;
        try {
          await make(client);
          return undefined;
        } catch (error) {
          return asGfsError(error);
        }
      });
      simulation.runUntil(() => asked);
      simulation.runFor(underWayMs);
      simulation.network.isolate(`maker of ${what}`);
      simulation.runFor(500);
      drive.slow(1);
      simulation.runUntil(() => ended > before, 10_000);
      simulation.runFor(prng.integer(1, 2_000));
      plant?.(cluster);
      simulation.network.heal();
      const error = simulation.complete(outcome, 60_000);
      const isThere = isMade(new Set(cluster.as("reader", names)));
      if (isThere && error !== undefined && !isUnknown(error))
        violations.push({ promise: "P3", what: `${what} was refused, and has taken effect: ${error.message}` });
      if (!isThere) violations.push({ promise: "P3", what: `${what}, done once, is not what is there` });
      if (ended === before) violations.push({ promise: "harness", what: `no session ended in the midst of ${what}` });
      if (error === undefined) violations.push({ promise: "harness", what: `${what} was answered in time` });
    }
  });
};

async function names(client: GfsClient): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of client.list("/")) found.push(name);
  return found;
}
