/** Rules taken out: replicas, defaults and the trash by choice (DESIGN §4.5). */
import type { Mutant } from "../mutant.ts";

export const choiceMutants: readonly Mutant[] = [
  {
    name: "goal-not-of-chunks",
    rule: "another number of replicas is that of the file's chunks, too",
    edits: [
      {
        file: "src/master/core/goals.ts",
        find: "for (let i = from; i < to; i++) applyChunkGoal(",
        replace: "for (let i = to; i < to; i++) applyChunkGoal(",
      },
    ],
    scenarios: ["chosenReplicas"],
  },
  {
    name: "surplus-on-the-emptiest",
    rule: "of replicas too many those on the fullest disks go first",
    edits: [
      {
        file: "src/master/core/chunk-scan.ts",
        find: "|| free(a) - free(b) || b - a,",
        replace: "|| free(b) - free(a) || b - a,",
      },
    ],
    scenarios: ["fewerReplicas"],
  },
  {
    name: "surplus-alone-in-its-rack",
    rule: "of replicas too many those that share a rack go first",
    edits: [
      {
        file: "src/master/core/chunk-scan.ts",
        find: "|| together(b) - together(a) ||",
        replace: "|| together(a) - together(b) ||",
      },
    ],
    scenarios: ["fewerReplicas"],
  },
  {
    name: "default-not-inherited",
    rule: "the default of a directory holds for what is made below it, the nearest one counts",
    edits: [
      {
        file: "src/master/core/attributes.ts",
        find: "for (let at = slot; at !== 0; at = inodes.parent.get(at)) {",
        replace: "for (let at = slot; at !== 0; at = 0) {",
      },
    ],
    scenarios: ["chosenReplicas"],
  },
  {
    name: "tail-keeps-its-number",
    rule: "a tail takes the number of replicas that its file wants when it is sealed",
    edits: [
      {
        file: "src/master/core/apply.ts",
        find: "applyChunkGoal(state.chunks, record.handle, state.inodes.replicas.get(slot));",
        replace: "",
      },
    ],
    scenarios: ["chosenReplicas"],
  },
  {
    name: "only-the-first-of-a-tree",
    rule: "a change of a tree reaches every file below it",
    edits: [
      {
        file: "src/master/core/file-walk.ts",
        find: "const visited = isFile(inodes, slot) && isUnder(inodes, slot, walk.top);",
        replace: "const visited = isFile(inodes, slot) && (slot === walk.top || inodes.parent.get(slot) === walk.top);",
      },
    ],
    scenarios: ["chosenReplicas"],
  },
  {
    name: "retention-ignored",
    rule: "what is removed stays in the trash for as long as its directory says",
    edits: [
      {
        file: "src/master/core/attributes.ts",
        find: 'let ms = inherited(inodes, slot, "trashMs")?.value ?? limits.trashMs;',
        replace: "let ms = limits.trashMs;",
      },
    ],
    scenarios: ["keptTrash"],
  },
  {
    name: "tree-kept-no-longer",
    rule: "a removed tree stays as long as the longest of its directories says",
    edits: [
      {
        file: "src/master/core/attributes.ts",
        find: "if (trashMs !== undefined && trashMs > ms && isUnder(",
        replace: "if (trashMs !== undefined && trashMs < 0 && isUnder(",
      },
    ],
    scenarios: ["keptTrash"],
  },
  {
    name: "gone-before-its-time",
    rule: "what was removed can be restored until its time is over",
    edits: [
      {
        file: "src/master/core/decide-trash.ts",
        find: "state.trash.expiry.due(now.clusterMs, max)",
        replace: "state.trash.expiry.due(now.clusterMs + 8_000, max)",
      },
    ],
    scenarios: ["keptTrash"],
  },
  {
    name: "expires-in-the-order-of-removal",
    rule: "what is due goes, whatever was removed before it stays",
    edits: [
      {
        file: "src/master/core/decide-trash.ts",
        find: "return detachAll(state, state.trash.expiry.due(now.clusterMs, max));",
        replace:
          "return detachAll(state, oldestInTrash(state.inodes, 1).filter((slot) => trashFacts(state.inodes, slot).expiresMs <= now.clusterMs));",
      },
    ],
    scenarios: ["keptTrash"],
  },
  {
    name: "purges-the-neighbours",
    rule: "a purge takes what was removed at a path or below it, and nothing beside it",
    edits: [
      {
        file: "src/master/core/trash.ts",
        find: "return held.length === path.length || path.length === 1 || held[path.length] === slash;",
        replace: "return held.length >= path.length;",
      },
    ],
    scenarios: ["keptTrash"],
  },
];
