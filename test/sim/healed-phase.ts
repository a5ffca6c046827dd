/**
 * After the faults: all machines up, links open, drives quick. Then every operation ends, every chunk gets back to all of its replicas, and every file is read once
 * more by the library and once from each of its replicas, which must be the same bytes (P1, P2, P5, P6, P7).
 */
import { asGfsError, hasCode } from "../../src/base/errors.ts";
import type { ClusterStatus, FileStatus } from "../../src/client/api.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import type { World } from "../../src/io.ts";
import { FramePool } from "../../src/net/frame-pool.ts";
import type { Cluster } from "./cluster.ts";
import { type RottenReplica, rottenReplicas } from "./checkers/rot-watch.ts";
import { describe, type History, type Violation } from "./history.ts";
import { readReplica } from "./replica-reader.ts";
import { firstDifference } from "./content.ts";
import { checkNothingIsLeft } from "./leak-check.ts";
import { connectTo, pause } from "./client-machine.ts";
import { drainToTheEnd, endOperations, type Operator } from "./operator.ts";
import type { Workload } from "./workload.ts";
import type { Machine } from "./world/machine.ts";

const operationsEndMs = 60_000;
const repairMs = 120_000;
const drainMs = 90_000;
const verifyMs = 240_000;
const looksMax = 20;

export interface HealedOptions {
  readonly cluster: Cluster;
  readonly history: History;
  readonly workload: Workload;
  readonly operator?: Operator | undefined;
  /** Every path that a client may have written to. */
  readonly paths: readonly string[];
  /** Waits until all that nobody refers to must be gone, and looks. */
  readonly judgesLeftovers: boolean;
}

/** Runs it; what was broken. */
export function healAndVerify(options: HealedOptions): Violation[] {
  const { cluster, history, workload, operator } = options;
  const { simulation } = cluster;
  const violations: Violation[] = [];
  workload.stop();
  operator?.stop();
  cluster.reviveAll();
  if (!simulation.runUntil(() => workload.running === 0, operationsEndMs)) {
    const open = history.operations.filter(({ ending, client }) => ending === undefined && isAlive(cluster, client));
    violations.push({
      promise: "P6",
      what: `${workload.running} operations still run ${operationsEndMs} ms after all faults were over:\n  ${open.map(describe).join("\n  ")}`,
    });
  }
  if (operator !== undefined && !simulation.runUntil(() => !operator.running, operationsEndMs))
    violations.push({ promise: "P6", what: `the operator waits for ${operationsEndMs} ms after all faults were over` });
  const verifier = simulation.machine("verifier");
  try {
    simulation.do(verifier, (world) => untilAnswered(cluster, world), operationsEndMs);
    if (operator !== undefined) simulation.do(verifier, (world) => endOperations(cluster, world), operationsEndMs);
    if (workload.choosesReplicas) simulation.do(verifier, (world) => wantTheUsual(cluster, world), operationsEndMs);
    const repaired = simulation.do(verifier, (world) => untilWhole(cluster, world), repairMs + 20_000);
    if (repaired !== undefined) violations.push({ promise: "P7", what: repaired });
    const last = operator?.lastToGo;
    if (repaired === undefined && last !== undefined) violations.push(...takeAway(cluster, last, verifier));
  } catch (error) {
    violations.push({ promise: "P6", what: `the cluster did not answer after all faults were over: ${textOf(error)}` });
    return violations;
  }
  try {
    violations.push(...simulation.do(verifier, (world) => readEverything(options, world), verifyMs));
  } catch (error) {
    violations.push({
      promise: "P6",
      what: `the files could not all be read after all faults were over: ${textOf(error)}`,
    });
  }
  return violations;
}

