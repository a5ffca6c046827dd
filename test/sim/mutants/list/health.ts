/** Rules taken out: what status says is so (P7). */
import type { Mutant } from "../mutant.ts";

const file = "src/master/core/chunk-health.ts";

export const healthMutants: readonly Mutant[] = [
  {
    name: "at-risk-not-counted",
    rule: "a chunk with one copy left, while more are wanted, is at risk",
    edits: [{ file, find: "  if (holders > 1) return;", replace: "  if (holders > 0) return;" }],
    scenarios: ["truthfulStatus"],
  },
  {
    name: "short-is-healthy",
    rule: "healthy is said only when every chunk has as many good replicas as wanted",
    edits: [
      {
        file,
        find: '  if (counts.short + counts.unsealedShort > 0) return "degraded";\n',
        replace: "",
      },
    ],
    scenarios: ["truthfulStatus"],
  },
  {
    name: "dead-servers-hold",
    rule: "a chunk whose replicas are all on dead servers is lost, as long as they are",
    edits: [
      {
        file: "src/master/core/chunk-scan.ts",
        find: `    if (!isHolder(replicaHealthAt(view.chunks, slot, i))) continue;
    if (!isGone(view.volumes.byIndex[replicaVolumeAt(view.chunks, slot, i)])) count++;
`,
        replace: `    if (isHolder(replicaHealthAt(view.chunks, slot, i))) count++;
`,
      },
    ],
    scenarios: ["truthfulStatus"],
  },
  {
    name: "short-before-told",
    rule: "nothing is short before all servers that the log knows have told this master what they hold, or count as dead",
    edits: [
      {
        file: "src/master/core/chunk-scan.ts",
        find: '  if (awaiting ?? awaitsTelling(view)) return "pending";\n  if (holders > 0) return "short";',
        replace: '  if (holders > 0) return "short";\n  if (awaiting ?? awaitsTelling(view)) return "pending";',
      },
    ],
    scenarios: ["truthfulStatus"],
  },
  {
    name: "estimate-from-nothing",
    rule: "no time is told where nothing was copied",
    edits: [
      {
        file: "src/master/core/repair-estimate.ts",
        find: "  return Number.isFinite(longest) ? Math.round(longest) : undefined;",
        replace: "  return Math.min(60_000, longest);",
      },
    ],
    scenarios: ["truthfulStatus"],
  },
  {
    name: "thin-tails-stay",
    rule: "an open tail with fewer servers than wanted is sealed once a whole chain can be had",
    edits: [
      {
        file: "src/master/thin-tails.ts",
        find: "  if (there >= chunk.goal || !canPlace(ctx, round, chunk.goal)) return;",
        replace: "  if (there < chunk.goal || !canPlace(ctx, round, chunk.goal)) return;",
      },
    ],
    scenarios: ["truthfulStatus"],
  },
];
