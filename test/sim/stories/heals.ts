/**
 * How a cluster heals, in three stories: what goes first and how many at a time; many servers lost at once, and one that comes back early; racks that a chunk had to crowd. In each
 * everything is whole, and spread as it should be, in bounded virtual time.
 */
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import type { Violation } from "../history.ts";
import { whatIsWanting } from "../healed-phase.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const patienceMs = 60_000;

function put(client: GfsClient, path: string, bytes: number): Promise<unknown> {
  return client.put({ kind: "bytes", bytes: content(bytes, 1) }, path);
}

/** Nothing is short or crowds a rack, or why not, after `patienceMs` at the most. */
function untilWhole(cluster: SmallCluster, violations: Violation[]): void {
  let last: string | undefined;
  const startMs = cluster.simulation.nowMs;
  do {
    last = cluster.as("looker", async (client) => {
      const status = await client.status();
      const { misplaced } = status.chunks;
      return whatIsWanting(status) ?? (misplaced > 0 ? `${misplaced} chunks crowd a rack` : undefined);
    });
    cluster.simulation.runFor(250);
  } while (last !== undefined && cluster.simulation.nowMs - startMs < patienceMs);
  if (last !== undefined) violations.push({ promise: "P7", what: `not whole after ${patienceMs} ms: ${last}` });
}

/** How urgent a chunk is, by the copies it has left and who needs it: lower goes first. */
interface Need {
  readonly path: string;
  readonly urgency: number;
}

/** Of each chunk of a file, by handle. */
async function needsOf(client: GfsClient, path: string, wait: 0 | 1 | 2): Promise<Map<number, Need>> {
  const { extents } = await client.stat(path);
  return new Map(
    extents.map(({ handle, replicas }) => {
      const left = replicas.filter(({ health }) => health === "healthy").length;
      return [handle, { path, urgency: left * 3 + wait }];
    }),
  );
}

