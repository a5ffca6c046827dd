/**
 * Appends that meet another one of which the sync is under way: of the same chunk, of another one in the same log, and a second attempt at the same. All servers, whose drives are slow, lose
 * power as soon as the later one is acknowledged: what was acknowledged is there all the same, where its acknowledgement said (P1, P4).
 */
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { pause } from "../client-machine.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

interface Append {
  readonly client: string;
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly id?: string | undefined;
}

interface Acknowledged extends Append {
  readonly offset: number;
}

/** Of their drives: a sync takes longer than a client needs to begin another append, and the next one far longer than the first does on any server. */
const slowness = { first: 200, later: 3_000 };
const meetings = ["in the same chunk", "in the same log", "under the same key"] as const;

export const hastyAppends: Story = (seed, plant) => {
  const prng = new Prng(`hasty appends ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 3 });
  return told(cluster, (violations) => {
    for (const [i, meeting] of meetings.entries()) {
      const [path, other] = [`/f${i}`, `/g${i}`];
      // Both have a tail: the second append opens it.
      for (const one of [path, path, other, other])
        cluster.as("client", (client) => client.appendToFile(one, content(100, 1)));
      const record = (salt: number): Uint8Array => content(prng.integer(100, 2_000), 10 * i + salt);
      const key = meeting === "under the same key" ? `key ${i}` : undefined;
      const first: Append = { client: `first ${i}`, path, bytes: record(2), id: key };
      const later: Append = {
        "in the same chunk": { client: "later", path, bytes: record(3) },
        "in the same log": { client: "later", path: other, bytes: record(3) },
        "under the same key": { ...first, client: "later" },
      }[meeting];
      const acknowledged = meet(cluster, { first, later, downMs: prng.integer(20, 300) });
      plant?.(cluster);
      for (const { client, path: of, bytes, offset } of acknowledged) {
        const read = cluster.as("reader", (reader) => readAll(reader, of).catch(() => new Uint8Array()));
        if (Buffer.compare(read.subarray(offset, offset + bytes.length), bytes) !== 0)
          violations.push({
            promise: "P1",
            what: `${client} of two appends ${meeting} was acknowledged, and is not at ${offset} of ${of}`,
          });
      }
      if (acknowledged.length === 0) violations.push({ promise: "harness", what: "no append was acknowledged" });
    }
  });
};

/** What was acknowledged, when all servers are up again. Whoever appended first dies with them, so that nobody appends it once more. */
function meet(
  cluster: SmallCluster,
  { first, later, downMs }: { readonly first: Append; readonly later: Append; readonly downMs: number },
): readonly Acknowledged[] {
  const { simulation } = cluster;
  const { servers } = cluster.cluster;
  const fromMs = simulation.nowMs;
  const seen = { begun: false };
  using _ = simulation.onEvent(({ name, machine, atMs }) => {
    if (machine === "master" || atMs <= fromMs) return;
    seen.begun ||= name === "mutation.START";
    if (name === "mutation.PREPARE") cluster.server(machine).drive("/volume").slow(slowness.later);
  });
  const acknowledged: Acknowledged[] = [];
  const append = async (client: GfsClient, one: Append): Promise<void> => {
    const { offset } = await client.appendToFile(one.path, one.bytes, { id: one.id });
    acknowledged.push({ ...one, offset });
  };
  const slow = (factor: number): void => servers.forEach((server) => server.drive("/volume").slow(factor));
  cluster.begin(first.client, async (client) => {
    await append(client, first);
    slow(1);
  });
  slow(slowness.first);
  const task = cluster.begin(later.client, async (client, world) => {
    while (!seen.begun) await pause(world, 1);
    await append(client, later).catch(() => undefined); // refused, or nobody knows
  });
  simulation.complete(task, 120_000);
  simulation.machine(first.client).crash({ powerLoss: true });
  slow(1);
  for (const server of servers) cluster.cluster.crash(server, { powerLoss: true, keep: 0 }, downMs);
  simulation.runFor(2_000);
  return acknowledged;
}
