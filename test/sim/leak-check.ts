/**
 * What nobody refers to is given back, and nothing else: after a while no draft, no trash, no garbage is left; the master knows the chunks of the files that are there, and no
 * others; and no server has a file of a chunk that it is not named for.
 */
import type { ClusterStatus } from "../../src/client/api.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import type { World } from "../../src/io.ts";
import { pause } from "./client-machine.ts";
import type { Cluster } from "./cluster.ts";
import type { Violation } from "./history.ts";

/** Trash, grace, drafts and a few rounds of reports, one after the other. */
const clearedMs = 120_000;
const lookMs = 4_000;

/** Looks until nothing is left over, and at most so long; what is left then. */
export async function checkNothingIsLeft(cluster: Cluster, client: GfsClient, world: World): Promise<Violation[]> {
  const startMs = world.clock.monotonicMs();
  for (;;) {
    const left = await whatIsLeft(cluster, client);
    if (left === undefined) return [];
    if (world.clock.monotonicMs() - startMs > clearedMs)
      return [{ promise: "P7", what: `left over ${clearedMs} ms after all faults were over: ${left}` }];
    await pause(world, lookMs);
  }
}

async function whatIsLeft(cluster: Cluster, client: GfsClient): Promise<string | undefined> {
  const status = await client.status();
  const { drafts, trash, garbage, servers } = status;
  // What a server that is gone for ever held waits for it.
  const waiting = servers.every(({ liveness }) => liveness === "live") ? garbage.waiting : 0;
  if (drafts + trash.entries + waiting > 0)
    return `${drafts} drafts, ${trash.entries} entries of the trash, ${waiting} replicas to delete`;
  const referenced = await referencedChunks(client, "/");
  if (status.chunks.total !== referenced.size)
    return `the master has ${status.chunks.total} chunks, and files refer to ${referenced.size}`;
  return leftOnServers(cluster, status, referenced);
}

/** Volumes of the replicas of each chunk that a file under the path refers to. */
async function referencedChunks(client: GfsClient, path: string): Promise<Map<number, ReadonlySet<string>>> {
  const chunks = new Map<number, ReadonlySet<string>>();
  for await (const { name, kind } of client.list(path)) {
    const below = `${path === "/" ? "" : path}/${name}`;
    if (kind === "directory")
      for (const [handle, volumes] of await referencedChunks(client, below)) chunks.set(handle, volumes);
    else
      for (const { handle, state, replicas } of (await client.stat(below)).extents) {
        // Named by the log alone, a replica counts for nothing.
        const there = replicas.filter(({ health }) => state === "open" || health === "healthy");
        chunks.set(handle, new Set(there.map(({ volume }) => volume)));
      }
  }
  return chunks;
}

function leftOnServers(
  cluster: Cluster,
  { servers }: ClusterStatus,
  referenced: ReadonlyMap<number, ReadonlySet<string>>,
): string | undefined {
  for (const { volume, label, liveness } of servers) {
    const machine = cluster.servers.find(({ name }) => name === label);
    if (liveness !== "live" || machine === undefined) continue;
    const named = [...referenced].filter(([, volumes]) => volumes.has(volume)).map(([handle]) => handle);
    const files = machine.drive().files.filesUnder("/volume");
    const stray = files.find((path) => {
      const [, folder, name = ""] = /^\/volume\/(chunks|aside)\/(.*)$/.exec(path) ?? [];
      const handle = Number.parseInt(name.split("/").at(-1) ?? "", 16);
      return folder === "aside" || (folder === "chunks" && !named.includes(handle));
    });
    if (stray !== undefined) return `${label} has ${stray}, which nobody refers to`;
  }
  return undefined;
}
