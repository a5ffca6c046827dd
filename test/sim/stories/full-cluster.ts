/**
 * Disks that fill (DESIGN §4.5): puts and appends end with NoSpace and soon, a part of each disk stays for repair and is used by it alone, everything can be read and removed, and what
 * is removed gives its space to what is put afterwards.
 */
import { GfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const freeAtFirst = 5_000_000;
const limits = { ...simLimits, fullShare: 0.85, reserveBytes: 100_000, trashMs: 3_600_000 };
/** Longer than any of them waits: an operation that ends later had nothing to tell. */
const endsWithinMs = limits.clientTimeoutMs / 2;

export const fullCluster: Story = (seed, plant) => {
  const prng = new Prng(`full cluster ${seed}`);
  const cluster = new SmallCluster({ seed, chunkservers: 4, limits });
  return told(cluster, (violations) => {
    const { simulation } = cluster;
    const events: string[] = [];
    simulation.onEvent(({ name, machine, fields }) => {
      if (name === "volume.log-not-emptied")
        violations.push({
          promise: "P6",
          what: `${machine} has taken more than it can file: ${String(fields["reason"])}`,
        });
      if (machine === "master" && name.startsWith("server.")) events.push(name);
    });
    for (const server of cluster.cluster.servers) server.drive("/volume").fill(freeAtFirst);
    simulation.runFor(1_000);
    const files = new Map<string, Uint8Array>();
    let next = 1;
    /** The code that ended it, or undefined where it was acknowledged. */
    const ended = async (what: string, work: Promise<unknown>): Promise<string | undefined> => {
      const beganMs = simulation.nowMs;
      let code: string | undefined;
      try {
        await work;
      } catch (error) {
        code = error instanceof GfsError ? error.code : String(error);
      }
      const tookMs = simulation.nowMs - beganMs;
      if (code !== undefined && code !== "NoSpace")
        violations.push({ promise: "P6", what: `${what} to a full cluster ended with ${code}` });
      if (tookMs > endsWithinMs) violations.push({ promise: "P6", what: `${what} took ${Math.round(tookMs)} ms` });
      return code;
    };
    const put = async (client: GfsClient): Promise<string | undefined> => {
      const path = `/f${next++}`;
      const bytes = content(prng.integer(20_000, 200_000), next);
      const code = await ended("a put", client.put({ kind: "bytes", bytes }, path));
      if (code === undefined) files.set(path, bytes);
      return code;
    };
    const fill = async (client: GfsClient, { clock }: World): Promise<void> => {
      for (let refused = 0; refused < 3;) {
        if ((await put(client)) !== undefined) refused++;
        await new Promise<void>((resolve) => {
          clock.after(prng.integer(1, 200), resolve);
        });
      }
    };
    /** Everything that was acknowledged and not removed is there. */
    const readBack = async (client: GfsClient): Promise<void> => {
      for (const [path, bytes] of files)
        if (Buffer.compare(await readAll(client, path), bytes) !== 0)
          violations.push({ promise: "P1", what: `${path} has other bytes than were put` });
    };
    const spaces = async (client: GfsClient) => (await client.space()).servers;

    cluster.as("filler", fill);
    // Heartbeats tell it.
    simulation.runFor(2_000);
    const appended: Uint8Array[] = [];
    cluster.as("appender", async (client) => {
      for (let i = 0; i < 60; i++) {
        const data = content(prng.integer(1_000, 12_000), i);
        if ((await ended("an append", client.appendToFile("/log", data))) !== undefined) break;
        appended.push(data);
      }
    });
    if (appended.length > 0) files.set("/log", Buffer.concat(appended));
    simulation.runFor(2_000);
    cluster.as("looker", async (client) => {
      await readBack(client);
      for (const { label, freeBytes, totalBytes, full } of await spaces(client)) {
        // What was under way when the others were refused.
        if (freeBytes < totalBytes * (1 - limits.fullShare) - 4 * limits.chunkBytes)
          violations.push({ promise: "P6", what: `puts left ${freeBytes} of ${totalBytes} bytes at ${label}` });
        if (full !== true && freeBytes < totalBytes * (1 - limits.fullShare))
          violations.push({ promise: "P7", what: `${label} is full, and the master does not say so` });
      }
      const { warnings } = await client.status();
      if (!warnings.some((warning) => warning.includes("full")))
        violations.push({
          promise: "P7",
          what: `status does not say that the cluster is full: ${warnings.join("; ")}`,
        });
    });
    if (!events.includes("server.full")) violations.push({ promise: "P7", what: "no server was told to be full" });

    // Of a few chunks one replica is left: the others are made anew in the part that was kept.
    const drives = cluster.cluster.servers.map((server) => server.drive("/volume"));
    for (const drive of drives) drive.fill(limits.reserveBytes + 8 * limits.chunkBytes);
    const holders = (path: string) => drives.filter(({ files }) => files.info(path) !== undefined);
    // Clones of these go straight to data files, as they did.
    const isLarge = (path: string) => (drives[0]?.files.info(path)?.bytes ?? 0) > limits.smallChunkBytesMax + 1_000;
    const filed = drives[0]?.files.filesUnder("/volume/chunks").filter(isLarge) ?? [];
    const thin = filed.filter((path) => holders(path).length > 1).slice(0, 2);
    for (const path of thin) for (const drive of holders(path).slice(1)) drive.files.remove(path, 0);
    if (thin.length === 0) violations.push({ promise: "harness", what: "no chunk is in data files" });
    cluster.as("finder", readBack);
    cluster.until("copied again", async () => thin.every((path) => holders(path).length > 1));

    // What is removed, half into the trash, makes room without anybody's help.
    cluster.as("remover", async (client) => {
      for (const path of [...files.keys()].filter((_, i) => i % 2 === 0)) {
        await client.remove(path, { skipTrash: prng.chance(0.5) });
        files.delete(path);
      }
    });
    cluster.until("room again", async (client) => (await client.space()).usableBytes > 8 * limits.chunkBytes);
    plant?.(cluster);
    cluster.as("putter", async (client, { clock }) => {
      // Chunks that are a replica short take of the room as well: then the next of the trash is let go of.
      let done = 0;
      for (let tries = 0; done < 4 && tries < 40; tries++) {
        if ((await put(client)) === undefined) done++;
        await new Promise<void>((resolve) => {
          clock.after(500, resolve);
        });
      }
      if (done < 4) violations.push({ promise: "P6", what: "puts are refused though half of the files were removed" });
      await readBack(client);
    });
    simulation.runFor(1_000);
    if (!events.includes("server.no-longer-full")) violations.push({ promise: "P7", what: "no server has room again" });
  });
};