/** One clone at a time: the order in which chunks are healed is that of their need. */
export const healsInOrder: Story = (seed, plant) => {
  const prng = new Prng(`heals in order ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 7 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const set = (streams: number | undefined) =>
      cluster.as("operator", (client) => client.operator.changeSettings([{ name: "repair-streams", value: streams }]));
    set(0);
    // The first has all of one copy.
    const lone = ["/lone", "/waited", "/tree", "/trash"];
    cluster.as("writer", async (client) => {
      for (const path of lone) await put(client, path, prng.integer(70_000, 300_000));
    });
    const [first, second] = cluster.cluster.servers;
    for (const server of [first, second]) {
      if (server !== undefined) cluster.cluster.replace(server);
      // One after the other: not many at once.
      simulation.runFor(simLimits.massFailureWindowMs + 7 * simLimits.heartbeatMs);
    }
    cluster.until("the dead are known", async (client) => (await client.operator.repairStatus()).short > 0);
    simulation.runFor(2_000);
    const needs = new Map<number, Need>();
    cluster.as("reader", async (client) => {
      for (const [path, wait] of [
        ["/waited", 0],
        ["/lone", 1],
        ["/tree", 1],
        ["/trash", 2],
      ] as const)
        for (const [handle, need] of await needsOf(client, path, wait)) needs.set(handle, need);
      for await (const _ of client.read("/waited")) continue;
      await client.remove("/trash");
    });
    cluster.until("the trash is known", async (client) => (await client.status()).trash.entries === 1);
    simulation.runFor(3_000);
    cluster.as("reader again", async (client) => {
      for await (const _ of client.read("/waited")) continue;
    });
    let latest = 0;
    const healed: string[] = [];
    using _ = simulation.onEvent(({ name, machine, fields }) => {
      if (name !== "repair.healed" || machine !== "master") return;
      const need = needs.get(Number(fields["chunk"]));
      if (need === undefined) return;
      needs.delete(Number(fields["chunk"]));
      healed.push(`${need.path} (${need.urgency})`);
      if (need.urgency < latest) violations.push({ promise: "P7", what: `healed out of order: ${healed.join(", ")}` });
      latest = Math.max(latest, need.urgency);
    });
    plant?.(cluster);
    set(1);
    let most = 0;
    const watch = simulation.nowMs;
    while (simulation.nowMs - watch < 3_000) {
      const { runningCount } = cluster.as("watcher", (client) => client.operator.repairStatus());
      most = Math.max(most, runningCount);
      simulation.runFor(20);
    }
    if (most > 1) violations.push({ promise: "P7", what: `${most} clones at a time, where one is the limit` });
    if (healed.length === 0) violations.push({ promise: "harness", what: "nothing was healed" });
    set(undefined);
    untilWhole(cluster, violations);
  });
};

/** More than a third of the servers lost at once: nothing is copied until somebody says so, or a while has passed. Those that are back early make what was begun unnecessary. */
export const manyAtOnce: Story = (seed, plant) => {
  const prng = new Prng(`many at once ${seed}`);
  const limits = { ...simLimits, massFailureWindowMs: 60_000, massFailureHoldMs: 20_000, repairServerRate: 8_000 };
  const cluster = new SmallCluster({ seed, chunkservers: 5, limits });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const healed: { atMs: number; name: string }[] = [];
    using _ = simulation.onEvent(({ name, machine, atMs }) => {
      if (machine === "master" && name.startsWith("repair.")) healed.push({ atMs, name });
    });
    cluster.as("writer", async (client) => {
      for (let i = 0; i < 6; i++) await put(client, `/f${i}`, prng.integer(70_000, 200_000));
    });
    const lost = cluster.cluster.servers.slice(0, 2);
    for (const server of lost) server.crash({ powerLoss: prng.chance(0.5) });
    const lostMs = simulation.nowMs;
    cluster.until("the dead are known", async (client) =>
      (await client.status()).servers.some(({ liveness }) => liveness === "dead"),
    );
    simulation.runFor(5_000);
    plant?.(cluster);
    const begun = healed.filter(({ atMs, name }) => atMs > lostMs && name !== "repair.held");
    if (begun.length > 0)
      violations.push({
        promise: "P7",
        what: `repair goes on, though 2 of 5 servers were lost at once: ${begun[0]?.name}`,
      });
    const { held } = cluster.as("looker", (client) => client.operator.repairStatus());
    if (held === undefined) violations.push({ promise: "P7", what: "nobody says that repair is held back" });
    if (prng.chance(0.5)) cluster.as("operator", (client) => client.operator.repairResume());
    else simulation.runFor(limits.massFailureHoldMs);
    simulation.runFor(500);
    const resumed = cluster.as("looker", (client) => client.operator.repairStatus());
    if (resumed.held !== undefined)
      violations.push({ promise: "P7", what: `repair is held back again: ${resumed.held}` });
    cluster.until("clones are under way", async (client) => {
      const { runningCount, short } = await client.operator.repairStatus();
      return runningCount > 0 || short === 0;
    });
    const backMs = simulation.nowMs;
    for (const server of lost) cluster.cluster.restart(server);
    cluster.until("they are back", async (client) =>
      (await client.status()).servers.every(({ liveness }) => liveness === "live"),
    );
    simulation.runFor(1_500);
    const running = cluster.as("looker", (client) => client.operator.repairStatus());
    if (running.runningCount > 0)
      violations.push({
        promise: "P7",
        what: `${running.runningCount} clones go on ${simulation.nowMs - backMs} ms after their servers were back`,
      });
    untilWhole(cluster, violations);
  });
};

/** A rack is away while files are put, so that the others are crowded: once it is back, each chunk has a replica in it. */
export const rackIsBack: Story = (seed, plant) => {
  const prng = new Prng(`rack is back ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 5 });
  return told(cluster, (violations) => {
    // Servers 1 and 4, 2 and 5 share a rack; 3 is alone.
    const alone = cluster.server("server3");
    alone.crash({ powerLoss: false });
    cluster.until("it is dead", async (client) =>
      (await client.status()).servers.some(({ liveness }) => liveness === "dead"),
    );
    cluster.as("writer", async (client) => {
      for (let i = 0; i < 4; i++) await put(client, `/f${i}`, prng.integer(30_000, 150_000));
    });
    cluster.cluster.restart(alone);
    cluster.until("it is back", async (client) =>
      (await client.status()).servers.every(({ liveness }) => liveness === "live"),
    );
    let clones = 0;
    using _ = cluster.simulation.onEvent(({ name, machine }) => {
      if (name === "repair.healed" && machine === "master") clones++;
    });
    cluster.simulation.runFor(2_000);
    plant?.(cluster);
    untilWhole(cluster, violations);
    // It comes to rest: what has its place stays there.
    cluster.simulation.runFor(simLimits.reportIntervalMs + simLimits.deleteGraceMs + 10_000);
    const before = clones;
    cluster.simulation.runFor(30_000);
    if (clones > before)
      violations.push({ promise: "P7", what: `chunks go on being copied: ${before}, then ${clones}` });
    untilWhole(cluster, violations);
    const spread = cluster.as("looker", async (client) => {
      const racks: number[] = [];
      for (let i = 0; i < 4; i++)
        for (const { replicas } of (await client.stat(`/f${i}`)).extents)
          racks.push(new Set(replicas.filter(({ health }) => health === "healthy").map(({ rack }) => rack)).size);
      return racks;
    });
    if (spread.some((count) => count < 3))
      violations.push({ promise: "P7", what: `racks of the chunks: ${spread.join(", ")}; three were wanted` });
  });
};
