/**
 * A master whose directory was restored from an old copy, while servers and clients went on with what came after it (DESIGN §4.1, §4.5). Nothing newer than the copy may be
 * deleted, and nothing changed, until an operator confirms; from then on all that the copy refers to can be read, and no handle is given twice.
 */
import { hasCode } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import type { Limits } from "../../../src/limits.ts";
import { FramePool } from "../../../src/net/frame-pool.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { problemsOf, settled, whatIsWanting } from "../healed-phase.ts";
import type { Violation } from "../history.ts";
import { type ReplicaToRead, readReplica } from "../replica-reader.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { copyDirectory, type DirectoryCopy, restoreDirectory } from "./directory-copy.ts";
import { type Story, told } from "./story.ts";

/** What alone proves that the copy is old: handles above the batch that it knows; the same start of the master, or a later one; versions; or handles within its batch. */
type Proof = "handles" | "same start" | "later start" | "version" | "batch";

const directory = "/master1";
const restarts: Record<Proof, number> = { handles: 0, "same start": 1, "later start": 2, version: 0, batch: 0 };

/** Volumes prove it: the master stops by itself. */
export const restoredBehind: Story = (seed, plant) => {
  const proofs: readonly Proof[] = ["handles", "same start", "later start", "version"];
  return restoredMaster(seed, proofs[seed % proofs.length] ?? "handles", plant);
};

/**
 * What is newer lies within the batch of handles that the copy had reserved: the master never gave them out, and so is behind. Once that is confirmed they are garbage, on the
 * evidence of reports alone, and so many that it is not believed at once.
 */
export const restoredWithinBatch: Story = (seed, plant) => restoredMaster(seed, "batch", plant);

const restoredMaster = (seed: number, proof: Proof, plant?: (cluster: SmallCluster) => void): Violation[] => {
  const prng = new Prng(`restored ${seed}`);
  const limits: Limits = {
    ...simLimits,
    handleBatch: proof === "handles" ? prng.integer(1, 4) : 1_000,
    deleteCountFree: proof === "batch" ? 3 : 1_000,
    trashMs: proof === "batch" ? 600_000 : 15_000,
    checkpointRecords: prng.integer(10, 400),
    // They prove it as well, always, and hide where another proof is missing; lost-master.ts has them.
    metadataCopies: 0,
  };
  const cluster = new SmallCluster({ seed, limits, chunkservers: prng.integer(3, 4) });
  return told(cluster, (violations) => {
    const files = new Map<string, Uint8Array>();
    const record = content(prng.integer(100, 2_000), 1);
    const later = content(prng.integer(100, 2_000), 2);
    cluster.as("early client", async (client) => {
      await putFiles(client, "old", { files, prng, count: 5 });
      // The first append is a put; the second opens a tail.
      await client.appendToFile("/log", record);
      await client.appendToFile("/log", record);
      // By the copy it goes with the trash; it was wanted again since.
      await client.put({ kind: "bytes", bytes: content(prng.integer(30_000, 60_000), 4) }, "/wanted");
      await client.remove("/wanted");
    });
    const copy = copyDirectory(cluster.cluster.master, directory);
    const newer = cluster.as("client", (client) => goOn(client, { prng, later, proof }));
    for (let i = 0; i < restarts[proof]; i++) {
      cluster.cluster.crash(cluster.cluster.master, { powerLoss: false }, 50);
      cluster.simulation.runFor(3_000);
    }

    const quarantine = watchRemovals(cluster, limits, violations);
    restore(cluster, copy);
    // Longer than any grace, and a few rounds of reports.
    cluster.simulation.runFor(30_000);
    const { stopped } = cluster.as("looker", (client) => client.status());
    if (stopped.mutations === undefined) violations.push({ promise: "P7", what: "an old copy, and mutations go on" });
    violations.push(...cluster.as("mutator", tryMutations));
    plant?.(cluster);
    if (quarantine.removed.size > 0)
      violations.push({ promise: "P1", what: `deleted unconfirmed: chunks ${[...quarantine.removed].join(", ")}` });
    violations.push(...cluster.as("reader of what is newer", (_, world) => readNewer(newer, world)));
    violations.push(...cluster.as("reader", (client) => compareFiles(client, files)));

    const { accepted } = cluster.as("operator", (client) => client.confirm());
    if (accepted.length === 0) violations.push({ promise: "P7", what: "there was nothing to confirm" });
    if (proof === "batch") {
      cluster.simulation.runFor(20_000);
      const { stopped: then } = cluster.as("looker", (client) => client.status());
      if (then.deletions === undefined)
        violations.push({ promise: "P7", what: "deletions of most chunks, on the evidence of reports, go on" });
      if (quarantine.removed.size > 0)
        violations.push({
          promise: "P1",
          what: `deleted beyond the share: chunks ${[...quarantine.removed].join(", ")}`,
        });
      cluster.as("operator", (client) => client.confirm());
    }
    cluster.until("all whole", isWhole);
    const given = new Set(newer.map(({ handle }) => handle));
    cluster.as("late client", async (client) => {
      await putFiles(client, "later", { files, prng, count: 4 });
      for (const path of files.keys())
        for (const { handle } of path.startsWith("/later") ? (await client.stat(path)).extents : [])
          if (given.has(handle))
            violations.push({ promise: "P2", what: `chunk ${handle} of ${path} was given before` });
    });
    cluster.simulation.runFor(40_000);
    violations.push(
      ...cluster.as("verifier", async (client, world) => [
        ...(await compareFiles(client, files)),
        ...(await compareLog(client, files, [record, record, later])),
        ...(await settled(world, () => problemsOf(client))),
      ]),
    );
  });
};

