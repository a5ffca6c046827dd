/** Rules taken out: slow servers and hedged reads (DESIGN §4.4, §4.5). */
import type { Mutant } from "../mutant.ts";

export const slowMutants: readonly Mutant[] = [
  {
    name: "loser-delivers",
    rule: "of two replicas that are asked for the same bytes only the winner gives any",
    edits: [
      { file: "src/client/read-part.ts", find: "      this.#attempt = outcome.attempt;\n", replace: "" },
      { file: "src/client/hedged-run.ts", find: "      other.close();\n", replace: "" },
    ],
    scenarios: ["frozenReads"],
  },
  {
    name: "never-hedged",
    rule: "a read that takes too long is sent to a second replica as well",
    edits: [
      {
        file: "src/client/read-part.ts",
        find: "if (!ctx.hedges.spend()) return undefined;",
        replace: "if (!ctx.hedges.spend() || startMs >= 0) return undefined;",
      },
    ],
    scenarios: ["frozenReads"],
  },
  {
    name: "hedge-without-budget",
    rule: "a bounded share of all reads is sent twice",
    edits: [
      {
        file: "src/client/core/hedge-budget.ts",
        find: "if (this.#tokens < 1) return false;",
        replace: "if (this.#tokens < -1e9) return false;",
      },
    ],
    scenarios: ["slowCluster"],
  },
  {
    name: "slow-not-avoided",
    rule: "a server that is much slower than its peers gets new chunks last",
    edits: [
      {
        file: "src/master/core/placement.ts",
        find: "  return [...order.filter((each) => !each.candidate.slow), ...order.filter((each) => each.candidate.slow)];",
        replace: "  return [...order];",
      },
    ],
    scenarios: ["slowDisk"],
  },
  {
    name: "slow-for-ever",
    rule: "a slow server that has nothing to do is forgiven after a while",
    edits: [
      {
        file: "src/master/core/pace.ts",
        find: "if (!quick && pace.idle < idleRoundsMax * 2 ** pace.forgiven) return false;",
        replace: "if (!quick) return false;",
      },
    ],
    scenarios: ["slowDisk"],
  },
];
