/**
 * What operators do to a cluster in the midst of its faults, by the command line: drawn and counted as faults are.
 *
 * Nothing here asks for less than two copies: what is acknowledged must outlive one server's disk, and a replica on another that has rotted unread (damage.ts).
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { asGfsError } from "../../src/base/errors.ts";
import { runGfs } from "./command-line.ts";
import { drains } from "./drain-act.ts";
import type { Stage } from "./faults.ts";
import { type Act, liveVolume, operate, type Operator } from "./operator.ts";

/** One that is done by one command, drawn by `argsOf`. */
function command(name: string, weight: number, argsOf: (stage: Stage, operator: Operator) => readonly string[]): Act {
  return { name, weight, make: (stage, operator) => operate(stage, operator, argsOf(stage, operator)) };
}

/** All that a server holds, or files. */
async function scrub(stage: Stage, operator: Operator): Promise<boolean> {
  const { cluster, prng } = stage;
  const { root, paths } = operator;
  const draw = prng.fraction();
  const { name } = cluster.servers[prng.integer(0, cluster.servers.length - 1)]!;
  const path = draw < 0.8 ? root : paths[prng.integer(0, paths.length - 1)]!;
  const target = draw < 0.6 ? await liveVolume(stage, name) : path;
  return target !== undefined && operate(stage, operator, ["scrub", target]);
}

function setrepArgs({ prng }: Stage, { root, paths }: Operator): readonly string[] {
  const replicas = String(prng.integer(2, 4));
  const draw = prng.fraction();
  if (draw < 0.5) return ["setrep", replicas, paths[prng.integer(0, paths.length - 1)]!];
  // Of four copies of everything two servers at once could never be relieved.
  if (draw < 0.6) return ["setrep", "-R", String(prng.integer(2, 3)), root];
  if (draw < 0.9) return ["setrep", "-R", "--default", replicas, `${root}/hot`];
  return ["setrep", "none", `${root}/hot`];
}

function balanceArgs({ prng }: Stage): readonly string[] {
  if (prng.chance(0.4)) return ["balance", "stop"];
  const threshold = `${prng.integer(1, 10)}%`;
  return ["balance", "start", "--threshold", threshold, "--rate", prng.chance(0.5) ? "none" : "2MB"];
}

/** Taken in the midst of everything, and then whole: checked, or a master's directory rebuilt from it. */
async function backUp(stage: Stage, operator: Operator): Promise<boolean> {
  const { cluster, prng, broken } = stage;
  const path = join(cluster.folder, "scratch", `backup-${Math.floor(prng.fraction() * 1e9)}`);
  const rebuilt = `${path}-rebuilt`;
  try {
    if (!(await operate(stage, operator, ["backup", path]))) return false;
    await runGfs(
      prng.chance(0.5) ? ["backup", "--verify", path] : ["master", "restore", "--data-dir", rebuilt, "--from", path],
    );
    return true;
  } catch (error) {
    broken(`a backup that was taken is not whole: ${asGfsError(error).message}`);
    return false;
  } finally {
    for (const made of [path, rebuilt]) rmSync(made, { recursive: true, force: true });
  }
}

export const acts: readonly Act[] = [
  ...drains,
  command("setrep", 4, setrepArgs),
  { name: "scrub", weight: 2, make: scrub },
  command("balance", 2, balanceArgs),
  command("trash purge", 1, () => ["trash", "purge", "--all"]),
  { name: "backup", weight: 2, make: backUp },
];