async function putFiles(
  client: GfsClient,
  under: string,
  { files, prng, count }: { readonly files: Map<string, Uint8Array>; readonly prng: Prng; readonly count: number },
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const bytes = content(
      prng.chance(0.4) ? prng.integer(1, 3_000) : prng.integer(30_000, 150_000),
      prng.integer(3, 999),
    );
    await client.put({ kind: "bytes", bytes }, `/${under}/${i}`);
    files.set(`/${under}/${i}`, bytes);
  }
}

/** What the copy does not know: new files, an old one replaced, one removed, and one appended to. Where the new chunks lie. */
async function goOn(
  client: GfsClient,
  { prng, later, proof }: { readonly prng: Prng; readonly later: Uint8Array; readonly proof: Proof },
): Promise<ReplicaToRead[]> {
  const files = new Map<string, Uint8Array>();
  await client.appendToFile("/log", later);
  await client.trashRestore("/wanted");
  // Chunks would prove it too, by their handles: only the start does.
  if (proof === "same start" || proof === "later start") return replicasOf(client, ["/wanted"]);
  if (proof === "version") {
    // Sealed by a record of the newer log, at a higher version; no chunk is new.
    await client.move("/log", "/moved");
    await client.remove("/moved");
    return replicasOf(client, ["/wanted"]);
  }
  await putFiles(client, "new", { files, prng, count: prng.integer(6, 9) });
  await client.put({ kind: "bytes", bytes: content(50_000, 1_000) }, "/old/0", { overwrite: true });
  await client.remove("/old/1");
  return replicasOf(client, [...files.keys(), "/old/0", "/wanted"]);
}

async function replicasOf(client: GfsClient, paths: readonly string[]): Promise<ReplicaToRead[]> {
  const chunks: ReplicaToRead[] = [];
  for (const path of paths)
    for (const { handle, version, replicas } of (await client.stat(path)).extents)
      chunks.push(...replicas.map((replica) => ({ handle, version, replica, committed: undefined })));
  return chunks;
}

function restore({ cluster, simulation }: SmallCluster, copy: DirectoryCopy): void {
  const { master } = cluster;
  master.crash({ powerLoss: true });
  simulation.runFor(200);
  master.restart();
  simulation.do(master, (world) => restoreDirectory(world, directory, copy));
  cluster.begin(master);
}

