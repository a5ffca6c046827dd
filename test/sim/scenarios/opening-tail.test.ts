import { describe, expect, test } from "bun:test";
import { pause } from "../client-machine.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";

const record = content(500);

describe("DESIGN §4.4 the end of a file whose tail is being opened", () => {
  test("is waited for: readers have no tail sealed that no server has opened yet", () => {
    const cluster = new SmallCluster({ chunkservers: 3 });
    const { simulation } = cluster;
    const seals: unknown[] = [];
    simulation.onEvent(({ name, fields }) => {
      if (name === "seal.begin") seals.push(fields);
    });
    cluster.as("maker", (client) => client.put({ kind: "bytes", bytes: new Uint8Array() }, "/f"));
    // An open command takes a while: its record is synced before it is answered.
    for (const server of cluster.cluster.servers) server.drive("/volume").slow(200);
    const appended = cluster.begin("appender", (client) => client.appendToFile("/f", record));
    const reads = ["reader1", "reader2", "reader3"].map((name) =>
      cluster.begin(name, async (client, world) => {
        const read: number[] = [];
        while (read.at(-1) !== record.length) {
          read.push((await readAll(client, "/f")).length);
          await pause(world, 5);
        }
        return read;
      }),
    );
    expect(simulation.complete(appended, 20_000).offset).toBe(0);
    for (const read of reads) expect(new Set(simulation.complete(read, 20_000))).toEqual(new Set([0, record.length]));
    expect(seals).toEqual([]);
    expect(cluster.violations).toEqual([]);
  });
});
