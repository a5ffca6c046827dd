/**
 * The main job on real input: a cluster of four processes stores a large file, appends to it, and gives it back whole, also after one
 * chunkserver was killed. Ends with 0 only if every byte came back.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gfs, gfsPath, TestCluster } from "./processes.ts";
import { toolFlags } from "./tool-flags.ts";

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

async function sha256(...paths: readonly string[]): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for (const path of paths) for await (const piece of Bun.file(path).stream()) hash.update(piece);
  return hash.digest("hex");
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function must(cluster: TestCluster, args: readonly string[]): Promise<string> {
  const result = await cluster.run(args);
  if (result.code !== 0) throw new Error(`gfs ${args.join(" ")} ended with ${result.code}: ${result.stderr}`);
  return result.text;
}

async function timed(cluster: TestCluster, args: readonly string[], bytes: number): Promise<void> {
  say(`  $ gfs ${args.join(" ")}`);
  const startedMs = performance.now();
  await must(cluster, args);
  const seconds = (performance.now() - startedMs) / 1_000;
  say(`    ${mb(bytes)} in ${seconds.toFixed(2)} s: ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`);
}

async function demo(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "gfs-demo-"));
  try {
    say(`a master and three chunkservers at (0,0), (10,0) and (20,0), in ${directory}`);
    await using cluster = await TestCluster.start({ directory });
    for (const server of [cluster.master, ...cluster.chunkservers])
      say(`  pid ${server.pid}: ${JSON.stringify(server.ready)}`);

    const bytes = statSync(gfsPath).size;
    const copy = join(directory, "copy");
    const tail = join(directory, "tail");
    say(`\n1. store ${gfsPath} (${mb(bytes)}) with three replicas, as a client near chunk-1`);
    await timed(cluster, ["put", gfsPath, "/demo/gfs", "--location", "1,0"], bytes);

    say("\n2. append to it");
    await Bun.write(tail, "and this line was appended\n".repeat(1_000));
    await timed(cluster, ["append", "/demo/gfs", tail], statSync(tail).size);

    say("\n3. get it back and compare");
    const total = bytes + statSync(tail).size;
    const wanted = await sha256(gfsPath, tail);
    await timed(cluster, ["get", "/demo/gfs", copy, "--location", "1,0"], total);
    await compare(copy, wanted);

    say("\n4. where each chunk lies, nearest replica first");
    say(await must(cluster, ["stat", "/demo/gfs", "--location", "1,0"]));

    say("5. kill chunk-1, the nearest, with SIGKILL, and get it again");
    await cluster.chunkservers[0]?.kill();
    await timed(cluster, ["get", "/demo/gfs", copy, "--overwrite", "--location", "1,0"], total);
    await compare(copy, wanted);

    say("\n6. what the cluster says of itself");
    say(await must(cluster, ["status"]));
    say("7. stop");
    for (const server of [...cluster.chunkservers.slice(1), cluster.master]) {
      const code = await server.stop();
      if (code !== 0) throw new Error(`pid ${server.pid} ended with ${code}: ${server.stderr}`);
    }
    const refused = await gfs(["status", "--master", cluster.address, "--timeout", "2"]);
    if (refused.code !== 7)
      throw new Error(`the master still answers after it was stopped (exit code ${refused.code})`);
    say("  all processes ended cleanly; nothing is left behind");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compare(copy: string, wanted: string): Promise<void> {
  const got = await sha256(copy);
  if (got !== wanted) throw new Error(`the copy's SHA-256 is ${got}, not ${wanted}`);
  say(`    SHA-256 ${got}: the same`);
}

toolFlags({
  command: "bun run demo",
  about:
    "Starts a master and three chunkservers, stores a large file, appends to it, kills a server, and gets it all back.",
  flags: {},
  examples: ["bun run demo"],
});
await demo();
