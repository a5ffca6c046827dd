/**
 * Replication by choice (DESIGN §4.5; master/core/goals.ts, attributes.ts): directories have defaults, and the number of files, of whole trees and of a file that is appended to is changed again and
 * again, while the master starts anew in the midst of it and clients give up and begin again. In the end each file wants what was asked for last, each of its chunks has just so many
 * replicas, and nothing that was acknowledged is lost.
 */
import { concatBytes } from "../../../src/base/bytes.ts";
import { hasCode } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import { pause } from "../client-machine.ts";
import { problemsOf, settled } from "../healed-phase.ts";
import type { Violation } from "../history.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

const directories = ["/a", "/a/b", "/a/b/c", "/a/new/deep", "/other"];
const logPath = "/a/b/log";

export const chosenReplicas: Story = (seed, plant) => {
  const prng = new Prng(`chosen replicas ${seed}`);
  const servers = prng.integer(4, 5);
  const limits = { ...simLimits, deleteGraceMs: 500, checkpointRecords: prng.integer(10, 400) };
  const cluster = new SmallCluster({ seed, limits, chunkservers: servers });
  const { simulation } = cluster;
  return told(cluster, (violations) => {
    const defaults = new Map<string, number>();
    const files = new Map<string, { readonly bytes: Uint8Array; replicas: number }>();
    const records: Uint8Array[] = [];
    const append = async (client: GfsClient): Promise<void> => {
      const record = content(prng.integer(10, 9_000), records.length + 1);
      await client.appendToFile(logPath, record);
      records.push(record);
    };
    const putSome = async (client: GfsClient, count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const path = `${prng.pick(directories)}/f${files.size}`;
        const bytes = content(prng.chance(0.5) ? prng.integer(1, 3_000) : prng.integer(60_000, 200_000), files.size);
        await client.put({ kind: "bytes", bytes }, path);
        files.set(path, { bytes, replicas: nearest(defaults, path) ?? simLimits.replicas });
      }
    };

    cluster.as("early client", async (client) => {
      await client.makeDirectory("/a/b/c", { parents: true });
      for (const path of ["/a", "/a/b/c"]) {
        if (prng.chance(0.2)) continue;
        defaults.set(path, prng.integer(1, servers));
        await client.setDefaultReplicas(path, defaults.get(path));
      }
      await putSome(client, 6);
      for (let i = 0; i < 3; i++) await append(client);
    });
    let logReplicas = nearest(defaults, logPath) ?? simLimits.replicas;

    for (let round = 0; round < 3; round++) {
      const replicas = prng.integer(1, servers);
      const top = prng.pick(["/a", "/a/b", "/", logPath, ...files.keys()]);
      const writer = cluster.begin("writer", async (client, world) => {
        for (let i = 0; i < 4; i++) {
          await append(client);
          await pause(world, prng.integer(1, 60));
        }
      });
      if (prng.chance(0.6))
        simulation.after(prng.integer(0, 40), () => {
          cluster.cluster.crash(cluster.cluster.master, { powerLoss: true }, prng.integer(20, 300));
        });
      cluster.as("operator", (client, world) => changed(client, world, { top, replicas, prng }));
      for (const [path, file] of files)
        if (path === top || path.startsWith(top === "/" ? "/" : `${top}/`)) file.replicas = replicas;
      if (logPath === top || logPath.startsWith(top === "/" ? "/" : `${top}/`)) logReplicas = replicas;
      simulation.complete(writer, 60_000);
      cluster.as("client", (client) => putSome(client, 2));
      if (prng.chance(0.3)) cluster.as("waiter", (client) => client.awaitReplicas(top, replicas));
    }
    plant?.(cluster);

    cluster.as("verifier", async (client, world) => {
      const wanted = new Map([...files].map(([path, { replicas }]) => [path, replicas]));
      for (const [path, { bytes }] of files) violations.push(...(await sameBytes(client, path, bytes)));
      violations.push(...(await sameBytes(client, logPath, concatBytes(records))));
      violations.push(
        ...(await settled(world, async () => {
          const found: Violation[] = [];
          for (const [path, replicas] of wanted) found.push(...(await replicasOf(client, path, replicas)));
          found.push(...(await replicasOf(client, logPath, logReplicas)));
          return [...found, ...(await problemsOf(client))];
        })),
      );
    });
  });
};

/** Of the nearest directory above that has one. */
function nearest(values: ReadonlyMap<string, number>, path: string): number | undefined {
  const above = [...values.keys()].filter((each) => path.startsWith(`${each}/`)).sort((a, b) => b.length - a.length);
  return values.get(above[0] ?? "");
}

/** Some give up, and begin again. */
async function changed(
  client: GfsClient,
  world: Parameters<typeof pause>[0],
  { top, replicas, prng }: { readonly top: string; readonly replicas: number; readonly prng: Prng },
): Promise<void> {
  const recursive = prng.chance(0.5) || (await client.stat(top)).entry.kind === "directory";
  if (prng.chance(0.3)) {
    const controller = new AbortController();
    world.clock.after(prng.integer(0, 30), () => controller.abort());
    await client.setReplicas(top, replicas, { recursive, signal: controller.signal }).catch((error: unknown) => {
      if (!hasCode(error, "Interrupted", "OutcomeUnknown")) throw error;
    });
  }
  await client.setReplicas(top, replicas, { recursive });
}

async function sameBytes(client: GfsClient, path: string, bytes: Uint8Array): Promise<Violation[]> {
  const read = await readAll(client, path).catch((error: unknown) => String(error));
  if (typeof read !== "string" && Buffer.compare(read, bytes) === 0) return [];
  return [{ promise: "P1", what: `${path} is ${typeof read === "string" ? read : `other bytes (${read.length})`}` }];
}

/** Just as many as were asked for: neither too few nor, once the grace is over, too many. */
async function replicasOf(client: GfsClient, path: string, wanted: number): Promise<Violation[]> {
  const { entry, extents } = await client.stat(path);
  const violations: Violation[] = [];
  if (entry.replicas !== wanted)
    violations.push({ promise: "P7", what: `${path} wants ${entry.replicas} replicas, and ${wanted} were asked for` });
  for (const { handle, state, replicas } of extents) {
    const healthy = replicas.filter(({ health }) => health === "healthy").length;
    if (state === "sealed" && healthy !== wanted)
      violations.push({
        promise: "P7",
        what: `chunk ${handle} of ${path} has ${healthy} replicas, and ${wanted} were asked for`,
      });
  }
  return violations;
}