/** Drained, it goes for ever the moment that it is safe to stop; the others must have all that is read below. */
function takeAway(cluster: Cluster, server: Machine, verifier: Machine): Violation[] {
  const { simulation } = cluster;
  const stuck = simulation.do(
    verifier,
    (world) => drainToTheEnd(cluster, server, { world, withinMs: drainMs }),
    drainMs + 20_000,
  );
  if (stuck !== undefined) return [{ promise: "P7", what: stuck }];
  cluster.replace(server);
  // Once the master knows it: whole without it, and whoever compares replicas does not wait for each of those that it had.
  const { heartbeatMs, deadHeartbeats } = cluster.limits;
  simulation.runFor(heartbeatMs * (deadHeartbeats + 2));
  const repaired = simulation.do(verifier, (world) => untilWhole(cluster, world), repairMs + 20_000);
  return repaired === undefined ? [] : [{ promise: "P7", what: repaired }];
}

function isAlive(cluster: Cluster, client: string): boolean {
  return cluster.simulation.machine(client.split("/")[0] ?? client).alive;
}

/** A pause may outlast the faults, and a start of the master too. */
async function untilAnswered(cluster: Cluster, world: World): Promise<void> {
  for (;;)
    try {
      await using client = await connectTo(cluster, world, "verifier");
      await client.status();
      return;
    } catch (error) {
      if (!hasCode(error, "Timeout", "Unavailable", "Busy")) throw error;
      await pause(world, 500);
    }
}

/** What was chosen may be more than there are servers left: now all that is too many is freed. */
async function wantTheUsual(cluster: Cluster, world: World): Promise<void> {
  await using client = await connectTo(cluster, world, "verifier");
  await client.setReplicas("/", cluster.limits.replicas, { recursive: true });
}

/** Undefined once nothing is short, else why not. */
async function untilWhole(cluster: Cluster, world: World): Promise<string | undefined> {
  const startMs = world.clock.monotonicMs();
  let last = "no answer yet";
  while (world.clock.monotonicMs() - startMs < repairMs) {
    try {
      await using client = await connectTo(cluster, world, "verifier");
      const status = await client.status();
      const wanting = whatIsWanting(status);
      if (wanting === undefined) return undefined;
      last = wanting;
    } catch (error) {
      last = textOf(error);
    }
    await pause(world, 500);
  }
  return `not whole ${repairMs} ms after all faults were over: ${last}`;
}

export function whatIsWanting(status: ClusterStatus): string | undefined {
  const { chunks, shortChunks, safeMode, stopped, metadataCopies } = status;
  const { short, lost, pending, sealing, unsealedShort } = chunks;
  const whole = short + lost + pending + sealing + unsealedShort === 0;
  if (whole && !safeMode.active && stopped.mutations === undefined && areCopied(status)) return undefined;
  return JSON.stringify({ chunks, shortChunks, safeMode, stopped, metadataCopies });
}

/** As many copies of the metadata as are wanted, or as there are servers that could keep one, have been complete since the last fault. */
function areCopied({ metadataCopies, servers }: ClusterStatus): boolean {
  const { wanted, copies } = metadataCopies;
  const fit = servers.filter(({ liveness, draining }) => liveness === "live" && draining !== true).length;
  const complete = copies.filter(({ behindMs, failure }) => behindMs !== undefined && failure === undefined);
  return complete.length >= Math.min(wanted, fit);
}

async function readEverything(options: HealedOptions, world: World): Promise<Violation[]> {
  const { cluster, workload, paths } = options;
  const violations: Violation[] = [];
  await using client = await connectTo(cluster, world, "verifier");
  using pool = poolOf(world);
  if (cluster.servers.some((server) => server.drive().harmed))
    violations.push(...(await findRotten(options, { client, pool }, world)));
  for (const path of paths) {
    const read = await workload.read(client, "verifier", path);
    if (read.ending?.kind !== "done") {
      const why = read.ending?.kind === "refused" ? read.ending.message : "";
      violations.push({ promise: "P1", what: `can't be read after all faults were over: ${describe(read)} ${why}` });
    } else if (read.content !== undefined) {
      const compared = await settled(world, async () => compareReplicas(await client.stat(path), pool));
      violations.push(...compared);
    }
  }
  violations.push(...(await settled(world, () => problemsOf(client))));
  if (options.judgesLeftovers) violations.push(...(await checkNothingIsLeft(cluster, client, world)));
  return violations;
}

