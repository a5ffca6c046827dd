import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import { content } from "../unit/chunkserver/store/sim-volume.ts";
import { readAll, SmallCluster } from "./small-cluster.ts";

const data = content(200_000);

async function put(client: GfsClient, path: string, overwrite = false): Promise<void> {
  await client.put({ kind: "bytes", bytes: data }, path, { overwrite });
}

/** Labels of the servers that hold the file's first chunk and may be read; those that reported it healthy, where `sure`. */
async function holders(client: GfsClient, path: string, sure = false): Promise<string[]> {
  const { extents } = await client.stat(path);
  const replicas = extents[0]?.replicas ?? [];
  return replicas
    .filter(({ health }) => health === "healthy" || (!sure && health === "unreported"))
    .map(({ label }) => label);
}

describe("the paper over a whole cluster", () => {
  test("§2.3 a file is divided into chunks, each replicated on three chunkservers", () => {
    const cluster = new SmallCluster();
    cluster.as("client", async (client) => {
      await put(client, "/f");
      expect(await readAll(client, "/f")).toEqual(data);
      const { extents } = await client.stat("/f");
      expect(extents).toHaveLength(Math.ceil(data.length / 65_536));
      for (const { replicas } of extents) expect(new Set(replicas.map(({ volume }) => volume)).size).toBe(3);
    });
    expect(cluster.violations).toEqual([]);
  });

  test("§3.3 many clients append to one file at the same time: each record is there once, whole, each client's in order", () => {
    const cluster = new SmallCluster();
    const count = 15;
    const names = ["a", "b", "c"];
    const appenders = names.map((name) =>
      cluster.begin(name, async (client) => {
        for (let i = 0; i < count; i++) await client.appendToFile("/log", utf8(`${name}${i};`));
      }),
    );
    for (const appender of appenders) cluster.simulation.complete(appender);
    const text = cluster.as("reader", async (client) => new TextDecoder().decode(await readAll(client, "/log")));
    const records = text.split(";").slice(0, -1);
    expect(records).toHaveLength(names.length * count);
    for (const name of names)
      expect(records.filter((record) => record.startsWith(name))).toEqual(
        Array.from({ length: count }, (_, i) => `${name}${i}`),
      );
  });

  test("§3.1 the primary dies in the middle of appends: they go on elsewhere, nothing acknowledged is lost or doubled", () => {
    const cluster = new SmallCluster();
    const count = 30;
    const primary = cluster.as("first", async (client) => {
      await client.appendToFile("/log", utf8("begin;"));
      const { extents } = await client.stat("/log");
      return extents.at(-1)?.replicas[0]?.label ?? "";
    });
    const appender = cluster.begin("appender", async (client) => {
      for (let i = 0; i < count; i++) await client.appendToFile("/log", utf8(`${i};`));
    });
    cluster.simulation.after(40, () => cluster.cluster.crash(cluster.server(primary), { powerLoss: true }, 5_000));
    cluster.simulation.complete(appender);
    const text = cluster.as("reader", async (client) => new TextDecoder().decode(await readAll(client, "/log")));
    expect(text).toBe(`begin;${Array.from({ length: count }, (_, i) => `${i};`).join("")}`);
    expect(cluster.violations).toEqual([]);
  });

  test("§5.1.2 a chunkserver is lost for ever: its chunks are cloned until each has three replicas again", () => {
    const cluster = new SmallCluster();
    const [lost = ""] = cluster.as("client", async (client) => {
      await put(client, "/f");
      return holders(client, "/f");
    });
    cluster.cluster.replace(cluster.server(lost));
    cluster.until("repair", async (client) => {
      const { chunks } = await client.status();
      const holding = await holders(client, "/f", true);
      return chunks.short === 0 && chunks.lost === 0 && holding.length === 3 && !holding.includes(lost);
    });
    cluster.as("reader", async (client) => {
      expect(await holders(client, "/f")).toHaveLength(3);
      expect(await readAll(client, "/f")).toEqual(data);
    });
  });

  test("§5.1.1 and §2.6.2 the master dies: the next one knows every file from its log, and learns from the chunkservers what they hold", () => {
    const cluster = new SmallCluster();
    cluster.as("client", (client) => put(client, "/f"));
    cluster.cluster.crash(cluster.cluster.master, { powerLoss: true }, 1_000);
    cluster.as("reader", async (client) => expect(await readAll(client, "/f")).toEqual(data));
    cluster.until("reports", async (client) => {
      const { safeMode, chunks } = await client.status();
      return !safeMode.active && chunks.healthy === Math.ceil(data.length / 65_536);
    });
    expect(cluster.violations).toEqual([]);
  });

  test("§4.4 storage of a removed file is reclaimed lazily: after the trash and the grace it is gone from every disk", () => {
    const cluster = new SmallCluster();
    const used = (client: GfsClient): Promise<number> => client.space().then(({ usedBytes }) => usedBytes);
    cluster.as("client", async (client) => {
      await put(client, "/f");
      await client.remove("/f");
      expect((await client.status()).trash.entries).toBe(1);
    });
    cluster.until("the trash to be empty", async (client) => (await client.status()).trash.entries === 0);
    cluster.until("the disks to be empty", async (client) => (await used(client)) === 0);
  });

  test("§5.2 a replica rots on its disk: readers never see it, and it is replaced by a copy of a good one", () => {
    const cluster = new SmallCluster();
    const [label = ""] = cluster.as("client", async (client) => {
      await put(client, "/f");
      return holders(client, "/f");
    });
    const server = cluster.server(label);
    const path = cluster.as("looker", async (client) => {
      const { extents } = await client.stat("/f");
      const hex = (extents[0]?.handle ?? 0).toString(16).padStart(16, "0");
      return `/volume/chunks/${hex.slice(14)}/${hex}`;
    });
    server.drive("/volume").corrupt(path, 1_000);
    // From its own place, so that it is asked first.
    const location = { x: Number(label.replace("server", "")), y: 0 };
    const read = (client: GfsClient) => readAll(client, "/f");
    expect(cluster.as("reader", read, { location })).toEqual(data);
    cluster.until("repair", async (client) => {
      const holding = await holders(client, "/f", true);
      return holding.length === 3 && (await client.status()).repair.done > 0;
    });
    expect(cluster.as("reader", read, { location })).toEqual(data);
  });
});
