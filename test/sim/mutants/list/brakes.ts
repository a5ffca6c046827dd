/** Rules taken out: epochs, a master that is behind, and the brakes on deletions (DESIGN §4.1, §4.5). */
import type { Mutant } from "../mutant.ts";

export const brakesMutants: readonly Mutant[] = [
  {
    name: "older-start-obeyed",
    rule: "a volume refuses the commands of an older start of the master, which learns by that that it is behind",
    edits: [
      {
        file: "src/chunkserver/store/volume.ts",
        find: "(epoch.number < seen.number || (epoch",
        replace: "((epoch",
      },
      {
        file: "src/master/routes-chunkservers.ts",
        find: "if (theirs.number > ours.number || (theirs",
        replace: "if ((theirs",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "same-number-obeyed",
    rule: "a start of the same number is another one where its random half differs",
    edits: [
      {
        file: "src/chunkserver/store/volume.ts",
        find: "(epoch.number === seen.number && epoch.startId !== seen.startId))",
        replace: "(epoch.number === seen.number && epoch.startId === undefined))",
      },
      {
        file: "src/master/routes-chunkservers.ts",
        find: "(theirs.number === ours.number && theirs.startId !== ours.startId)",
        replace: "(theirs.number === ours.number && theirs.startId === undefined)",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "above-the-mark-is-garbage",
    rule: "a handle above the allocation mark proves that the master is behind, and is never garbage",
    edits: [
      {
        file: "src/master/routes-chunkservers.ts",
        find: "if (highestHandle > 0 && isStranger(",
        replace: "if (highestHandle > Number.MAX_SAFE_INTEGER && isStranger(",
      },
      {
        file: "src/master/core/chunk-table.ts",
        find: "if (handle > table.handleMark) return true;",
        replace: "if (handle > table.handleMark) return false;",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "never-given-is-garbage",
    rule: "a handle that the log never gave out proves that the master is behind, and is never garbage until an operator accepts that",
    edits: [
      {
        file: "src/master/core/chunk-table.ts",
        find: "return handle > table.lostMark && slotOf",
        replace: "return handle > Number.MAX_SAFE_INTEGER && slotOf",
      },
    ],
    scenarios: ["restoredWithinBatch"],
  },
  {
    name: "lost-handles-not-accepted",
    rule: "what an operator accepted of a lost log stops the master no more",
    edits: [
      {
        file: "src/master/core/chunk-apply.ts",
        find: "table.lostMark = Math.max(table.lostMark, upTo);",
        replace: "table.lostMark = Math.max(table.lostMark, 0 * upTo);",
      },
    ],
    scenarios: ["restoredWithinBatch"],
  },
  {
    name: "older-command-obeyed",
    rule: "a volume obeys the latest start of the master that it has seen",
    edits: [
      {
        file: "src/chunkserver/store/volume.ts",
        find: "(epoch.number < seen.number || (epoch",
        replace: "((epoch",
      },
    ],
    scenarios: ["twoMasters"],
  },
  {
    name: "proven-again-and-again",
    rule: "what was confirmed proves nothing any more",
    edits: [
      {
        file: "src/master/context.ts",
        find: "return soft.mutationsStopped === undefined && version <= (soft.higherVersions.get(handle) ?? 0);",
        replace: "return version < 0 * (soft.higherVersions.get(handle) ?? 0);",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "sealed-at-another-version",
    rule: "a chunk of which a replica is sealed is sealed at its version",
    edits: [
      {
        file: "src/master/core/seal.ts",
        find: "const isSealedThere = machine.parties.some(({ sealed }) => sealed === highest);",
        replace: "const isSealedThere = false;",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "first-proof-only",
    rule: "an operator is told all that proves the master to be behind, before it is given up",
    edits: [
      {
        file: "src/master/context.ts",
        find: "  if (!noteProof(soft.behind, proof)) return;",
        replace: "  if (soft.mutationsStopped !== undefined || !noteProof(soft.behind, proof)) return;",
      },
    ],
    scenarios: ["rebuiltFromOlder"],
  },
  {
    name: "mutations-while-behind",
    rule: "a master that is behind takes no mutation until it is confirmed",
    edits: [
      {
        file: "src/master/context.ts",
        find: "  if (why === undefined) return;",
        replace: "  if (why === undefined || why.length > 0) return;",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "deletions-while-behind",
    rule: "a master that is behind deletes nothing until it is confirmed",
    edits: [
      {
        file: "src/master/context.ts",
        find: "  if (soft.garbage.stopped === before) soft.garbage.stopped = soft.mutationsStopped;\n",
        replace: "",
      },
      {
        file: "src/master/reaper.ts",
        find: "  if (mutationsStopped !== undefined) return;\n",
        replace: "  if (mutationsStopped === null) return;\n",
      },
      {
        file: "src/master/reaper.ts",
        find: "if (ctx.soft.mutationsStopped !== undefined || ctx.stopping.aborted) return;",
        replace: "if (ctx.stopping.aborted) return;",
      },
      {
        file: "src/master/reaper.ts",
        find: "ctx.soft.mutationsStopped === undefined ? nextToReap(state.inodes, batchMax) : [];",
        replace: "nextToReap(state.inodes, batchMax);",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "handles-given-again",
    rule: "once it is confirmed, a master gives out handles above all that volumes have seen",
    edits: [
      {
        file: "src/master/confirm.ts",
        find: "if (soft.highestHandle > state.chunks.handleMark)",
        replace: "if (soft.highestHandle > Number.MAX_SAFE_INTEGER)",
      },
      {
        file: "src/master/core/chunk-apply.ts",
        find: "  table.nextHandle = Math.max(table.nextHandle, table.lostMark + 1);\n",
        replace: "",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "epoch-not-raised",
    rule: "once it is confirmed, a master goes on at an epoch above all that volumes have seen",
    edits: [
      {
        file: "src/master/confirm.ts",
        find: "if (epoch !== undefined && soft.highestEpoch >= epoch.number) {",
        replace: "if (epoch !== undefined && soft.highestEpoch < 0) {",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "no-session-to-confirm",
    rule: "a client that has no session yet can confirm",
    edits: [
      {
        file: "src/master/routes-files.ts",
        find: "    route(sessionOpen, async (request) =>\n",
        replace: "    route(sessionOpen, async (request) => (requireMutations(ctx), request) &&\n",
      },
    ],
    scenarios: ["restoredBehind"],
  },
  {
    name: "no-share-of-deletions",
    rule: "a master that would delete a large share of all chunks on the evidence of reports stops, and says so",
    edits: [
      {
        file: "src/master/core/garbage.ts",
        find: "if (count <= deleteCountFree || count <= deleteShareMax * chunks) return false;",
        replace: "if (count <= deleteCountFree + deleteShareMax * chunks + 1_000_000) return false;",
      },
    ],
    scenarios: ["restoredWithinBatch"],
  },
  {
    name: "deleted-for-good",
    rule: "what is deleted lies aside for a grace",
    edits: [
      {
        file: "src/chunkserver/store/aside.ts",
        find: "const dueMs = this.#world.clock.monotonicMs() + this.#options.graceMs;",
        replace: "const dueMs = this.#world.clock.monotonicMs() + 0 * this.#options.graceMs;",
      },
    ],
    scenarios: ["restoredWithinBatch"],
  },
  {
    name: "no-tombstone",
    rule: "a put or open that was delayed does not revive what was deleted",
    edits: [
      {
        file: "src/chunkserver/store/new-replica.ts",
        find: 'return purpose === "clone" ? undefined : new GfsError',
        replace: 'return purpose !== "" ? undefined : new GfsError',
      },
    ],
    scenarios: ["latePuts"],
  },
];
