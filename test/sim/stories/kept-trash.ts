/**
 * The trash by directory (DESIGN §4.5; master/core/trash.ts, attributes.ts): what is removed can be restored, byte for byte, until the time is over that its directory said when it was removed, and
 * not after that; of a directory that keeps nothing it is gone at once; what is purged is gone, and nothing else. Meanwhile the master starts anew.
 */
import { hasCode } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { content } from "../../unit/chunkserver/store/sim-volume.ts";
import type { Violation } from "../history.ts";
import { simLimits } from "../sim-limits.ts";
import { Prng } from "../world/prng.ts";
import { type Story, told } from "./story.ts";

/** Around the moment at which something expires either is right: the master looks every second, and may be away. */
const marginMs = 4_000;
const configuredMs = 30_000;

interface Removed {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly untilMs: number;
}

export const keptTrash: Story = (seed, plant) => {
  const prng = new Prng(`kept trash ${seed}`);
  const limits = { ...simLimits, trashMs: configuredMs, deleteGraceMs: 500, checkpointRecords: prng.integer(10, 400) };
  const cluster = new SmallCluster({ seed, limits, chunkservers: 3 });
  const { simulation } = cluster;
  return told(cluster, (violations) => {
    const retention = new Map<string, number>();
    let trash: Removed[] = [];
    let made = 0;
    const keptMs = (path: string): number => {
      const above = [...retention.keys()].filter((each) => path === each || path.startsWith(`${each}/`));
      return retention.get(above.sort((a, b) => b.length - a.length)[0] ?? "") ?? configuredMs;
    };
    const set = async (client: GfsClient, path: string): Promise<void> => {
      const ms = prng.chance(0.2) ? undefined : prng.pick([0, 3_000, 10_000, 60_000]);
      if (ms === undefined) retention.delete(path);
      else retention.set(path, ms);
      await client.setTrashRetention(path, ms);
    };
    const removeOne = async (client: GfsClient): Promise<void> => {
      const path = `${prng.pick(["/k", "/k/sub", "/kx", "/k/sub/deep"])}/f${made++}`;
      const bytes = content(prng.integer(1, 20_000), made);
      await client.put({ kind: "bytes", bytes }, path);
      const ms = keptMs(path);
      const { trashed } = await client.remove(path);
      if (trashed !== ms > 0)
        violations.push({ promise: "P7", what: `${path}, kept for ${ms} ms, trashed: ${trashed}` });
      if (ms > 0) trash.push({ path, bytes, untilMs: simulation.nowMs + ms });
    };
    const removeTree = async (client: GfsClient): Promise<void> => {
      const top = `/k/tree${made++}`;
      const bytes = content(prng.integer(1, 20_000), made);
      await client.put({ kind: "bytes", bytes }, `${top}/below/file`);
      const inner = prng.pick([0, 50_000]);
      await client.setTrashRetention(`${top}/below`, inner);
      const ms = Math.max(keptMs(top), inner);
      await client.remove(top, { recursive: true });
      if (ms > 0) trash.push({ path: top, bytes, untilMs: simulation.nowMs + ms });
    };

    cluster.as("early client", async (client) => {
      await client.makeDirectory("/k/sub/deep", { parents: true });
      await client.makeDirectory("/kx");
    });
    for (let round = 0; round < 12; round++) {
      cluster.as("client", async (client) => {
        await set(client, prng.pick(["/k", "/k/sub", "/kx"]));
        for (let i = 0; i < 3; i++) await removeOne(client);
        if (prng.chance(0.5)) await removeTree(client);
      });
      if (prng.chance(0.25)) {
        cluster.cluster.crash(cluster.cluster.master, { powerLoss: true }, prng.integer(20, 500));
        simulation.runFor(1_500);
      }
      simulation.runFor(prng.integer(0, 6_000));
      if (prng.chance(0.3)) trash = cluster.as("purger", (client) => purgeSome(client, { trash, prng, violations }));
      violations.push(...cluster.as("looker", (client) => compare(client, trash, simulation.nowMs)));
      if (prng.chance(0.5))
        trash = cluster.as("restorer", (client) =>
          restoreOne(client, { trash, prng, violations, nowMs: simulation.nowMs }),
        );
      trash = trash.filter(({ untilMs }) => untilMs + marginMs > simulation.nowMs);
    }
    plant?.(cluster);
    violations.push(...cluster.as("looker", (client) => compare(client, trash, simulation.nowMs)));
  });
};

/** What must be in the trash is there, and what is not in it any more isn't. */
async function compare(client: GfsClient, trash: readonly Removed[], nowMs: number): Promise<Violation[]> {
  const listed = new Set<string>();
  for await (const { path } of client.trashList()) listed.add(path);
  const violations: Violation[] = [];
  for (const { path, untilMs } of trash)
    if (untilMs - marginMs > nowMs && !listed.delete(path))
      violations.push({
        promise: "P1",
        what: `${path} is not in the trash ${untilMs - nowMs} ms before its time is over`,
      });
  const mayBe = new Set(trash.filter(({ untilMs }) => untilMs + marginMs > nowMs).map(({ path }) => path));
  for (const path of listed)
    if (!mayBe.has(path)) violations.push({ promise: "P7", what: `${path} is in the trash, and should be gone` });
  return violations;
}

async function restoreOne(
  client: GfsClient,
  of: {
    readonly trash: readonly Removed[];
    readonly prng: Prng;
    readonly violations: Violation[];
    readonly nowMs: number;
  },
): Promise<Removed[]> {
  const { trash, prng, violations, nowMs } = of;
  const sure = trash.filter(({ untilMs }) => untilMs - marginMs > nowMs);
  if (sure.length === 0) return [...trash];
  const one = prng.pick(sure);
  const to = prng.chance(0.5) ? `/back${one.path}` : undefined;
  const { path } = await client.trashRestore(one.path, { to });
  const file = one.path.includes("/tree") ? `${path}/below/file` : path;
  const read = await readAll(client, file).catch((error: unknown) => String(error));
  if (typeof read === "string" || Buffer.compare(read, one.bytes) !== 0)
    violations.push({
      promise: "P1",
      what: `${file}, restored, is ${typeof read === "string" ? read : "other bytes"}`,
    });
  await client.remove(path, { recursive: true, skipTrash: true });
  return trash.filter((each) => each !== one);
}

/** By a path, by all below one, or by age. */
async function purgeSome(
  client: GfsClient,
  of: { readonly trash: readonly Removed[]; readonly prng: Prng; readonly violations: Violation[] },
): Promise<Removed[]> {
  const { trash, prng } = of;
  const below = prng.chance(0.5);
  const path = below || trash.length === 0 ? prng.pick(["/k", "/k/sub"]) : prng.pick(trash).path;
  await client.trashPurge(path, { below }).catch((error: unknown) => {
    // It may have expired, and of a directory there may be nothing.
    if (!hasCode(error, "NotFound")) throw error;
  });
  return trash.filter((each) => each.path !== path && !(below && each.path.startsWith(`${path}/`)));
}
