/** What an operator sees while servers die and come back: status, servers, locate, fsck, events. */
import { describe, expect, test } from "bun:test";
import { eventually } from "../tools/eventually.ts";
import { cleanEnvironment, fieldsOf, gfsPath, listOf, type RunResult, TestCluster } from "../tools/processes.ts";

/** Quick deaths and repairs, small chunks. */
const quick = {
  GFS_MASTER_CHUNK_SIZE: "1MiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
};

const content = new Uint8Array(2_500_000).fill(7);

/** The first line of status. */
async function verdict(cluster: TestCluster): Promise<string> {
  return (await cluster.run(["status"])).text.split("\n")[0] ?? "";
}

async function untilVerdict(cluster: TestCluster, beginning: string): Promise<void> {
  let last = "";
  await eventually(`status says ${beginning}`, async () => (last = await verdict(cluster)).startsWith(beginning)).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}; it says: ${last}`);
    },
  );
}

async function check(cluster: TestCluster): Promise<number> {
  return (await cluster.run(["status", "--check", "--quiet"])).code;
}

const linesOf = ({ text }: RunResult): string[] => text.trimEnd().split("\n");

/** Of an object that gfs printed on each line. */
function objectsOf(result: RunResult): Readonly<Record<string, unknown>>[] {
  return linesOf(result).map((line) => fieldsOf(JSON.parse(line)));
}

/** Steps that did not happen, each after those before it. */
function missingOf(
  all: readonly Readonly<Record<string, unknown>>[],
  story: readonly (readonly [kind: string, part: string])[],
): string[] {
  let from = 0;
  return story.flatMap(([kind, part]) => {
    const at = all.findIndex((event, i) => i >= from && event["kind"] === kind && String(event["text"]).includes(part));
    if (at >= 0) from = at + 1;
    return at >= 0 ? [] : [`${kind} … ${part}`];
  });
}

/** `gfs events -f`, and what it has printed so far. */
class Follower implements Disposable {
  text = "";
  readonly #child: Bun.Subprocess<"ignore", "pipe", "ignore">;

  constructor(master: string) {
    this.#child = Bun.spawn([gfsPath, "events", "-f", "--json", "--limit", "1000", "--master", master], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      env: cleanEnvironment(),
    });
    this.#read().catch(() => {});
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGINT");
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of this.#child.stdout) this.text += decoder.decode(piece, { stream: true });
  }
}

describe("servers die one after the other, and come back", () => {
  test("status says how the data is, servers and locate where it is, fsck what is short, events when and why", async () => {
    await using cluster = await TestCluster.start({ env: quick, chunkArgs: (i) => ["--rack", `r${i}`] });
    expect((await cluster.run(["put", "-", "/dir/file", "--quiet"], { stdin: content })).code).toBe(0);
    await untilVerdict(cluster, "healthy: all 3 chunks (2.50 MB) have the replicas wanted");
    expect(await check(cluster)).toBe(0);

    const located = linesOf(await cluster.run(["locate", "/dir/file", "--location", "10,0"]));
    expect(located[0]).toMatch(/^0: chunk \d+ version 1, 1048576 bytes, sealed, 3 of 3 replicas$/);
    expect(located[1]).toMatch(/^ {2}healthy on chunk-2 \(127\.0\.0\.1:\d+ at distance 0, rack r2\)$/);
    expect(located).toHaveLength(12);
    const one = fieldsOf(await cluster.json(["locate", "/dir/file", "--offset", "1048576", "--length", "1"]));
    expect(listOf(one["extents"]).map((extent) => fieldsOf(extent)["fileOffset"])).toEqual([1_048_576]);
    expect((await cluster.run(["locate", "/dir"])).stderr).toContain("it is a directory");

    using follower = new Follower(cluster.address);
    await cluster.chunkservers[1]?.kill();
    await untilVerdict(
      cluster,
      "degraded: of 3 chunks (2.50 MB) 3 (2.50 MB) have fewer replicas than wanted; 2.50 MB to copy, no estimate: ",
    );
    expect(await check(cluster)).toBe(9);
    const text = (await cluster.run(["status"])).text;
    expect(text).toMatch(/^! server chunk-2 is dead, silent for .*: start it again/m);
    expect(linesOf(await cluster.run(["servers"]))[1]).toMatch(/^chunk-2 .* r2 .*dead, silent for /);
    expect((await cluster.run(["locate", "/dir/file"])).text).toContain("dead on chunk-2");
    const short = await cluster.run(["fsck", "/dir", "--locations"]);
    expect(short.code).toBe(9);
    expect(short.text).toMatch(/^\/dir\/file: 2\.50 MB, 3 chunks, 3 replicas wanted: 3 problems$/m);
    expect(short.text).toMatch(/^ {2}0: chunk \d+ version 1, 1048576 bytes, sealed, 2 of 3 replicas$/m);
    expect(short.text).toMatch(/^ {4}dead on chunk-2 /m);

    await cluster.chunkservers[2]?.kill();
    await untilVerdict(cluster, "AT RISK: of 3 chunks (2.50 MB) 3 (2.50 MB) have one copy left");
    await cluster.chunkservers[0]?.kill();
    await untilVerdict(cluster, "LOST: of 3 chunks (2.50 MB) 3 (2.50 MB) have no replica that can be read");
    expect((await cluster.run(["status"])).text).toContain("! 3 lost chunks are on dead servers: start them again");
    expect([await check(cluster), (await cluster.run(["fsck"])).code]).toEqual([8, 8]);

    await Promise.all([cluster.restartChunkserver(1), cluster.restartChunkserver(3)]);
    await untilVerdict(cluster, "degraded: ");
    await cluster.restartChunkserver(4);
    await untilVerdict(cluster, "healthy: all 3 chunks");
    expect((await cluster.run(["fsck"])).code).toBe(0);
    await cluster.master.kill();
    await cluster.restartMaster();

    const all = objectsOf(await cluster.run(["events", "--since", "1h", "--json"]));
    const story: [kind: string, part: string][] = [
      ["master.ready", "epoch 1"],
      ["volume.registered", "chunk-2 joined the cluster"],
      ["volume.dead", "chunk-2 is dead: silent for"],
      ["health.degraded", "3 of 3 chunks have fewer replicas than wanted"],
      ["volume.dead", "chunk-3 is dead: silent for"],
      ["health.at-risk", "3 of 3 chunks have one copy left"],
      ["volume.dead", "chunk-1 is dead: silent for"],
      ["health.lost", "of /dir/file"],
      ["volume.live", "chunk-1 is back, after it was dead"],
      ["repair.healed", "of /dir/file has another replica, on chunk-4: chunk-2 is dead"],
      ["health.healthy", "all 3 chunks have their replicas"],
      ["master.ready", "epoch 2"],
    ];
    expect(missingOf(all, story)).toEqual([]);

    // A follower hears the same, and goes on over the master's restart.
    await eventually("the follower has heard of the restart", () => follower.text.includes("epoch 2"));
    const heard = follower.text
      .trimEnd()
      .split("\n")
      .map((line) => fieldsOf(JSON.parse(line)));
    expect(missingOf(heard, story)).toEqual([]);
    const numbers = heard.map((event) => Number(event["number"]));
    expect(numbers).toEqual([...new Set(numbers)].toSorted((x, y) => x - y));
  }, 180_000);
});
