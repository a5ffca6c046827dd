/**
 * Empty servers join a cluster whose disks are filled (DESIGN §4.5; master/core/balance.ts): chunks move there until all are about as full, while clients read and write, and then nothing moves any
 * more. No move lowers the number of copies; none begins while anything is repaired.
 */
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { pause } from "../client-machine.ts";
import type { Violation } from "../history.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const diskBytes = 8_000_000;
/** In which disks must be even once nothing else happens. */
const balanceMs = 90_000;

export const balancedDisks: Story = (seed, plant) => {
  const prng = new Prng(`balanced disks ${seed}`);
  const limits = { ...simLimits, deleteGraceMs: 1_000 };
  const cluster = new SmallCluster({ seed, limits, chunkservers: 3 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const resize = (): void => {
      for (const server of cluster.cluster.servers) server.drive("/volume").files.capacityBytes = diskBytes;
    };
    resize();
    const files = new Map<string, Uint8Array>();
    const put = async (client: GfsClient, path: string, replicasMin: number): Promise<void> => {
      const bytes = content(prng.integer(50_000, 180_000), files.size + 1);
      await client.put({ kind: "bytes", bytes }, path, { replicas: prng.integer(replicasMin, 3) });
      files.set(path, bytes);
    };
    cluster.as("client", async (client) => {
      for (let i = 0; i < 30; i++) await put(client, `/old/${i}`, 2);
    });

    const day = { over: false, troubled: false, begun: 0 };
    simulation.onEvent(({ name }) => {
      if (name === "balance.begin") day.begun++;
    });
    const kind = (["calm", "calm", "crash", "loss"] as const)[prng.integer(0, 3)];
    if (kind === "loss") {
      // For ever; what it had is copied slowly, beside empty disks.
      cluster.as("operator", (client) =>
        client.operator.changeSettings([{ name: "repair-server-rate", value: 1_000_000 }]),
      );
      cluster.cluster.servers[0]?.crash({ powerLoss: true });
      cluster.until("it is missed", async (client) => (await client.status()).chunks.short > 0);
    }
    day.troubled = kind !== "calm";
    const added = prng.integer(1, 2);
    for (let i = 0; i < added; i++) cluster.cluster.add();
    resize();
    const writer = cluster.begin("writer", async (client, world) => {
      for (let n = 0; !day.over && n < 12; n++) {
        await put(client, `/new/${n}`, 2);
        await pause(world, prng.integer(50, 800));
      }
    });
    const watcher = cluster.begin("watcher", async (client, world) =>
      watch(client, () => pause(world, kind === "loss" ? 100 : 400), day, violations),
    );
    if (kind === "crash")
      simulation.after(prng.integer(500, 4_000), () => {
        const victim = prng.chance(0.5) ? cluster.cluster.master : cluster.cluster.servers[prng.integer(0, 2)];
        if (victim?.alive === true)
          cluster.cluster.crash(victim, { powerLoss: prng.chance(0.5) }, prng.integer(10, 1_500));
      });
    simulation.runFor(prng.integer(1_000, 8_000));
    plant?.(cluster);
    simulation.complete(writer, 120_000);
    untilBalanced(cluster);
    const { moved } = cluster.as("operator", (client) => client.operator.balance());
    simulation.runFor(15_000);
    const later = cluster.as("operator", (client) => client.operator.balance());
    if (later.moved !== moved)
      violations.push({ promise: "P7", what: `${later.moved - moved} chunks moved though the disks were even` });
    for (const { servers, share } of later.disks)
      if (later.state === "balanced" && Math.abs(share - later.mean) > later.threshold + 0.02)
        violations.push({
          promise: "P7",
          what: `the disk of ${servers.join()} is ${share} full, the mean is ${later.mean}`,
        });
    day.over = true;
    simulation.complete(watcher, 60_000);
    cluster.as("reader", async (client) => {
      for (const [path, bytes] of files) {
        if (Buffer.compare(await readAll(client, path), bytes) !== 0)
          violations.push({ promise: "P1", what: `${path} is not what was put` });
        const { entry, extents } = await client.stat(path);
        for (const { handle, replicas: known } of extents) {
          const replicas = known.filter(({ health }) => health !== "dead");
          const racks = new Set(replicas.map(({ rack }) => rack)).size;
          if (replicas.length !== entry.replicas)
            violations.push({ promise: "P7", what: `chunk ${handle} of ${path} has ${replicas.length} replicas` });
          if (racks < Math.min(3, replicas.length))
            violations.push({
              promise: "P1",
              what: `chunk ${handle} of ${path} has ${replicas.length} replicas in ${racks} racks`,
            });
        }
      }
    });
    if (kind === "calm" && day.begun === 0) violations.push({ promise: "harness", what: "nothing was moved" });
  });
};

interface Day {
  readonly over: boolean;
  readonly troubled: boolean;
  readonly begun: number;
}

/** Looks again and again: nothing is short by a move, and none begins while something is short. */
async function watch(client: GfsClient, wait: () => Promise<void>, day: Day, violations: Violation[]): Promise<void> {
  let before = { short: 0, begun: 0 };
  while (!day.over) {
    const look = await client.status().then(
      ({ chunks, safeMode }) => ({ short: safeMode.active ? 0 : chunks.short + chunks.lost, begun: day.begun }),
      () => undefined,
    );
    if (look === undefined) continue;
    if (look.short > 0 && !day.troubled)
      violations.push({ promise: "P1", what: `${look.short} chunks are short, and no server was ever away` });
    if (look.short > 0 && before.short > 0 && look.begun > before.begun)
      violations.push({ promise: "P7", what: "a move began while chunks were short" });
    before = look;
    await wait();
  }
}

function untilBalanced(cluster: SmallCluster): void {
  const why = cluster.as("operator", async (client, world) => {
    const beganMs = world.clock.monotonicMs();
    for (let calm = 0; ;) {
      const status = await client.operator.balance();
      const { chunks } = await client.status();
      // Where racks are in the way they go first.
      const even =
        status.state === "balanced" || (status.state === "waiting" && status.why.startsWith("no chunk can move now"));
      calm = even && chunks.misplaced === 0 ? calm + 1 : 0;
      // Longer than servers take to report what was put.
      if (calm > 160) return undefined;
      if (world.clock.monotonicMs() - beganMs > balanceMs) return JSON.stringify(status);
      await pause(world, 100);
    }
  });
  if (why !== undefined) throw new Error(`the disks are not even after ${balanceMs} ms: ${why}`);
}
