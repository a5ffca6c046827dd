/**
 * Disks that forget or lie, of one server at a time: gfs promises to survive that while the other replicas are whole, so it happens only when everything is, and
 * while logs or whole disks are damaged no other server is touched. A bit flipped in every replica is lost by definition.
 */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { errorCodes } from "../../src/base/errors.ts";
import type { Prng } from "../sim/world/prng.ts";
import type { RoleProcess } from "./role-process.ts";
import type { ThrashCluster } from "./thrash-cluster.ts";

export type DamageKind =
  "flipped bytes in chunk files" | "flipped bytes in a log" | "lost disk" | "flipped bytes in a mirror of the master";

export const damageKinds: readonly DamageKind[] = [
  "flipped bytes in chunk files",
  "flipped bytes in a log",
  "lost disk",
  "flipped bytes in a mirror of the master",
];

/** Faults that may go on while logs or disks are damaged: they take no other server's data away. */
export function faultsBeside(kind: DamageKind): readonly string[] {
  const other = kind === "flipped bytes in a mirror of the master" ? "kill chunkserver" : "kill master";
  return [other, "kill client", "delay", "cut connections"];
}

export interface Damage {
  readonly kind: DamageKind;
  readonly server: string;
  /** For people. */
  readonly what: string;
}

const startLimitMs = 60_000;
const flippedFilesMax = 4;

/**
 * Does it, and has the server up again as an operator would: one that refuses its damaged disk gets an empty one. Undefined where there was nothing to damage.
 *
 * @throws Error where the server ends in any other way
 */
export async function damageOne(cluster: ThrashCluster, prng: Prng, kind: DamageKind): Promise<Damage | undefined> {
  if (kind === "flipped bytes in a mirror of the master") return damageMirror(cluster, prng);
  const server = cluster.servers[prng.integer(0, cluster.servers.length - 1)]!;
  const volume = cluster.volumeOf(server.name);
  if (kind === "flipped bytes in chunk files") {
    const files = filesUnder(join(volume, "chunks"));
    const flipped: string[] = [];
    for (let i = Math.min(flippedFilesMax, files.length); i > 0; i--)
      flipped.push(flipOne(files[prng.integer(0, files.length - 1)]!, prng));
    return flipped.length === 0 ? undefined : { kind, server: server.name, what: flipped.join(", ") };
  }
  await server.kill();
  if (kind === "lost disk") {
    cluster.replaceDisk(server.name);
    server.start();
    await untilReadyOrEnded(server);
    return { kind, server: server.name, what: "a new one" };
  }
  const files = [...filesUnder(join(volume, "log")), join(volume, "checkpoint"), join(volume, "identity")];
  const there = files.filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
  const what = flipOne(there[prng.integer(0, there.length - 1)]!, prng);
  const refused = await startOrRefuse(server);
  if (!refused) return { kind, server: server.name, what: `${what}: it started` };
  cluster.replaceDisk(server.name);
  server.start();
  await untilReadyOrEnded(server);
  return { kind, server: server.name, what: `${what}: it refused, and got an empty disk` };
}

/** One of two: the other has everything, and fills it again. */
async function damageMirror(cluster: ThrashCluster, prng: Prng): Promise<Damage | undefined> {
  const { master, masterDirectories } = cluster;
  const mirror = masterDirectories[prng.integer(0, masterDirectories.length - 1)]!;
  if (masterDirectories.length < 2) return undefined;
  await master.kill();
  const files = filesUnder(mirror);
  const what = flipOne(files[prng.integer(0, files.length - 1)]!, prng);
  const damage = (then: string): Damage => ({
    kind: "flipped bytes in a mirror of the master",
    server: master.name,
    what: `${what}: ${then}`,
  });
  if (!(await startOrRefuse(master))) return damage("it started");
  cluster.startMasterWithout(mirror);
  await untilReadyOrEnded(master);
  await master.kill();
  master.start();
  await untilReadyOrEnded(master);
  return damage("it refused, was started without, and filled it again");
}

/** True where it said that its data is corrupt. */
async function startOrRefuse(server: RoleProcess): Promise<boolean> {
  server.start("may refuse");
  await untilReadyOrEnded(server);
  if (server.alive) return false;
  if (server.exitCode !== errorCodes.Corrupt.exit && server.exitCode !== errorCodes.FormatUnsupported.exit)
    throw new Error(
      `${server.name} ended with ${server.exitCode} after a byte was flipped, not with Corrupt: ${server.log.slice(-2_000)}`,
    );
  return true;
}

async function untilReadyOrEnded(server: RoleProcess): Promise<void> {
  const beganMs = performance.now();
  while (server.alive && !server.ready && performance.now() - beganMs < startLimitMs) await Bun.sleep(50);
}

function filesUnder(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true })
      .map((name) => join(folder, String(name)))
      .filter((path) => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0 && statSync(path).isFile());
  } catch {
    return [];
  }
}

/** One byte; what was done, in words. */
function flipOne(path: string, prng: Prng): string {
  const { size } = statSync(path);
  // Logs are allocated ahead: mostly where something was written.
  const at = prng.chance(0.7) ? prng.integer(0, Math.min(size, 300_000) - 1) : prng.integer(0, size - 1);
  const file = openSync(path, "r+");
  try {
    const byte = new Uint8Array(1);
    readSync(file, byte, 0, 1, at);
    const flipped = (byte[0] ?? 0) ^ (1 << prng.integer(0, 7));
    writeSync(file, Uint8Array.of(flipped), 0, 1, at);
  } finally {
    closeSync(file);
  }
  return `byte ${at} of ${path.split("/").slice(-3).join("/")}`;
}
