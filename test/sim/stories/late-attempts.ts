/**
 * A first attempt that reaches the master after its retry was answered: it was refused, or found that nothing was to be done, and meanwhile somebody else has changed what it meets. It is answered
 * as before, and has no effect (P3, P4).
 */
import { asGfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import type { MutationId } from "../../../src/wire/control/common.ts";
import { sessionOpen } from "../../../src/wire/control/files.ts";
import { mkdir, remove } from "../../../src/wire/control/namespace.ts";
import { sequence } from "../../../src/wire/ids.ts";
import { SmallCluster } from "../../paper/small-cluster.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

type Attempt = (control: ControlClient, master: string, id: MutationId) => Promise<unknown>;

const timeoutMs = 5_000;
const make =
  (parents: boolean): Attempt =>
  (control, master, id) =>
    control.call(master, mkdir, { id, path: "/there", parents }, { timeoutMs });
const removal: Attempt = (control, master, id) =>
  control.call(master, remove, { id, path: "/missing", recursive: false, skipTrash: true }, { timeoutMs });

/** At first there is a directory /there, and none that is called /missing; then it is the other way round. */
const attempts: readonly (readonly [string, Attempt])[] = [
  ["a directory made where one was", make(false)],
  ["a directory made unless it was there", make(true)],
  ["a removal of what was missing", removal],
];

export const lateAttempts: Story = (seed, plant) => {
  const prng = new Prng(`late attempts ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 3 });
  return told(cluster, (violations) => {
    const { masterAddress } = cluster.cluster;
    const others = (change: (client: GfsClient) => Promise<unknown>): unknown => cluster.as("others", change);
    for (const [what, attempt] of attempts) {
      others((client) => client.makeDirectory("/there"));
      const answers = cluster.as("maker", async (client, world) => {
        const control = new ControlClient(world, { role: "client", clusterId: () => undefined });
        const answer = (id: MutationId): Promise<string> =>
          attempt(control, masterAddress, id).then(
            (reply) => JSON.stringify(reply),
            (error: unknown) => asGfsError(error).code,
          );
        try {
          const { session } = await control.call(masterAddress, sessionOpen, { label: "maker" }, { timeoutMs });
          const at = sequence(prng.integer(1, 20));
          const id = { session, sequence: at, floor: sequence(1) };
          const first = await answer(id);
          await client.remove("/there");
          await client.makeDirectory("/missing");
          return [first, await answer(id)];
        } finally {
          control.close();
        }
      });
      plant?.(cluster);
      const [first, second] = answers;
      if (first !== second) violations.push({ promise: "P4", what: `${what}: answered ${first}, then ${second}` });
      others(async (client) => {
        const there = await names(client);
        if (there !== "missing") violations.push({ promise: "P3", what: `${what} had an effect: ${there}` });
        for (const name of there.split(" ")) await client.remove(`/${name}`);
      });
    }
  });
};

async function names(client: GfsClient): Promise<string> {
  const found: string[] = [];
  for await (const { name } of client.list("/")) found.push(name);
  return found.sort().join(" ");
}
