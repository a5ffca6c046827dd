/** Rules taken out: how evenly disks are filled (DESIGN §4.5). */
import type { Mutant } from "../mutant.ts";

export const balanceMutants: readonly Mutant[] = [
  {
    name: "balance-during-repair",
    rule: "no chunk moves for balance while any is repaired, or waits for it",
    edits: [
      {
        file: "src/master/balancer.ts",
        find: '  if (runningRepairs(soft.repair) > 0) return "chunks are being repaired";',
        replace: "",
      },
      {
        file: "src/master/balancer.ts",
        find: 'return queuedCount(soft.repair.queues) > 0 && !stuck ? "chunks wait for repair" : undefined;',
        replace: "return stuck ? undefined : undefined;",
      },
    ],
    scenarios: ["balanceWaits"],
  },
  {
    name: "balance-back-and-forth",
    rule: "a chunk moves only where its source stays at least as full as its target becomes",
    edits: [
      {
        file: "src/master/core/balance.ts",
        find: "return (above > threshold && below > 0) || (above > 0 && below > threshold);",
        replace: "return above > 0 || below > threshold || from !== to;",
      },
      {
        file: "src/master/core/balance.ts",
        find: "return (to.usedBytes + bytes) / to.totalBytes <= (from.usedBytes - bytes) / from.totalBytes;",
        replace: "return to.totalBytes > 0 && from.totalBytes > 0 && bytes > 0;",
      },
    ],
    scenarios: ["balancedDisks"],
  },
];
