/** Rules taken out: how evenly disks are filled (DESIGN §4.5). */
import type { Mutant } from "../mutant.ts";

export const balanceMutants: readonly Mutant[] = [
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
