/**
 * Servers are emptied while clients put and append (DESIGN §4.5; master/core/drain.ts). The moment that one is said to be safe to stop it is lost for ever, with its drive: nothing that was
 * acknowledged may be lost with it, whatever its replication, and nothing may even be short. Meanwhile the master starts again, a server restarts, a drain is cancelled and begun anew, two are drained at once.
 */
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { pause } from "../client-machine.ts";
import { simLimits } from "../sim-limits.ts";
import type { Machine } from "../world/machine.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

/** In which a drain must have ended, where there is room, once nothing else happens. */
const drainMs = 60_000;

export const drainedServers: Story = (seed, plant) => {
  const prng = new Prng(`drained servers ${seed}`);
  const limits = { ...simLimits, deleteGraceMs: prng.chance(0.5) ? 1_000 : simLimits.deleteGraceMs };
  const cluster = new SmallCluster({ seed, limits, chunkservers: prng.integer(5, 6) });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const files = new Map<string, Uint8Array>();
    const put = async (client: GfsClient, path: string, replicasMax = 3): Promise<void> => {
      const bytes = content(prng.integer(1_000, 150_000), files.size + 1);
      await client.put({ kind: "bytes", bytes }, path, { replicas: prng.integer(1, replicasMax) });
      files.set(path, bytes);
    };
    cluster.as("client", async (client) => {
      for (let i = 0; i < 12; i++) await put(client, `/old/${i}`);
    });

    const idle = content(500, seed);
    const logs = new Map<string, Uint8Array[]>(["/log/0", "/log/1"].map((path) => [path, []]));
    const day = { over: false };
    const writers = [...logs].map(([path, records], i) =>
      cluster.begin(`writer${i}`, async (client, world) => {
        for (let n = 0; !day.over; n++) {
          const record = content(prng.integer(10, 9_000), n);
          await client.appendToFile(path, record);
          records.push(record);
          if (n % 8 === 0) await put(client, `/new/${i}/${n}`);
          await pause(world, prng.integer(1, 150));
        }
      }),
    );
    // Some sleep in the midst of their puts.
    const slow = [0, 1, 2].map((n) => cluster.begin(`slow${n}`, (client) => put(client, `/slow${n}`, 1)));
    for (const n of slow.keys())
      simulation.after(prng.integer(5, 60), () => simulation.machine(`slow${n}`).pause(prng.integer(3_000, 14_000)));
    simulation.runFor(prng.integer(20, 1_500));

    // Tails that nobody appends to any more stay open.
    cluster.as("client", async (client) => {
      for (const path of ["/idle/0", "/idle/1", "/idle/2"]) {
        // The first makes the file, the second opens its tail.
        for (const _ of [1, 2]) await client.appendToFile(path, idle);
        files.set(path, concatBytes([idle, idle]));
      }
    });

    const victims = shuffled(cluster.cluster.servers, prng).slice(0, prng.chance(0.6) ? 2 : 1);
    const restarts = trouble(cluster, victims, prng);
    const first = prng.chance(0.5) ? victims : victims.slice(0, 1);
    cluster.as("operator", async (client, world) => {
      for (const victim of first) await client.operator.drain(victim.name);
      if (!prng.chance(0.3)) return;
      await pause(world, prng.integer(1, 2_000));
      await client.operator.undrain(victims[0]!.name);
      await pause(world, prng.integer(1, 2_000));
      await client.operator.drain(victims[0]!.name);
    });
    // Nobody waits for all of them: each goes when it may.
    for (const victim of victims) {
      if (!first.includes(victim)) cluster.as("operator", (client) => client.operator.drain(victim.name));
      untilSafe(cluster, victim.name);
      // One that starts just then would be refused, and end.
      if (prng.chance(0.5) && !restarts) cluster.as("operator", (client) => client.operator.decommission(victim.name));
      cluster.cluster.replace(victim);
    }
    plant?.(cluster);
    // Before the loss is even noticed: nothing was only there.
    const lost = [...victims];
    simulation.runFor(prng.integer(0, 3_000));
    day.over = true;
    for (const writer of [...writers, ...slow]) simulation.complete(writer, 60_000);
    cluster.as("reader", async (client) => {
      for (const [path, bytes] of [...files, ...[...logs].map(([path, all]) => [path, concatBytes(all)] as const)])
        if (Buffer.compare(await readAll(client, path), bytes) !== 0)
          violations.push({ promise: "P1", what: `${path} is not what was acknowledged` });
      const { shortChunks } = await client.status();
      for (const { path, healthy, wanted, why } of shortChunks)
        if (why.includes("dead") && lost.some(({ name }) => why.includes(`${name} is dead`)))
          violations.push({ promise: "P7", what: `${path} has ${healthy} of ${wanted} replicas: ${why}` });
    });
    cluster.as("operator", async (client) => {
      const known = (await client.status()).servers.filter(({ label }) => lost.some(({ name }) => name === label));
      for (const { volume } of known) await client.operator.decommission(volume);
      const left = (await client.status()).servers.filter(({ label }) => lost.some(({ name }) => name === label));
      if (left.length > 0) violations.push({ promise: "P7", what: "a server that was forgotten is still shown" });
    });
    cluster.until("nothing is waited for", async (client) => {
      const { garbage, chunks } = await client.status();
      return garbage.waiting === 0 && chunks.short === 0 && chunks.lost === 0;
    });
  });
};

function shuffled<T>(from: readonly T[], prng: Prng): T[] {
  return from
    .map((one) => ({ one, at: prng.fraction() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

/** Whether one that is drained is started again. */
function trouble({ simulation, cluster }: SmallCluster, victims: readonly Machine[], prng: Prng): boolean {
  if (prng.chance(0.4))
    simulation.after(prng.integer(1, 4_000), () =>
      cluster.crash(cluster.master, { powerLoss: prng.chance(0.5) }, prng.integer(10, 1_000)),
    );
  if (prng.chance(0.4))
    simulation.after(prng.integer(1, 4_000), () => {
      const other = cluster.servers.find((server) => !victims.includes(server) && server.alive);
      if (other !== undefined) cluster.crash(other, { powerLoss: prng.chance(0.5) }, prng.integer(10, 2_000));
    });
  const [victim] = victims;
  if (victim === undefined || !prng.chance(0.3)) return false;
  simulation.after(prng.integer(1, 3_000), () => {
    if (victim.alive) cluster.crash(victim, { powerLoss: prng.chance(0.5) }, prng.integer(10, 1_500));
  });
  return true;
}

function untilSafe(cluster: SmallCluster, name: string): void {
  const why = cluster.as("operator", async (client, world) => {
    const beganMs = world.clock.monotonicMs();
    for (;;) {
      const [report] = await client.operator.drains(name);
      if (report?.state === "safe") return undefined;
      if (world.clock.monotonicMs() - beganMs > drainMs) return report?.why ?? "nothing is known of it";
      await pause(world, 20);
    }
  });
  // The rest of the story has no sense then.
  if (why !== undefined) throw new Error(`${name} is not empty after ${drainMs} ms: ${why}`);
}
