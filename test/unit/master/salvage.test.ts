/** A master's directory out of chunks alone, in the simulation: all that trailers tell comes back, and is served (DESIGN §4.7). */
import { describe, expect, test } from "bun:test";
import { asGfsError, GfsError } from "../../../src/base/errors.ts";
import { readVolume, type SalvagedVolume } from "../../../src/chunkserver/salvage/read-volume.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { gatherChunks } from "../../../src/master/core/salvage-chunks.ts";
import { planSalvage } from "../../../src/master/core/salvage-plan.ts";
import { isFilePath, writeSalvage } from "../../../src/master/salvage.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { simLimits } from "../../sim/sim-limits.ts";
import type { Machine } from "../../sim/world/machine.ts";
import { content } from "../chunkserver/store/sim-volume.ts";

const directory = "/master1";

/** Of a server whose process has just died. */
function volumeOf(cluster: SmallCluster, server: Machine, verify = true): SalvagedVolume {
  server.crash({ powerLoss: true });
  server.restart();
  return cluster.simulation.do(server, (world) => readVolume(world, "/volume", { verify }));
}

function salvage(cluster: SmallCluster, volumes: readonly SalvagedVolume[]) {
  const { master } = cluster.cluster;
  master.crash({ powerLoss: true });
  cluster.simulation.runFor(200);
  master.restart();
  const replicas = volumes.flatMap(({ replicas: own }, volume) => own.map((replica) => ({ ...replica, volume })));
  const { chunks, problems } = gatherChunks(replicas);
  const files = planSalvage(chunks, isFilePath);
  cluster.simulation.do(master, async (world) => {
    await world.disk.removeTree(directory);
    await writeSalvage(world, directory, {
      limits: simLimits,
      input: {
        clusterId: volumes[0]!.clusterId!,
        epoch: Math.max(...volumes.map(({ epoch }) => epoch)),
        highestHandle: Math.max(...volumes.map(({ highestHandle }) => highestHandle)),
        inodes: new Set(replicas.flatMap(({ origin }) => origin?.inode ?? [])),
        volumes: volumes.map(({ volume }, i) => ({ volume, label: `server${i}` })),
        files,
        source: "chunks",
      },
    });
  });
  for (const machine of cluster.cluster.machines) cluster.cluster.begin(machine);
  return { files, problems: [...problems, ...volumes.flatMap((volume) => volume.problems)] };
}

