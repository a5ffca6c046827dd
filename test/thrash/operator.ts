/**
 * Whoever gives a cluster commands in the midst of its faults. One may be refused with a typed error then, which is counted; one that ends without a code, or that
 * calls itself wrongly used, is a failure of gfs or of this program.
 */
import { asGfsError } from "../../src/base/errors.ts";
import type { Stage } from "./faults.ts";
import type { Figures } from "./report.ts";

/** What an act works with besides its stage. */
export interface Operator {
  /** The directory that clients work in. */
  readonly root: string;
  /** Some of the files in there, or that were. */
  readonly paths: readonly string[];
  readonly figures: Figures;
  readonly say: (line: string) => void;
}

/** Something that an operator does: drawn and counted as a fault is. */
export interface Act {
  readonly name: string;
  /** How often, against the others. */
  readonly weight: number;
  /** False where it was not done. */
  readonly make: (stage: Stage, operator: Operator) => Promise<boolean>;
}

/** True where it was done; what it was refused with is counted. */
export async function operate(stage: Stage, operator: Operator, args: readonly string[]): Promise<boolean> {
  try {
    await stage.cluster.operate(args);
    return true;
  } catch (error) {
    noteRefusal(stage, operator, args, error);
    return false;
  }
}

export function noteRefusal(
  { broken }: Stage,
  { figures }: Operator,
  [verb = ""]: readonly string[],
  thrown: unknown,
): void {
  const { code, message } = asGfsError(thrown);
  if (code === "Bug" || code === "Usage") return broken(`gfs ${verb} ended without a reason: ${message} (${code})`);
  count(figures.refusedActs, `${verb} ${code}`);
}

/** The id of a server's volume, since an old disk of it may have had the same label; undefined where it is not live, is being drained, or nobody can tell. */
export async function liveVolume({ cluster }: Stage, name: string): Promise<string | undefined> {
  try {
    await using client = await cluster.connect();
    const { servers } = await client.status();
    return servers.find(({ label, liveness, draining }) => label === name && liveness === "live" && draining !== true)
      ?.volume;
  } catch {
    return undefined; // the master is away: another time
  }
}

export function count(map: Map<string, number>, name: string): void {
  map.set(name, (map.get(name) ?? 0) + 1);
}
