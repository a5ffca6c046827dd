/**
 * The master's directory is destroyed, and rebuilt from the copies that chunkservers keep (DESIGN §4.1): all that was acknowledged before a copy was complete is there, nothing newer is
 * changed or deleted before an operator confirms, and then the cluster goes on, with copies of what it is now.
 */
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import type { Limits } from "../../../src/limits.ts";
import { openRemote } from "../../../src/master/metadata/remote-source.ts";
import { type Restored, restoreMaster } from "../../../src/master/metadata/restore.ts";
import { type MetadataSource, openSources } from "../../../src/master/metadata/source.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { problemsOf, settled, whatIsWanting } from "../healed-phase.ts";
import type { Violation } from "../history.ts";
import { simLimits } from "../sim-limits.ts";
import type { Machine } from "../world/machine.ts";
import { Prng } from "../world/prng.ts";
import { copyDirectory, restoreDirectory } from "./directory-copy.ts";
import { type Story, told } from "./story.ts";

const directory = "/master1";
const controlPort = 4_370;

/** From running servers, or from what one of them had on its drive; a holder may have died before, so that another was chosen. */
export const lostMaster: Story = (seed, plant) => {
  const prng = new Prng(`lost master ${seed}`);
  const limits: Limits = {
    ...simLimits,
    metadataCopies: 2,
    trashMs: 600_000,
    deleteGraceMs: 1_000,
    handleBatch: prng.integer(2, 20),
    checkpointRecords: prng.integer(10, 60),
  };
  const cluster = new SmallCluster({ seed, limits, chunkservers: prng.integer(3, 4) });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const files = new Map<string, Uint8Array>();
    const record = content(prng.integer(100, 2_000), 1);
    const write = (name: string, under: string, count: number, known: Map<string, Uint8Array>) =>
      cluster.as(name, async (client) => {
        for (let i = 0; i < count; i++) {
          const bytes = content(prng.integer(1, 60_000), prng.integer(3, 999));
          await client.put({ kind: "bytes", bytes }, `/${under}/${i}`);
          known.set(`/${under}/${i}`, bytes);
        }
      });
    write("first client", "early", prng.integer(4, 12), files);
    cluster.until("copies", copiesAreComplete);
    if (prng.chance(0.5)) {
      // One that holds a copy dies, or its process only.
      const [label] = cluster.as("looker", holders);
      const holder = cluster.server(label ?? "");
      if (prng.chance(0.5)) cluster.cluster.replace(holder);
      else cluster.cluster.crash(holder, { powerLoss: prng.chance(0.5) }, prng.integer(20, 4_000));
    }
    for (let look = 0; look < 3; look++) {
      cluster.as("first client", (client) => client.makeDirectory(`/look${look}`));
      simulation.runFor(prng.integer(100, 3_000));
      violations.push(...brokenCopies(cluster, limits));
    }
    if (prng.chance(0.3)) cluster.cluster.crash(cluster.cluster.master, { powerLoss: true }, 100);
    cluster.as("second client", async (client) => {
      await client.appendToFile("/log", record);
      await client.appendToFile("/log", record);
    });
    write("second client", "later", prng.integer(2, 10), files);
    files.set("/log", Buffer.concat([record, record]));
    cluster.until("copies", copiesAreComplete);

    // What comes now may be lost, or may have reached a copy. Where nothing is put, no server can prove that anything is lost.
    const newer = new Map<string, Uint8Array>();
    write("third client", "newer", prng.chance(0.5) ? 0 : prng.integer(1, 6), newer);
    cluster.as("third client", (client) => client.remove("/early/0", { skipTrash: true }));
    const removed = new Set<string>();
    simulation.onEvent(({ name, machine, fields }) => {
      if (name === "replica.removed") removed.add(`${String(fields["handle"])} at ${machine}`);
    });
    const { master, servers } = cluster.cluster;
    const offline = prng.chance(0.5) ? copyOfHolder(cluster, prng) : undefined;
    master.crash({ powerLoss: true });
    simulation.runFor(200);
    master.restart();
    const restored = simulation.do(master, async (world) => {
      await world.disk.removeTree(directory);
      if (offline === undefined) return rebuild(world, limits, await remoteSources(world, servers));
      await restoreDirectory(world, "/offline", offline);
      return rebuild(world, limits, await openSources(world.disk, "/offline"));
    });
    const before = removed.size;
    cluster.cluster.begin(master);
    simulation.runFor(20_000);
    plant?.(cluster);
    const { stopped, log } = cluster.as("looker", (client) => client.status());
    if (stopped.mutations === undefined)
      violations.push({ promise: "P7", what: "rebuilt, and mutations go on unconfirmed" });
    if (log.position < restored.position)
      violations.push({
        promise: "P1",
        what: `rebuilt up to ${restored.position}, and the log ends at ${log.position}`,
      });
    if (removed.size > before)
      violations.push({ promise: "P1", what: `deleted unconfirmed: ${[...removed].slice(before).join(", ")}` });
    const kept = new Map([...files].filter(([path]) => path !== "/early/0"));
    violations.push(...cluster.as("reader", (client) => compareFiles(client, kept)));

    cluster.as("operator", (client) => client.confirm());
    cluster.until("all whole", async (client) => whatIsWanting(await client.status()) === undefined);
    write("last client", "last", 3, kept);
    cluster.as("last client", (client) => client.appendToFile("/log", record));
    kept.set("/log", Buffer.concat([record, record, record]));
    cluster.until("copies", copiesAreComplete);
    violations.push(
      ...cluster.as("verifier", async (client, world) => [
        ...(await compareFiles(client, kept)),
        ...(await settled(world, () => problemsOf(client))),
      ]),
    );
    // The copies are of the log as it is now.
    violations.push(...brokenCopies(cluster, limits));
    master.crash({ powerLoss: true });
    simulation.runFor(200);
    master.restart();
    simulation.do(master, async (world) => {
      await world.disk.removeTree(directory);
      return rebuild(world, limits, await remoteSources(world, servers));
    });
    cluster.cluster.begin(master);
    violations.push(...cluster.as("last reader", (client) => compareFiles(client, kept)));
  });
};