/** Confirmed once, it stops no more. */
async function isWhole(client: GfsClient): Promise<boolean> {
  const status = await client.status();
  // Servers that refused the master come back when they ask it again.
  return whatIsWanting(status) === undefined && status.servers.every(({ liveness }) => liveness === "live");
}

/** All must be refused. */
async function tryMutations(client: GfsClient): Promise<Violation[]> {
  const bytes = content(10_000, 7);
  const mutations: Record<string, () => Promise<unknown>> = {
    put: () => client.put({ kind: "bytes", bytes }, "/put"),
    append: () => client.appendToFile("/log", bytes),
    mkdir: () => client.makeDirectory("/made"),
    move: () => client.move("/old/2", "/old/moved"),
    remove: () => client.remove("/old/3", { skipTrash: true }),
  };
  const violations: Violation[] = [];
  for (const [name, run] of Object.entries(mutations)) {
    const outcome = await run().then(
      () => "done",
      (error: unknown) => (hasCode(error, "MutationsStopped") ? undefined : String(error)),
    );
    if (outcome !== undefined)
      violations.push({ promise: "P1", what: `${name} by a master that is behind, not confirmed: ${outcome}` });
  }
  return violations;
}

/** A replica that is deleted lies aside for the grace, so that a delete by mistake is not the end of it. */
function watchRemovals(
  { simulation }: SmallCluster,
  limits: Limits,
  violations: Violation[],
): { readonly removed: ReadonlySet<number> } {
  const removed = new Set<number>();
  simulation.onEvent(({ name, machine, fields }) => {
    const { handle, bytes } = fields;
    if (name !== "replica.removed" || typeof handle !== "number" || typeof bytes !== "number") return;
    removed.add(handle);
    // Smaller ones lie in the volume log alone.
    if (bytes <= limits.smallChunkBytesMax) return;
    simulation.after(limits.deleteGraceMs / 2, () => {
      const hex = handle.toString(16).padStart(16, "0");
      const aside = simulation.machine(machine).drive("/volume").files.filesUnder("/volume/aside");
      if (!aside.some((path) => path.includes(hex)))
        violations.push({
          promise: "P1",
          what: `chunk ${handle} was deleted from ${machine} for good within its grace`,
        });
    });
  });
  return { removed };
}

/** By the addresses that clients had before. */
async function readNewer(newer: readonly ReplicaToRead[], world: World): Promise<Violation[]> {
  const pool = new FramePool(world, { role: "client" });
  const violations: Violation[] = [];
  for (const each of newer) {
    try {
      await readReplica(pool, each);
    } catch (error) {
      const what = `chunk ${each.handle}, newer than the copy, can't be read at ${each.replica.label}: ${String(error)}`;
      violations.push({ promise: "P1", what });
    }
  }
  pool.close();
  return violations;
}

async function compareFiles(client: GfsClient, files: ReadonlyMap<string, Uint8Array>): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (const [path, bytes] of files) {
    const read = await readAll(client, path).catch((error: unknown) => String(error));
    if (typeof read === "string" || Buffer.compare(read, bytes) !== 0)
      violations.push({
        promise: "P1",
        what: `${path} is not what the master's log says: ${read.length} ${typeof read === "string" ? read : "bytes"}`,
      });
  }
  return violations;
}

/** All records but the last are of the copy's time; that one may be there, or not. And it is appended to. */
async function compareLog(
  client: GfsClient,
  files: Map<string, Uint8Array>,
  records: readonly Uint8Array[],
): Promise<Violation[]> {
  const read = await readAll(client, "/log").catch((error: unknown) => String(error));
  if (typeof read === "string") return [{ promise: "P1", what: `/log: ${read}` }];
  const both = Buffer.concat(records);
  const early = both.length - (records.at(-1)?.length ?? 0);
  const whole = read.length === early || read.length === both.length;
  if (!whole || Buffer.compare(read, both.subarray(0, read.length)) !== 0)
    return [{ promise: "P2", what: `/log has ${read.length} bytes, and not whole records` }];
  await client.appendToFile("/log", both.subarray(0, 100));
  files.set("/log", Buffer.concat([read, both.subarray(0, 100)]));
  return compareFiles(client, files);
}
