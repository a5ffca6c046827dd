/** Every command that README.md shows is run, on a cluster of this machine: only directories, ports and hosts are changed. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { cleanEnvironment, gfsPath, ServerProcess } from "../tools/processes.ts";

const readme = readFileSync(resolve(import.meta.dirname, "../../README.md"), "utf8");

function blocks(title: string): string[][] {
  const section = readme.split(/^## /m).find((text) => text.startsWith(title)) ?? "";
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) =>
    (match[1] ?? "")
      .split("\n")
      .map((line) => line.replace(/\s+#.*$/, "").trim())
      .filter((line) => line !== ""),
  );
}

async function bash(line: string, cwd: string, env: Readonly<Record<string, string>>): Promise<void> {
  const path = `${dirname(gfsPath)}:${process.env["PATH"] ?? ""}`;
  const child = Bun.spawn(["bash", "-o", "pipefail", "-c", line], {
    cwd,
    env: { ...cleanEnvironment(env), PATH: path },
    stdout: "pipe",
    stderr: "pipe",
  });
  const stderr = await new Response(child.stderr).text();
  expect(`${line}: ${await child.exited} ${stderr}`).toBe(`${line}: 0 `);
}

function words(line: string, directory: string): string[] {
  const local = line
    .replaceAll(/\/disk(\d)\//g, `${directory}/disk$1/`)
    .replaceAll(/10\.0\.0\.\d+:\d+/g, "127.0.0.1:0")
    .replaceAll("cluster.secret", `${directory}/cluster.secret`);
  return local.split(/\s+/).slice(1);
}

test("the five-minute tour", async () => {
  const [start, tour, separate] = blocks("Five minutes");
  expect(start).toEqual(["gfs up"]);
  expect(tour?.length).toBeGreaterThan(6);
  const directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  const up = await ServerProcess.start(["up", "--data-dir", join(directory, "up"), "--listen", "127.0.0.1:0"]);
  const servers = [up];
  try {
    const photos = crypto.getRandomValues(new Uint8Array(65_536));
    writeFileSync(join(directory, "photos.tar"), photos);
    for (const line of tour ?? []) await bash(line, directory, { GFS_MASTER: up.ready["control"] ?? "" });
    expect(Buffer.compare(readFileSync(join(directory, "copy.tar")), photos)).toBe(0);
    expect(await up.stop()).toBe(0);

    // The same as separate processes, with a secret.
    mkdirSync(join(directory, "disk1"));
    mkdirSync(join(directory, "disk2"));
    const secret = join(directory, "cluster.secret");
    const env: Record<string, string> = { GFS_SECRET_FILE: secret };
    let address = "";
    for (const line of separate ?? []) {
      if (line.startsWith("gfs master") || line.startsWith("gfs chunk")) {
        const args = words(line, directory).map((word, i, all) => (all[i - 1] === "--master" ? address : word));
        const server = await ServerProcess.start(args, { env: { ...env, GFS_MASTER_MIN_REPLICAS: "1" } });
        servers.push(server);
        if (line.startsWith("gfs master")) address = server.ready["control"] ?? "";
      } else if (line.startsWith("export")) expect(line).toBe("export GFS_SECRET_FILE=cluster.secret");
      else if (line.startsWith("gfs put")) {
        // One chunkserver is shown, and the note that its file is short of replicas is the truth.
        const args = words(line, directory).map((word, i, all) => (all[i - 1] === "--master" ? address : word));
        await bash(`gfs ${args.join(" ")} --quiet`, directory, env);
      } else await bash(line, directory, {});
    }
    expect(servers).toHaveLength(3);
  } finally {
    await Promise.all(servers.map((server) => server.kill()));
    rmSync(directory, { recursive: true, force: true });
  }
}, 120_000);
