/** Rules taken out: repair, liveness and safe mode (DESIGN §4.5). */
import type { Mutant } from "../mutant.ts";

export const repairMutants: readonly Mutant[] = [
  {
    name: "dead-replicas-count",
    rule: "replicas on dead servers do not count",
    edits: [
      {
        file: "src/master/core/chunk-scan.ts",
        find: "    if (!isGone(view.volumes.byIndex[replicaVolumeAt(view.chunks, slot, i)])) count++;",
        replace: "    count++;",
      },
    ],
    scenarios: ["loss"],
  },
  {
    name: "never-dead",
    rule: "a server that is silent for long is dead",
    edits: [
      {
        file: "src/master/core/liveness.ts",
        find: 'if (current === "dead" || event.sinceMs >= limits.deadHeartbeats * limits.heartbeatMs) return "dead";',
        replace: 'if (current === "dead") return "dead";',
      },
    ],
    scenarios: ["loss"],
  },
  {
    name: "clone-not-tried-again",
    rule: "a clone that failed is tried again",
    edits: [
      {
        file: "src/master/core/repair.ts",
        find: "retryAtMs: of.nowMs + Math.min(retryMsMax, retryMs * 2 ** Math.min(10, count - 1)),",
        replace: "retryAtMs: of.nowMs + retryMsMax ** 2 * retryMs * count,",
      },
    ],
    scenarios: ["loss"],
  },
];
