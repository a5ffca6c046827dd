/**
 * Servers die, come back, are lost for ever, and replicas rot, while repair is held so that it stays so: what status says then is what a look at every server and drive finds, chunk by
 * chunk and byte by byte (P7). With repair let go, healthy is said once it is, and events have told of it all.
 */
import { SmallCluster } from "../../paper/small-cluster.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { FramePool } from "../../../src/net/frame-pool.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { statusAgainstTruth } from "../checkers/status-truth.ts";
import type { Violation } from "../history.ts";
import type { Machine } from "../world/machine.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

/** In which a death is declared, and every chunk is looked at again. */
const noticedMs = 12_000;
const steps = 5;

export const truthfulStatus: Story = (seed, plant) => {
  const prng = new Prng(`truthful status ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: prng.integer(3, 5) });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const count = prng.integer(6, 12);
    cluster.as("client", async (client) => {
      for (let i = 0; i < count; i++) {
        // Of one data file on each server: so that a look at a drive tells whether it is there.
        const bytes = content(prng.integer(30_000, 60_000), i + 1);
        await client.put({ kind: "bytes", bytes }, `/f${i}`, { replicas: prng.integer(1, 3) });
      }
    });
    cluster.until("all is well", async (client) => (await client.status()).health === "healthy");
    const repairStreams = (value: number | undefined): void =>
      cluster.as("operator", (client) =>
        client.operator.changeSettings([{ name: "repair-streams-per-server", value }]),
      );
    repairStreams(0);
    const replaced: Machine[] = [];
    for (let step = 0; step < steps; step++) {
      const what = strike(cluster, prng, replaced);
      simulation.runFor(noticedMs);
      if (step === steps - 1) plant?.(cluster);
      judge(cluster, { what, replaced, violations });
    }
    appendThin(cluster);
    if (prng.chance(0.5)) cluster.cluster.crash(cluster.cluster.master, { powerLoss: prng.chance(0.5) }, 100);
    for (const machine of cluster.cluster.servers) if (!machine.alive) cluster.cluster.restart(machine);
    repairStreams(undefined);
    simulation.runFor(noticedMs);
    cluster.until("repair has done what it can", async (client) => {
      const { chunks, safeMode, repair } = await client.status();
      // What is lost for ever is never reported to a master that has started again.
      if (safeMode.active && replaced.length > 0) await client.confirm();
      const moving = repair.running + repair.queued + chunks.sealing;
      return chunks.short + chunks.pending + chunks.unsealedShort + moving === 0 && !safeMode.active;
    });
    judge(cluster, { what: "repair went on", replaced, violations });
    judgeEvents(cluster, violations);
    judgeStart(cluster, prng, violations);
  });
};

/** The log names servers that are forgotten, and not those that repair has copied to: what a master that starts then says before they have told is not known better than it is. */
function judgeStart(cluster: SmallCluster, prng: Prng, violations: Violation[]): void {
  const isHealthy = cluster.as("operator", async (client) => {
    const { health, servers } = await client.status();
    if (health !== "healthy") return false;
    for (const { liveness, volume } of servers)
      if (liveness === "dead") await client.operator.decommission(volume, { force: true });
    return true;
  });
  if (!isHealthy) return;
  cluster.cluster.crash(cluster.cluster.master, { powerLoss: true }, 100);
  // One of them comes later, and before it counts as dead.
  const late = prng.pick(cluster.cluster.servers.filter(({ alive }) => alive));
  cluster.cluster.crash(late, { powerLoss: true }, 3_000);
  cluster.as("watcher", async (client, world) => {
    const said = new Set<string>();
    for (const endMs = world.clock.monotonicMs() + noticedMs; world.clock.monotonicMs() < endMs;) {
      said.add((await client.status()).health);
      await sleep(world.clock, 20);
    }
    let events: string[] = [];
    for await (const { kind } of client.operator.events({ kinds: ["health.", "repair.healed", "master.ready"] }))
      events = kind === "master.ready" ? [] : [...events, kind.replace("health.", "")];
    // Nothing was missing: nothing is copied either.
    for (const event of events) said.add(event);
    said.delete("starting");
    if ([...said].join() !== "healthy")
      violations.push({
        promise: "P7",
        what: `a whole cluster was said to be ${[...said].join(", ")} after a start of the master`,
      });
  });
}

/** Something happens to a server. */
function strike({ cluster }: SmallCluster, prng: Prng, replaced: Machine[]): string {
  const alive = cluster.servers.filter((machine) => machine.alive);
  const down = cluster.servers.filter((machine) => !machine.alive);
  const victim = alive[prng.integer(0, alive.length - 1)];
  const back = down[prng.integer(0, down.length - 1)];
  if (back !== undefined && (victim === undefined || prng.chance(0.35))) {
    cluster.restart(back);
    return `${back.name} came back`;
  }
  if (victim === undefined) return "nothing";
  if (prng.chance(0.25)) {
    cluster.replace(victim);
    replaced.push(victim);
    return `${victim.name} was lost for ever`;
  }
  victim.crash({ powerLoss: false });
  return `${victim.name} died`;
}

/** With two servers left: the tail that is opened then wants another one, once it is there. */
function appendThin(cluster: SmallCluster): void {
  const { servers } = cluster.cluster;
  for (const [i, machine] of servers.entries()) {
    if (i < 2 && !machine.alive) cluster.cluster.restart(machine);
    if (i >= 2 && machine.alive) machine.crash({ powerLoss: false });
  }
  cluster.simulation.runFor(noticedMs);
  // The first append makes the file, with a chunk that is sealed already.
  cluster.as("writer", async (client) => {
    for (let i = 0; i < 2; i++) await client.appendToFile("/log", content(500, i));
  });
}

function judge(
  cluster: SmallCluster,
  of: { what: string; replaced: readonly Machine[]; violations: Violation[] },
): void {
  const wrong = cluster.as("looker", async (client, world) => {
    const pool = new FramePool(world, { role: "client" });
    try {
      return await statusAgainstTruth(cluster.cluster, { ...of, client, pool });
    } finally {
      pool.close();
    }
  });
  for (const text of wrong) of.violations.push({ promise: "P7", what: `after ${of.what}: ${text}` });
}

/** Every server that is dead now was told to be, and not to be back since. */
function judgeEvents(cluster: SmallCluster, violations: Violation[]): void {
  cluster.as("looker", async (client) => {
    const last = new Map<string, string>();
    for await (const { kind, server } of client.operator.events({ kinds: ["volume.dead", "volume.live"] }))
      if (server !== undefined) last.set(server, kind);
    for (const { label, liveness } of (await client.status()).servers)
      if (liveness === "dead" && last.get(label) !== "volume.dead")
        violations.push({
          promise: "P7",
          what: `${label} is dead, and the last event of it is ${last.get(label) ?? "none"}`,
        });
  });
}
