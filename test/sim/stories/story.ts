/**
 * Stories: runs whose order of events is given, and of which the seed draws the rest. Each has a judge of its own, where the checkers of a history don't apply: who restores an old
 * copy of the master's directory loses acknowledged data by his own doing.
 */
import type { SmallCluster } from "../../paper/small-cluster.ts";
import type { Violation } from "../history.ts";

/** What it saw broken. `plant`: called just before it judges, to prove that it can fail. */
export type Story = (seed: number, plant?: (cluster: SmallCluster) => void) => Violation[];

/** Runs the story to its end; a step that does not come to pass is a broken promise as well. */
export function told(cluster: SmallCluster, tell: (violations: Violation[]) => void): Violation[] {
  const violations: Violation[] = [];
  try {
    tell(violations);
  } catch (error) {
    violations.push({ promise: "P6", what: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
  violations.push(...cluster.violations.map((what) => ({ promise: "P7", what })));
  return violations;
}
