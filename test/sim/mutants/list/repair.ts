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
      {
        file: "src/master/core/chunk-scan.ts",
        find: "if (isHolder(replicaHealthAt(view.chunks, slot, i)) && !isGone(volume) && isCounted(volume)) count++;",
        replace: "if (isHolder(replicaHealthAt(view.chunks, slot, i)) && isCounted(volume)) count++;",
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
    name: "stale-never-replaced",
    rule: "a stale replica that may not be deleted yet is replaced in its place where nobody else can take a copy",
    edits: [
      {
        file: "src/master/core/repair-choice.ts",
        find: "if (sure >= needed) return chosen;",
        replace: "if (sure >= 0) return chosen;",
      },
    ],
    scenarios: ["staleMembers"],
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
  {
    name: "copies-left-ignored",
    rule: "chunks with the fewest copies left are copied first",
    edits: [
      {
        file: "src/master/core/repair-queues.ts",
        find: "return (Math.min(copyLevels, Math.max(1, holders)) - 1) * waits.length + waits.indexOf(wait);",
        replace: "return waits.indexOf(wait) + (holders > 0 ? 0 : 1);",
      },
    ],
    scenarios: ["healsInOrder"],
  },
  {
    name: "nobody-waits",
    rule: "of chunks with as many copies left, those that a client waits for go first",
    edits: [
      {
        file: "src/master/core/repair-queues.ts",
        find: "atMs !== undefined && nowMs - atMs < waitsMs",
        replace: "atMs !== undefined && atMs - nowMs > waitsMs",
      },
      {
        file: "src/master/core/repair-queues.ts",
        find: "if (level !== undefined && level < movingLevel) put(",
        replace: "if (level !== undefined && level < 0) put(",
      },
    ],
    scenarios: ["healsInOrder"],
  },
  {
    name: "trash-as-urgent",
    rule: "what lies in the trash waits for what is in the tree",
    edits: [
      {
        file: "src/master/core/repair-queues.ts",
        find: 'trashed ? "trash" : "tree"',
        replace: 'trashed ? "tree" : "tree"',
      },
    ],
    scenarios: ["healsInOrder"],
  },
  {
    name: "no-limit-of-streams",
    rule: "no more clones run at a time than are allowed",
    edits: [
      {
        file: "src/master/core/repair-pace.ts",
        find: "return pace.streams < limits.streams && owed",
        replace: "return limits.streams > 0 && owed",
      },
    ],
    scenarios: ["healsInOrder"],
  },
  {
    name: "copying-storm",
    rule: "many servers lost at once hold repair back",
    edits: [
      {
        file: "src/master/core/repair.ts",
        find: "if (awaitsTelling(view) || repair.held !== undefined) return ended(repair, commands);",
        replace: "if (awaitsTelling(view)) return ended(repair, commands);",
      },
    ],
    scenarios: ["manyAtOnce"],
  },
  {
    name: "copied-before-told",
    rule: "nothing is copied before all servers that the log knows have told what they hold, or are dead",
    edits: [
      {
        file: "src/master/core/repair.ts",
        find: "if (awaitsTelling(view) || repair.held !== undefined) return ended(repair, commands);",
        replace: "if (view.safeMode || repair.held !== undefined) return ended(repair, commands);",
      },
      {
        file: "src/master/core/chunk-scan.ts",
        find: "if (holders > 0 && !awaiting) step.short",
        replace: "if (holders > 0) step.short",
      },
    ],
    scenarios: ["truthfulStatus"],
  },
  {
    name: "resume-not-heard",
    rule: "an operator's word, and time, end what many servers lost at once hold back",
    edits: [
      {
        file: "src/master/core/mass-failure.ts",
        find: "for (const index of mass.goneMs.keys()) mass.accepted.add(index);",
        replace: "",
      },
    ],
    scenarios: ["manyAtOnce"],
  },
  {
    name: "clones-go-on",
    rule: "a clone that nobody needs any more is stopped",
    edits: [
      {
        file: "src/master/core/repair.ts",
        find: "if (clone.stopping) continue;",
        replace: "if (!clone.stopping) continue;",
      },
    ],
    scenarios: ["manyAtOnce"],
  },
  {
    name: "racks-stay-crowded",
    rule: "a chunk that crowds a rack gets a replica in another one that has room",
    edits: [
      {
        file: "src/master/core/chunk-scan.ts",
        find: "else if (misplaced) step.misplaced.push(",
        replace: "else if (misplaced && holders < 0) step.misplaced.push(",
      },
    ],
    scenarios: ["rackIsBack"],
  },
];