describe("salvage", () => {
  test("brings back what was put and appended, also what only the volume logs had, and the cluster goes on", () => {
    for (const seed of [1, 2, 3]) {
      const cluster = new SmallCluster({ seed, chunkservers: 3 });
      const files = new Map([
        ["/d/large", content(200_000, 1)],
        ["/d/small", content(900, 2)],
        ["/other/two", content(70_000, 3)],
      ]);
      const record = content(700, 4);
      cluster.as("client", async (client) => {
        for (const [path, bytes] of files) await client.put({ kind: "bytes", bytes }, path);
        // The first append is a put, the others lie on an open tail.
        for (let i = 0; i < 4; i++) await client.appendToFile("/log", record);
      });
      if (seed === 2) cluster.simulation.runFor(20_000);
      const volumes = cluster.cluster.servers.map((server) => volumeOf(cluster, server));
      expect(volumes.flatMap(({ problems }) => problems)).toEqual([]);
      expect(volumes.every(({ epoch }) => epoch > 0)).toBe(true);
      const { files: found } = salvage(cluster, volumes);
      expect(found.map(({ path, state }) => `${path} ${state}`).sort()).toEqual(
        [...files.keys(), "/log"].map((path) => `${path} whole`).sort(),
      );
      for (const [path, bytes] of files) expect(cluster.as("reader", (client) => readAll(client, path))).toEqual(bytes);
      const early = cluster.as("mutator", (client) =>
        client.makeDirectory("/early").catch((error: unknown) => (error instanceof GfsError ? error.code : error)),
      );
      expect(early).toBe("MutationsStopped");
      // No seal is begun before the confirmation, and nothing else tells the length of its tail: that is said at once.
      const looks: ((client: GfsClient) => Promise<unknown>)[] = [
        (client) => client.stat("/log"),
        (client) => readAll(client, "/log"),
      ];
      for (const look of looks) {
        const failure = cluster.as("looker", async (client) => look(client).then(() => undefined, asGfsError));
        expect(failure?.code).toBe("MutationsStopped");
        expect(failure?.message).toMatch(
          /^Cannot tell the length of \/log before its tail is sealed: .*gfs master confirm$/,
        );
      }
      cluster.as("operator", (client) => client.confirm());
      cluster.until("the log is whole", async (client) => {
        const read = await readAll(client, "/log").catch(() => undefined);
        return read?.length === 4 * record.length;
      });
      cluster.as("client", (client) => client.appendToFile("/log", record));
      files.set("/log", Buffer.concat(Array.from({ length: 5 }, () => record)));
      cluster.as("client", async (client) => {
        await client.put({ kind: "bytes", bytes: record }, "/new");
        for (const [path, bytes] of files) expect(Buffer.from(await readAll(client, path))).toEqual(Buffer.from(bytes));
      });
      expect(cluster.violations).toEqual([]);
    }
  });

  test("takes what is left of servers: a damaged replica is told, and another one used", () => {
    const cluster = new SmallCluster({ seed: 5, chunkservers: 3 });
    const bytes = content(150_000, 1);
    cluster.as("client", (client) => client.put({ kind: "bytes", bytes }, "/a"));
    const [first, second] = cluster.cluster.servers;
    const drive = first!.drive("/volume");
    const damaged = drive.files.filesUnder("/volume/chunks");
    for (const path of damaged) drive.corrupt(path, 1_000);
    const volumes = [volumeOf(cluster, first!), volumeOf(cluster, second!)];
    expect(volumes[0]?.problems).toHaveLength(damaged.length);
    expect(damaged.length).toBeGreaterThan(0);
    const third = cluster.cluster.servers[2]!;
    third.crash({ powerLoss: true });
    third.restart();
    salvage(cluster, volumes);
    expect(Buffer.from(cluster.as("reader", (client) => readAll(client, "/a")))).toEqual(Buffer.from(bytes));
  });

  test("goes on past sectors that a disk does not give any more", () => {
    const cluster = new SmallCluster({ seed: 4, chunkservers: 3 });
    const bytes = content(300_000, 5);
    cluster.as("client", (client) => client.put({ kind: "bytes", bytes }, "/d/large"));
    cluster.simulation.runFor(20_000);
    const [first, ...others] = cluster.cluster.servers;
    first!.drive().fail({ operation: "read", pathPrefix: "/volume/chunks", times: 2 });
    const broken = volumeOf(cluster, first!);
    expect(broken.problems.filter((problem) => problem.includes("input/output error"))).not.toEqual([]);
    others[0]!.drive().fail({ operation: "read", pathPrefix: "/volume/log", times: Infinity });
    const volumes = [broken, ...others.map((server) => volumeOf(cluster, server))];
    expect(volumes[1]?.replicas.length).toBeGreaterThan(0);
    expect(salvage(cluster, volumes).files.map(({ path, state }) => `${path} ${state}`)).toEqual(["/d/large whole"]);
  });

  test("of a cluster that was salvaged before gives back what was appended since, and mixes no files", () => {
    const cluster = new SmallCluster({ seed: 8, chunkservers: 3 });
    const record = content(700, 4);
    const files = new Map<string, Uint8Array>();
    const append = (path: string): void => {
      cluster.as("client", (client) => client.appendToFile(path, record));
      files.set(path, Buffer.concat([files.get(path) ?? new Uint8Array(0), record]));
    };
    const again = (): void => {
      cluster.simulation.runFor(20_000);
      const volumes = cluster.cluster.servers.map((server) => volumeOf(cluster, server));
      const { files: found } = salvage(cluster, volumes);
      expect(found.map(({ path, state }) => `${path} ${state}`).sort()).toEqual(
        [...files.keys()].map((path) => `${path} whole`).sort(),
      );
      cluster.as("operator", (client) => client.confirm());
      for (const [path, bytes] of files)
        cluster.until(`${path} is whole`, async (client) => {
          const read = await readAll(client, path).catch(() => undefined);
          return read !== undefined && Buffer.from(read).equals(bytes);
        });
    };
    for (const path of ["/d/a", "/d/b", "/c", "/e"]) for (let i = 0; i < 2; i++) append(path);
    again();
    for (const path of ["/c", "/n/1", "/n/2", "/n/3", "/n/4", "/d/a"]) for (let i = 0; i < 2; i++) append(path);
    again();
    for (const path of ["/c", "/m/1", "/e"]) append(path);
    again();
    expect(cluster.violations).toEqual([]);
  });

  test("refuses a volume that is in use, and what is none", () => {
    const cluster = new SmallCluster({ seed: 6, chunkservers: 1 });
    const [server] = cluster.cluster.servers;
    const read = (path: string) => () =>
      cluster.simulation.do(server!, (world) => readVolume(world, path, { verify: false }));
    expect(read("/volume")).toThrow("a chunkserver has it open");
    expect(read("/nothing")).toThrow("it is no directory of a chunkserver");
  });

  test("without the volume log, data files alone tell what they are", () => {
    const cluster = new SmallCluster({ seed: 7, chunkservers: 3 });
    const bytes = content(150_000, 1);
    cluster.as("client", (client) => client.put({ kind: "bytes", bytes }, "/a"));
    const volumes = cluster.cluster.servers.map((server) => {
      server.crash({ powerLoss: true });
      server.restart();
      return cluster.simulation.do(server, async (world) => {
        await world.disk.removeTree("/volume/log");
        return readVolume(world, "/volume", { verify: true });
      });
    });
    for (const { problems, replicas } of volumes) {
      expect(problems).toEqual([expect.stringContaining("what was not in a data file yet is lost here")]);
      expect(replicas.length).toBeGreaterThan(0);
    }
  });
});