/**
 * Rebuilt from a copy that is older than what servers keep: once confirmed, what they keep is of a log that is lost, also that of one which comes back when the new log is longer. None of it
 * may be mixed with the new log: each copy that counts as complete is one.
 */
export const rebuiltFromOlder: Story = (seed, plant) => {
  const prng = new Prng(`rebuilt from older ${seed}`);
  const limits: Limits = {
    ...simLimits,
    metadataCopies: 2,
    trashMs: 600_000,
    checkpointRecords: prng.integer(20, 400),
  };
  const cluster = new SmallCluster({ seed, limits, chunkservers: 2 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const { master, servers } = cluster.cluster;
    const make = (from: number, to: number) =>
      cluster.as("client", async (client) => {
        for (let i = from; i < to; i++) await client.makeDirectory(`/d${i}`);
      });
    const early = prng.integer(2, 20);
    make(0, early);
    cluster.until("copies", copiesAreComplete);
    const older = copyOfHolder(cluster, prng);
    make(early, early + prng.integer(1, 20));
    cluster.until("copies", copiesAreComplete);
    const { log } = cluster.as("looker", (client) => client.status());
    const away = servers[prng.integer(0, 1)] ?? master;
    away.crash({ powerLoss: prng.chance(0.5) });
    master.crash({ powerLoss: true });
    simulation.runFor(200);
    master.restart();
    simulation.do(master, async (world) => {
      await world.disk.removeTree(directory);
      await restoreDirectory(world, "/offline", older);
      return rebuild(world, limits, await openSources(world.disk, "/offline"));
    });
    cluster.cluster.begin(master);
    // The server that runs tells what it has, so that one confirmation is enough.
    simulation.runFor(3_000);
    const { accepted } = cluster.as("operator", (client) => client.confirm());
    if (!accepted.some((what) => what.includes("keeps a copy of the log up to entry")))
      violations.push({
        promise: "P7",
        what: `a later copy of the log is given up, and nobody is told: ${accepted.join(", ")}`,
      });
    let made = 1_000;
    for (const end = log.position + prng.integer(1, 30); ; made += 5) {
      make(made, made + 5);
      if (cluster.as("looker", (client) => client.status()).log.position > end) break;
    }
    cluster.cluster.restart(away);
    cluster.until("both servers", async (client) =>
      (await client.status()).servers.every(({ liveness }) => liveness === "live"),
    );
    cluster.until("copies", copiesAreComplete);
    make(2_000, 2_000 + prng.integer(1, 5));
    cluster.until("copies", copiesAreComplete);
    plant?.(cluster);
    violations.push(...brokenCopies(cluster, limits));
  });
};

