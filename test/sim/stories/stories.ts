/** All stories by name; none has the name of a scenario. */
import type { Violation } from "../history.ts";
import { runScenario } from "../scenarios.ts";
import { chosenReplicas } from "./chosen-replicas.ts";
import { keptTrash } from "./kept-trash.ts";
import { balancedDisks } from "./balanced-disks.ts";
import { drainedServers } from "./drained-servers.ts";
import { lostMaster, rebuiltFromOlder } from "./lost-master.ts";
import { healsInOrder, manyAtOnce, rackIsBack } from "./heals.ts";
import { balanceWaits } from "./balance-waits.ts";
import { fewerReplicas } from "./fewer-replicas.ts";
import { latePuts } from "./late-puts.ts";
import { restoredBehind, restoredWithinBatch } from "./restored-master.ts";
import { appenderOrder } from "./appender-order.ts";
import { earlyFacts } from "./early-facts.ts";
import { endedSessions } from "./ended-sessions.ts";
import { fullCluster } from "./full-cluster.ts";
import { fetchedTails } from "./fetched-tails.ts";
import { hastyAppends } from "./hasty-appends.ts";
import { lateAttempts } from "./late-attempts.ts";
import { frozenReads, slowCluster, slowDisk } from "./slow-servers.ts";
import { rottenReplicas } from "./rotten-replicas.ts";
import { rottenSources } from "./rotten-sources.ts";
import { staleMembers } from "./stale-members.ts";
import { smallPuts } from "./small-puts.ts";
import { thinPuts } from "./thin-puts.ts";
import { truthfulStatus } from "./truthful-status.ts";
import { twoMasters } from "./two-masters.ts";
import { verifiedChanges } from "./verified-changes.ts";
import type { Story } from "./story.ts";

export const stories: Readonly<Record<string, Story>> = {
  restoredBehind,
  restoredWithinBatch,
  twoMasters,
  smallPuts,
  earlyFacts,
  thinPuts,
  latePuts,
  healsInOrder,
  manyAtOnce,
  rackIsBack,
  frozenReads,
  slowCluster,
  slowDisk,
  drainedServers,
  lostMaster,
  truthfulStatus,
  rebuiltFromOlder,
  chosenReplicas,
  fewerReplicas,
  keptTrash,
  fullCluster,
  balancedDisks,
  balanceWaits,
  rottenReplicas,
  verifiedChanges,
  hastyAppends,
  lateAttempts,
  fetchedTails,
  rottenSources,
  staleMembers,
  appenderOrder,
  endedSessions,
};

/** What a run noticed: a story, or a scenario. */
export function violationsOf(name: string, seed: number): readonly Violation[] {
  return stories[name]?.(seed) ?? runScenario(name, seed).violations;
}
