import { describe, expect, test } from "bun:test";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";

const record = content(500);

describe("promise P6: a drive that answers nothing, under a server that is well otherwise", () => {
  test("keeps nobody waiting: its server counts as gone after a while, and is back when it answers again", () => {
    const cluster = new SmallCluster({ chunkservers: 3 });
    cluster.as("maker", (client) => client.put({ kind: "bytes", bytes: new Uint8Array() }, "/f", { replicas: 2 }));
    const first = cluster.as("appender", (client) => client.appendToFile("/f", record));
    expect(first.offset).toBe(0);
    const status = cluster.as("looker", (client) => client.stat("/f"));
    const [, secondary] = status.extents.at(-1)?.replicas ?? [];
    const hanging = cluster.server(secondary?.label ?? "");
    // The next sync takes hours. All else that it is asked, it answers.
    hanging.drive("/volume").slow(100_000_000);
    cluster.simulation.onEvent(({ name, machine }) => {
      if (name === "mutation.START" && machine === hanging.name)
        cluster.simulation.after(1, () => hanging.drive("/volume").slow(1));
    });
    const appended = cluster.begin("appender", async (client) => {
      for (;;) {
        try {
          return await client.appendToFile("/f", record);
        } catch {
          // Given up by its own time-out: asked for again, as a user would.
        }
      }
    });
    expect(cluster.simulation.complete(appended, 60_000).offset).toBeGreaterThanOrEqual(record.length);
    const server = cluster
      .as("looker", (client) => client.status())
      .servers.find(({ label }) => label === hanging.name);
    expect(server?.liveness).toBe("dead");
    // What hangs in the drive ends with the process.
    cluster.cluster.crash(hanging, { powerLoss: false }, 100);
    cluster.until("it is back", async (client) =>
      (await client.status()).servers.every(({ liveness }) => liveness === "live"),
    );
    const bytes = cluster.as("reader", (client) => readAll(client, "/f"));
    expect(bytes.length % record.length).toBe(0);
    expect(bytes.length).toBeGreaterThanOrEqual(2 * record.length);
    expect(cluster.violations).toEqual([]);
  });
});