/** Before anybody reads: two rounds of the scrub, and a while for repair. What still looks rotten then is read, and counts where it can't be. */
async function findRotten(
  { cluster, paths }: HealedOptions,
  { client, pool }: { readonly client: GfsClient; readonly pool: FramePool },
  world: World,
): Promise<readonly Violation[]> {
  await pause(world, 2.5 * cluster.limits.scrubMs);
  const rotten = await settled(world, async () => {
    const found: RottenReplica[] = [];
    for (const path of paths) {
      const status = await client.stat(path).catch(() => undefined);
      if (status !== undefined) found.push(...rottenReplicas(cluster, status));
    }
    return found;
  });
  const read = rotten.map(async ({ extent, replica, violation }) =>
    readReplica(pool, { ...extent, replica, committed: undefined }).then(
      () => [],
      () => [violation],
    ),
  );
  return (await Promise.all(read)).flat();
}

/** A replica too many may go, and a tail be sealed, just when it is looked at: what is still wrong a while later counts. */
export async function settled<T>(world: World, look: () => Promise<T[]>): Promise<T[]> {
  let wrong = await look();
  for (let attempt = 0; wrong.length > 0 && attempt < looksMax; attempt++) {
    await pause(world, 1_000);
    wrong = await look();
  }
  return wrong;
}

export async function problemsOf(client: GfsClient): Promise<Violation[]> {
  const violations: Violation[] = [];
  for await (const { problems } of client.fsck("/"))
    for (const { kind, path, text } of problems)
      violations.push({ promise: "P7", what: `fsck: ${kind} ${path}: ${text}` });
  return violations;
}

/** Every replica of every extent holds the same bytes, and there are as many as the file wants. */
export async function compareReplicas({ path, entry, extents }: FileStatus, pool: FramePool): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (const extent of extents) {
    let first: { readonly label: string; readonly bytes: Uint8Array } | undefined;
    let whole = 0;
    for (const replica of extent.replicas) {
      // A server that is gone for ever takes the whole time-out to say nothing.
      if (replica.health === "dead") continue;
      const what = `chunk ${extent.handle} of ${path} at ${replica.label}`;
      try {
        // An open chunk: what the primary has committed, from every member.
        const committed = first?.bytes.length;
        const bytes = await readReplica(pool, { ...extent, replica, committed });
        if (first !== undefined) {
          const wrong = firstDifference(first.bytes, bytes);
          if (wrong !== undefined)
            violations.push({
              promise: "P2",
              what: `${what} differs from ${first.label} at byte ${wrong} (${bytes.length} and ${first.bytes.length} bytes)`,
            });
        }
        first ??= { label: replica.label, bytes };
        whole++;
      } catch (error) {
        if (replica.health === "healthy" || extent.state === "open")
          violations.push({
            promise: "P5",
            what: `${what} (${extent.state}, ${replica.health}) can't be read: ${textOf(error)}`,
          });
      }
    }
    if (extent.state === "sealed" && whole < entry.replicas)
      violations.push({
        promise: "P7",
        what: `chunk ${extent.handle} of ${path} is said to be whole, and ${whole} of ${entry.replicas} replicas can be read`,
      });
    if (extent.state === "sealed" && (first?.bytes.length ?? 0) < extent.offset + extent.length)
      violations.push({
        promise: "P1",
        what: `chunk ${extent.handle} of ${path} has ${first?.bytes.length ?? 0} of ${extent.offset + extent.length} bytes`,
      });
  }
  return violations;
}

function poolOf(world: World): FramePool & Disposable {
  const pool = new FramePool(world, { role: "client" });
  return Object.assign(pool, { [Symbol.dispose]: () => pool.close() });
}

function textOf(error: unknown): string {
  const { code, message, stack } = asGfsError(error);
  return code === "Bug" ? `${message}\n${stack ?? ""}` : `${message} (${code})`;
}
