import { describe, expect, test } from "bun:test";
import { sleep } from "../../../src/net/deadline.ts";
import { SmallCluster } from "../../paper/small-cluster.ts";
import { simLimits } from "../../sim/sim-limits.ts";

describe("sizes of what is being appended to (P7)", () => {
  test("du and status count what heartbeats told of it, and how many files may hold more", () => {
    const small = new SmallCluster();
    const [sealed, open] = small.as("c", async (client, { clock }) => {
      await client.makeDirectory("/d");
      await client.put({ kind: "bytes", bytes: new Uint8Array(700) }, "/d/whole");
      const look = async () => ({ usage: await client.usage("/d"), status: await client.status() });
      const before = await look();
      for (const name of ["a", "b"]) {
        await client.put({ kind: "bytes", bytes: new Uint8Array(0) }, `/d/${name}`);
        await client.appendToFile(`/d/${name}`, new Uint8Array(50));
      }
      await sleep(clock, 3 * simLimits.heartbeatMs);
      return [before, await look()];
    });
    const { replicas } = simLimits;
    expect(sealed.usage).toEqual({
      files: 1,
      directories: 0,
      openFiles: 0,
      bytes: 700,
      storedBytes: 700 * replicas,
    });
    expect(sealed.status).toMatchObject({ files: 1, openFiles: 0, bytes: 700 });
    expect(open.usage).toEqual({ files: 3, directories: 0, openFiles: 2, bytes: 800, storedBytes: 800 * replicas });
    expect(open.status).toMatchObject({ files: 3, directories: 1, openFiles: 2, bytes: 800 });
  });

  test("fsck counts chunks and bytes as stat and status do, and tells which files are open", () => {
    const small = new SmallCluster();
    const [pages, stats, status] = small.as("c", async (client, { clock }) => {
      await client.makeDirectory("/d");
      await client.put({ kind: "bytes", bytes: new Uint8Array(700) }, "/d/whole");
      for (let i = 0; i < 2; i++) await client.appendToFile("/d/log", new Uint8Array(50));
      await sleep(clock, 3 * simLimits.heartbeatMs);
      const found = [];
      for await (const page of client.fsck("/d", { list: true })) found.push(page);
      return [found, [await client.stat("/d/whole"), await client.stat("/d/log")], await client.status()];
    });
    expect(pages).toHaveLength(1);
    expect(pages[0]).toMatchObject({ files: 2, openFiles: 1, chunks: 3, bytes: 800, problems: [] });
    expect(pages[0]?.listed.map(({ path, chunks, bytes, open }) => [path, chunks, bytes, open])).toEqual([
      ["/d/whole", 1, 700, false],
      ["/d/log", 2, 100, true],
    ]);
    expect(stats.map(({ extentCount, entry }) => [extentCount, entry.bytes, entry.open])).toEqual([
      [1, 700, false],
      [2, 100, true],
    ]);
    expect(status).toMatchObject({ files: 2, openFiles: 1, bytes: 800 });
    expect(status.chunks.total).toBe(3);
  });
});
