/** Servers that are slow, one at a time: reads go on at another one with exactly the bytes, nothing fails, and new chunks go elsewhere until the server is quick again (DESIGN §4.4, §4.5). */
import { hedgeBurst } from "../../../src/client/core/hedge-budget.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const mebibyte = 1_048_576;

/** Several runs a chunk, and a stall time that nobody waits for who asks a second server. */
const largeChunks = {
  ...simLimits,
  chunkBytes: 3 * mebibyte,
  logSegmentBytes: 2_000_000,
  volumeLogBytesMax: 6_000_000,
  readStallMs: 5_000,
  hedgeShare: 0.2,
};

/** A server at a time is frozen for seconds, at any moment of a read. */
export const frozenReads: Story = (seed, plant) => {
  const prng = new Prng(`frozen reads ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 4, limits: largeChunks });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    let hedged = 0;
    simulation.onEvent(({ name }) => {
      if (name === "read.hedged") hedged++;
    });
    const bytes = content(prng.integer(5 * mebibyte, 7 * mebibyte), 1);
    cluster.as("writer", (client) => client.put({ kind: "bytes", bytes }, "/f"));
    const rounds = 12;
    const reading = cluster.begin("reader", async (client, { clock }) => {
      for (let round = 0; round < rounds; round++) {
        await new Promise<void>((resolve) => {
          clock.after(prng.integer(1, 3_000), resolve);
        });
        const victim = cluster.cluster.servers[prng.integer(0, 3)];
        simulation.after(prng.integer(0, 30), () => victim?.pause(prng.integer(3_000, 8_000)));
        for (let again = 0; again < 2; again++) {
          const beganMs = simulation.nowMs;
          const got = await readAll(client, "/f");
          const tookMs = simulation.nowMs - beganMs;
          if (Buffer.compare(got, bytes) !== 0)
            violations.push({ promise: "P2", what: `read ${got.length} bytes that are not the ${bytes.length} put` });
          if (tookMs > largeChunks.readStallMs / 2)
            violations.push({
              promise: "P6",
              what: `a read took ${Math.round(tookMs)} ms while one server was frozen`,
            });
        }
        // Nobody is frozen when the next one is.
        await new Promise<void>((resolve) => {
          clock.after(8_100, resolve);
        });
      }
    });
    simulation.complete(reading, 300_000);
    plant?.(cluster);
    if (hedged === 0) violations.push({ promise: "harness", what: "no read was sent to a second server" });
  });
};

/** Every server is slower than a hedge waits: the reads are not sent twice for that. */
export const slowCluster: Story = (seed, plant) => {
  const prng = new Prng(`slow cluster ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 3, limits: { ...simLimits, hedgeShare: 0.05 } });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    let hedged = 0;
    simulation.onEvent(({ name }) => {
      if (name === "read.hedged") hedged++;
    });
    const bytes = content(prng.integer(30_000, 60_000), 1);
    cluster.as("writer", (client) => client.put({ kind: "bytes", bytes }, "/f"));
    for (const server of cluster.cluster.servers) server.drive("/volume").slow(3_000);
    const reads = 40;
    cluster.as("reader", async (client) => {
      for (let i = 0; i < reads; i++)
        if (Buffer.compare(await readAll(client, "/f"), bytes) !== 0)
          violations.push({ promise: "P2", what: "read other bytes than were put" });
    });
    plant?.(cluster);
    // Each hedge is a request as well, that earns its share.
    const most = hedgeBurst + Math.ceil(2 * reads * 0.05);
    if (hedged === 0) violations.push({ promise: "harness", what: "no read was sent to a second server" });
    if (hedged > most)
      violations.push({ promise: "P6", what: `${hedged} of ${reads} reads were sent twice to a cluster that is slow` });
  });
};

/** One disk is slow for a while: no chunk goes there once that is known, and some do again when it is quick. */
export const slowDisk: Story = (seed, plant) => {
  const prng = new Prng(`slow disk ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 4 });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    // These two share a rack: a chunk can do without either.
    const label = prng.chance(0.5) ? "server1" : "server4";
    const drive = cluster.server(label).drive("/volume");
    const verdicts: string[] = [];
    const phases = ["before", "slow", "after"] as const;
    let phase: (typeof phases)[number] = "before";
    simulation.onEvent(({ name, fields }) => {
      if (name !== "server.slow" && name !== "server.no-longer-slow") return;
      verdicts.push(`${name} ${String(fields["label"])}`);
      phase = name === "server.slow" ? "slow" : "after";
    });
    const work = { over: false };
    const placed = { before: 0, slow: 0, after: 0 };
    const write = (writer: number) =>
      cluster.begin(`writer${writer}`, async (client) => {
        for (let i = 0; !work.over; i++) {
          const path = `/f${writer}-${i}`;
          const begun = phase;
          const bytes = content(prng.integer(1, 20_000), i);
          const { replicas } = await client.put({ kind: "bytes", bytes }, path);
          if (replicas !== 3) violations.push({ promise: "P1", what: `a put has ${replicas} replicas` });
          const { extents } = await client.stat(path);
          const there = extents.some((extent) => extent.replicas.some((replica) => replica.label === label));
          if (there) placed[begun]++;
          await new Promise<void>((resolve) => {
            simulation.after(phase === "slow" ? 500 : prng.integer(40, 120), resolve);
          });
        }
      });
    const writers = [1, 2, 3, 4].map(write);
    simulation.runFor(2_000);
    drive.slow(100);
    simulation.runFor(8_000);
    drive.slow(1);
    simulation.runFor(14_000);
    work.over = true;
    for (const writing of writers) simulation.complete(writing, 20_000);
    plant?.(cluster);
    const expected = [`server.slow ${label}`, `server.no-longer-slow ${label}`];
    if (verdicts.join() !== expected.join())
      violations.push({ promise: "P7", what: `the master said: ${verdicts.join(", ") || "nothing"}` });
    if (placed.slow > 0)
      violations.push({ promise: "P6", what: `${placed.slow} chunks were placed on ${label}, which is slow` });
    if (placed.before === 0) violations.push({ promise: "harness", what: `${label} had no chunk at first` });
    if (placed.after === 0) violations.push({ promise: "P6", what: `${label} is quick again, and gets no chunk` });
  });
};
