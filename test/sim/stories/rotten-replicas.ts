/**
 * Replicas rot, and nobody reads them (DESIGN §4.5): one server, restarted again and again, in its chunk files, the last of them too; another one in its volume's log. Within two rounds
 * of the scrub what rotted is found and repaired, and nothing else is taken for bad (P5).
 */
import { SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { simLimits } from "../sim-limits.ts";
import type { Machine } from "../world/machine.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const limits = { ...simLimits, scrubMs: 8_000 };
const chunks = "/volume/chunks";
const largeBytes = 65_536;

export const rottenReplicas: Story = (seed, plant) => {
  const prng = new Prng(`rotten replicas ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 4, limits });
  /** "server handle" of what was found bad, and of what rotted. */
  const found = new Set<string>();
  const rotten = new Set<string>();
  cluster.simulation.onEvent(({ name, machine, fields }) => {
    if (name === "replica.bad" && machine !== "master") found.add(`${machine} ${String(fields["handle"])}`);
  });
  return told(cluster, (violations) => {
    const { servers } = cluster.cluster;
    const small: Uint8Array[] = [];
    cluster.as("writer", async (client) => {
      for (let i = 0; i < 6; i++) {
        const bytes = content(prng.integer(5_000, 20_000), 100 + i);
        small.push(bytes);
        await client.put({ kind: "bytes", bytes }, `/small${i}`, { replicas: 3 });
        await client.put({ kind: "bytes", bytes: content(2 * largeBytes, i) }, `/large${i}`, { replicas: 3 });
      }
    });
    const holding = servers.filter((server) => filesOf(server).length > 3);
    const first = holding[prng.integer(0, holding.length - 1)]!;
    const files = filesOf(first);
    // Handles rise with their names: the last one is far from where a round begins.
    for (const path of [files.at(-1)!, files[prng.integer(0, files.length - 2)]!]) {
      first.drive("/volume").corrupt(path, prng.integer(0, largeBytes - 1), 1 << prng.integer(0, 7));
      rotten.add(`${first.name} ${handleOf(path)}`);
    }
    const inLog = rotInLog(
      servers.filter((server) => server !== first),
      small,
      prng,
    );
    if (inLog !== undefined) rotten.add(inLog);
    for (let restarts = 0; restarts < 12; restarts++) {
      cluster.simulation.runFor(prng.integer(1_200, 2_000));
      cluster.cluster.crash(first, { powerLoss: prng.chance(0.3) }, prng.integer(10, 100));
    }
    cluster.simulation.runFor(8_000);
    plant?.(cluster);
    for (const one of rotten)
      if (!found.has(one)) violations.push({ promise: "P5", what: `replica ${one} rotted, and was not found so` });
    for (const one of found)
      if (!rotten.has(one)) violations.push({ promise: "P5", what: `replica ${one} was good, and is taken for bad` });
    violations.push(...unlike(servers, found).map((what) => ({ promise: "P5", what })));
    cluster.as("looker", async (client) => {
      const { chunks: counts } = await client.status();
      if (counts.short + counts.lost > 0)
        violations.push({ promise: "P7", what: `after two rounds ${JSON.stringify(counts)}` });
      const order = await client.operator.awaitScrub(await client.operator.scrub({ kind: "path", path: "/" }));
      const { healthy, corrupt, missing, unverified } = order;
      if (healthy < order.chunks * 3 || corrupt + missing + unverified > 0)
        violations.push({ promise: "P5", what: `all was to be good, and is ${JSON.stringify(order)}` });
    });
  });
};

function filesOf(server: Machine): string[] {
  return server
    .drive("/volume")
    .files.filesUnder(chunks)
    .toSorted((a, b) => handleOf(a) - handleOf(b));
}

function handleOf(path: string): number {
  return Number.parseInt(path.slice(path.lastIndexOf("/") + 1), 16);
}

function bytesOf(server: Machine, path: string): Buffer {
  const { image } = server.drive("/volume").files.file(path);
  const bytes = Buffer.alloc(image.bytes);
  image.read(bytes, 0);
  return bytes;
}

/** Flips a bit of a small chunk that lies in a server's log; which replica that is. */
function rotInLog(servers: readonly Machine[], small: readonly Uint8Array[], prng: Prng): string | undefined {
  for (const server of servers) {
    for (const path of server.drive("/volume").files.filesUnder("/volume/log")) {
      const log = bytesOf(server, path);
      for (const bytes of small) {
        const at = log.indexOf(bytes);
        if (at < 0) continue;
        server.drive("/volume").corrupt(path, at + prng.integer(0, bytes.length - 1));
        // The record before it: code, its length, and a header that names the handle.
        const handle = handleBefore(log, at);
        return handle === undefined ? undefined : `${server.name} ${handle}`;
      }
    }
  }
  return undefined;
}

/** Of the record whose payload begins at `at`: CBOR with "handle" first among what it names. */
function handleBefore(log: Buffer, at: number): number | undefined {
  const key = Buffer.from("fhandle");
  const name = log.subarray(0, at).lastIndexOf(key);
  if (name < 0) return undefined;
  const value = log[name + key.length] ?? 0;
  if (value < 24) return value;
  return value === 24 ? log[name + key.length + 1] : log.readUInt16BE(name + key.length + 1);
}

/** Chunk files of one handle that differ from one another in the bytes of the chunk; those that were found bad may wait for their end. */
function unlike(servers: readonly Machine[], known: ReadonlySet<string>): string[] {
  const first = new Map<number, { readonly server: string; readonly bytes: Buffer }>();
  const found: string[] = [];
  for (const server of servers)
    for (const path of filesOf(server)) {
      const bytes = bytesOf(server, path).subarray(0, largeBytes);
      const handle = handleOf(path);
      if (known.has(`${server.name} ${handle}`)) continue;
      const other = first.get(handle);
      if (other === undefined) first.set(handle, { server: server.name, bytes });
      else if (Buffer.compare(other.bytes, bytes) !== 0)
        found.push(`chunk ${handle} is still not the same on ${other.server} and ${server.name}`);
    }
  return found;
}
