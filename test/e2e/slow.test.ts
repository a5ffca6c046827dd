/** Servers that hang while they are read from. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultLimits } from "../../src/limits.ts";
import { cleanEnvironment, gfsPath, TestCluster } from "../tools/processes.ts";

test("a server that is frozen in the middle of a get does not hold it up for the stall time, and no byte is lost or doubled", async () => {
  await using cluster = await TestCluster.start({ env: { GFS_MASTER_CHUNK_SIZE: "32MiB" } });
  const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  try {
    // More than all buffers between the server and here.
    const data = randomBytes(28 * 1_048_576);
    writeFileSync(join(folder, "in"), data);
    const put = await cluster.run(["put", join(folder, "in"), "/file", "--quiet"]);
    expect(put.stderr).toBe("");
    const child = Bun.spawn([gfsPath, "get", "/file", "-", "--master", cluster.address, "--location", "0,0"], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: cleanEnvironment(),
    });
    const got: Uint8Array[] = [];
    let frozenAtMs = 0;
    const nearest = cluster.chunkservers[0]!;
    for await (const piece of child.stdout) {
      got.push(piece);
      if (frozenAtMs > 0) continue;
      nearest.signal("SIGSTOP");
      frozenAtMs = performance.now();
    }
    const tookMs = performance.now() - frozenAtMs;
    expect(await new Response(child.stderr).text()).toBe("");
    expect(await child.exited).toBe(0);
    expect(Buffer.compare(Buffer.concat(got), data)).toBe(0);
    expect(tookMs).toBeLessThan(0.9 * defaultLimits.readStallMs);
    nearest.signal("SIGCONT");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);
