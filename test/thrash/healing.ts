/** After the faults: everything up, until it is whole again; then every file is read by the library and from each of its replicas (P1, P2, P5, P6, P7). */
import { concatBytes } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { asGfsError } from "../../src/base/errors.ts";
import type { GfsClient } from "../../src/gfs.ts";
import { makeHostWorld } from "../../src/host/world.ts";
import { FramePool } from "../../src/net/frame-pool.ts";
import { compareReplicas, problemsOf, settled, whatIsWanting } from "../sim/healed-phase.ts";
import type { Violation } from "../sim/history.ts";
import type { ThrashCluster } from "./thrash-cluster.ts";
import type { ThrashWorkload } from "./workload.ts";

const wholeLimitMs = 150_000;
const world = makeHostWorld({ logLevel: "error", logFormat: "text" });

/** All are up, none stands still, and all links are open. Whoever is busy with a process has it up again. */
export function reviveAll(cluster: ThrashCluster, busy: ReadonlySet<string> = new Set()): void {
  cluster.network.heal();
  for (const process of [...cluster.roles, ...cluster.clients]) {
    if (busy.has(process.name)) continue;
    process.resume();
    process.start();
  }
  for (const { name } of cluster.roles) cluster.network.proxy.delay(name, 0);
}

/** How long it took until nothing was short; or why it is not yet. */
export async function untilWhole(cluster: ThrashCluster): Promise<number | string> {
  const beganMs = performance.now();
  let last = "no answer yet";
  while (performance.now() - beganMs < wholeLimitMs) {
    try {
      await using client = await cluster.connect();
      while (performance.now() - beganMs < wholeLimitMs) {
        const status = await client.status();
        const live = status.servers.filter(({ liveness }) => liveness === "live").map(({ label }) => label);
        const down = cluster.servers.filter(({ name }) => !live.includes(name)).map(({ name }) => name);
        const wanting = whatIsWanting(status) ?? (down.length > 0 ? `not live: ${down.join(", ")}` : undefined);
        if (wanting === undefined) return performance.now() - beganMs;
        last = wanting;
        await Bun.sleep(200);
      }
    } catch (error) {
      last = textOf(error);
      await Bun.sleep(200);
    }
  }
  return `not whole ${wholeLimitMs} ms after all faults were over: ${last}`;
}

/** What a file held when it was last judged. */
export interface KeptFile {
  readonly path: string;
  readonly bytes: number;
  readonly crc: number;
}

/** Reads every replica of every file, so that damage nobody has read yet is found; what is read does not matter. */
export async function findDamage(cluster: ThrashCluster, paths: readonly string[]): Promise<void> {
  await using client = await cluster.connect();
  using pool = await poolOf(cluster, client);
  for (const path of paths) {
    try {
      await compareReplicas(await client.stat(path), pool.frames);
    } catch {
      continue; // there may be no such file; what is there is read for good later
    }
  }
}

/** Every file of a workload, by the library into its history and from each replica; what was found, and what the files hold. */
export async function readEverything(
  cluster: ThrashCluster,
  workload: ThrashWorkload,
): Promise<{ readonly violations: readonly Violation[]; readonly files: readonly KeptFile[] }> {
  const violations: Violation[] = [];
  const files: KeptFile[] = [];
  await using client = await cluster.connect();
  using pool = await poolOf(cluster, client);
  for (const path of workload.paths) {
    const read = workload.noteRead("judge", path);
    try {
      const content = await contentOf(client, path);
      read.done(content);
      if (content === undefined) continue;
      files.push({ path, bytes: content.length, crc: crc32(content) });
      violations.push(...(await settled(world, async () => compareReplicas(await client.stat(path), pool.frames))));
    } catch (error) {
      violations.push({
        promise: "P1",
        what: `${path} can't be read after all faults were over: ${textOf(error)}`,
      });
    }
  }
  return { violations, files };
}

/** Files of earlier rounds are what they were; and the check of the whole file system finds nothing. */
export async function checkKept(cluster: ThrashCluster, kept: readonly KeptFile[]): Promise<Violation[]> {
  const violations: Violation[] = [];
  await using client = await cluster.connect();
  for (const { path, bytes, crc } of kept) {
    try {
      const content = await contentOf(client, path);
      if (content === undefined) violations.push({ promise: "P1", what: `${path} was there, and is not any more` });
      else if (content.length !== bytes || crc32(content) !== crc)
        violations.push({
          promise: "P2",
          what: `${path} (${content.length} bytes) is not what it was (${bytes} bytes)`,
        });
    } catch (error) {
      violations.push({ promise: "P1", what: `${path} can't be read any more: ${textOf(error)}` });
    }
  }
  violations.push(...(await settled(world, () => problemsOf(client))));
  return violations;
}

async function contentOf(client: GfsClient, path: string): Promise<Uint8Array | undefined> {
  try {
    const pieces: Uint8Array[] = [];
    for await (const piece of client.read(path)) pieces.push(piece);
    return concatBytes(pieces);
  } catch (error) {
    if (asGfsError(error).code === "NotFound") return undefined;
    throw error;
  }
}

async function poolOf(cluster: ThrashCluster, client: GfsClient): Promise<{ readonly frames: FramePool } & Disposable> {
  const { clusterId } = await client.status();
  const frames = new FramePool(world, { role: "client", secret: cluster.secret, clusterId: () => clusterId });
  return { frames, [Symbol.dispose]: () => frames.close() };
}

function textOf(error: unknown): string {
  const { code, message, stack } = asGfsError(error);
  return code === "Bug" ? `${message}\n${stack ?? ""}` : `${message} (${code})`;
}