/** Each copy is one by itself, with all that it is said to have. One whose server does not answer now is not judged. */
function brokenCopies(cluster: SmallCluster, limits: Limits): Violation[] {
  const { simulation } = cluster;
  const { metadataCopies } = cluster.as("looker", (client) => client.status());
  return metadataCopies.copies.flatMap(({ label, position }): Violation[] => {
    if (position === 0) return [];
    const restorer = simulation.machine(`restorer of ${label} at ${simulation.nowMs}`);
    const rebuilt = simulation.do(restorer, async (world) => {
      const servers = cluster.cluster.servers.filter(({ name }) => name === label);
      const sources = await remoteSources(world, servers);
      if (sources.length === 0) return undefined;
      return rebuild(world, limits, sources).catch((error: unknown) => String(error));
    });
    if (rebuilt === undefined || (typeof rebuilt !== "string" && rebuilt.position >= position)) return [];
    const found = typeof rebuilt === "string" ? rebuilt : `it ends at ${rebuilt.position}`;
    return [{ promise: "P7", what: `the copy on ${label} is said to reach to ${position}: ${found}` }];
  });
}

async function holders(client: GfsClient): Promise<string[]> {
  const { metadataCopies } = await client.status();
  return metadataCopies.copies.map(({ label }) => label);
}

/** All that was acknowledged before this call is on every copy. */
async function copiesAreComplete(client: GfsClient): Promise<boolean> {
  const { metadataCopies, log } = await client.status();
  const { wanted, copies } = metadataCopies;
  return (
    copies.length === wanted &&
    copies.every(
      ({ behindMs, position, failure }) => behindMs === 0 && position >= log.position && failure === undefined,
    )
  );
}

async function remoteSources(world: World, servers: readonly Machine[]): Promise<MetadataSource[]> {
  const control = new ControlClient(world, { role: "tool", clusterId: () => undefined });
  const sources: MetadataSource[] = [];
  for (const server of servers) {
    const found = await openRemote(control, { address: server.address(controlPort) }).catch(() => []);
    sources.push(...found);
  }
  return sources;
}

function rebuild(world: World, limits: Limits, sources: readonly MetadataSource[]): Promise<Restored> {
  return restoreMaster(world, { dataDir: directory, sources, limits, force: false });
}

/** Of its drive, as an operator who moves the disk to another machine has it. */
function copyOfHolder(cluster: SmallCluster, prng: Prng): ReadonlyMap<string, Uint8Array> {
  const labels = cluster.as("looker", holders);
  const label = labels[prng.integer(0, labels.length - 1)] ?? "";
  const copy = copyDirectory(cluster.server(label), "/volume/metadata");
  return new Map([...copy].map(([path, bytes]) => [path.replace("/volume/", "/offline/"), bytes]));
}

async function compareFiles(client: GfsClient, files: ReadonlyMap<string, Uint8Array>): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (const [path, bytes] of files) {
    const read = await readAll(client, path).catch((error: unknown) => String(error));
    if (typeof read === "string" || Buffer.compare(read, bytes) !== 0) {
      const found = typeof read === "string" ? read : `${read.length} of ${bytes.length} bytes, or others`;
      violations.push({ promise: "P1", what: `${path} was acknowledged before the copy: ${found}` });
    }
  }
  return violations;
}
