/**
 * The point 7: processes that append to one file leave exactly those records, each once, whole, each process's own in order, while every server in turn is
 * killed and restarted. `GFS_STORM_RECORDS` sets how many each process appends.
 */
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { cleanEnvironment, fieldsOf, listOf, TestCluster } from "../tools/processes.ts";
import { recordOf } from "./append-child.ts";

const writers = 8;
const records = Number(process.env["GFS_STORM_RECORDS"] ?? "300");
/** Between records, so that they are spread over the kills; the last waits until every server was killed. */
const pauseMs = Math.floor(5_000 / records);

const env = {
  GFS_MASTER_CHUNK_SIZE: "8MiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3",
  GFS_MASTER_LEASE_SECONDS: "5",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
};

/** The number, from 1, of the chunkserver that leads the chain of the file's last extent; undefined where none is open. */
async function primaryOf(cluster: TestCluster, path: string): Promise<number | undefined> {
  const last = fieldsOf(listOf(fieldsOf(await cluster.json(["stat", path]))["extents"]).at(-1));
  const label = String(fieldsOf(listOf(last["replicas"])[0])["label"]);
  return last["state"] === "open" ? Number(label.replace("chunk-", "")) : undefined;
}

function startWriter(cluster: TestCluster, writer: number) {
  const program = resolve(import.meta.dirname, "append-child.ts");
  const args = [cluster.address, "/log", writer, records, pauseMs].map(String);
  return Bun.spawn([process.execPath, program, ...args], {
    env: cleanEnvironment(),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
}

test("every record is there once, whole and in its process's order, whichever server is killed meanwhile", async () => {
  await using cluster = await TestCluster.start({ env });
  expect((await cluster.run(["append", "/log", "-"], { stdin: new TextEncoder().encode("head\n") })).code).toBe(0);
  const children = Array.from({ length: writers }, (_, writer) => startWriter(cluster, writer));
  const running = (): boolean => children.some(({ exitCode }) => exitCode === null);
  try {
    const killed = { primary: 0, chunkservers: 0, master: 0 };
    const kill = async (i: number): Promise<void> => {
      if ((await primaryOf(cluster, "/log").catch(() => undefined)) === i) killed.primary++;
      await cluster.chunkservers[i - 1]?.kill();
      killed.chunkservers++;
      await Bun.sleep(200);
      await cluster.restartChunkserver(i);
      await Bun.sleep(400);
    };
    let held = true;
    // All in turn, the primary first, and again for as long as the run takes.
    await Bun.sleep(300);
    const first = (await primaryOf(cluster, "/log")) ?? 1;
    do {
      for (const i of [first, (first % 3) + 1, ((first + 1) % 3) + 1]) if (running()) await kill(i);
      if (running()) {
        await cluster.master.kill();
        killed.master++;
        await cluster.restartMaster();
        await Bun.sleep(500);
      }
      if (held && killed.primary > 0) {
        held = false;
        for (const { stdin } of children) await stdin.end();
      }
    } while (running());
    const codes = await Promise.all(children.map(({ exited }) => exited));
    const said = await Promise.all(children.map(async ({ stderr }) => new Response(stderr).text()));
    expect([codes, said]).toEqual([codes.map(() => 0), said.map(() => "")]);
    expect([killed.chunkservers >= 3, killed.master > 0]).toEqual([true, true]);

    const log = await cluster.run(["cat", "/log"]);
    expect(log.code).toBe(0);
    const lines = log.text.split(/(?<=\n)/);
    expect(lines.shift()).toBe("head\n");
    expect(lines).toHaveLength(writers * records);
    for (let writer = 0; writer < writers; writer++) {
      const own = lines.filter((line) => line.startsWith(`${writer} `));
      expect(own.findIndex((line, i) => line !== recordOf(String(writer), i))).toBe(-1);
      expect(own).toHaveLength(records);
    }
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}, 600_000);
