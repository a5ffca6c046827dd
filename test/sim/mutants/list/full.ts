/** Rules taken out: full servers (DESIGN §4.5). */
import type { Mutant } from "../mutant.ts";

export const fullMutants: readonly Mutant[] = [
  {
    name: "reserve-given-to-puts",
    rule: "puts and appends leave a part of each volume to repair",
    edits: [
      {
        file: "src/chunkserver/store/space-account.ts",
        find: "Math.floor(free - (1 - this.#options.fullShare) * totalBytes)",
        replace: "Math.floor(free - 0 * this.#options.fullShare * totalBytes)",
      },
    ],
    scenarios: ["fullCluster"],
  },
  {
    name: "reserve-given-to-short-chunks",
    rule: "what is kept is for chunks with one good replica, not for whatever is a replica short",
    edits: [
      {
        file: "src/master/core/repair-choice.ts",
        find: 'use: good < Math.max(2, by.limits.minReplicas) ? "clone" : "new",',
        replace: 'use: good < 100 ? "clone" : "new",',
      },
    ],
    scenarios: ["fullCluster"],
  },
  {
    name: "trash-purged-too-late",
    rule: "space short: the trash is purged, before puts are refused",
    edits: [
      {
        file: "src/master/reaper.ts",
        find: "space }) => sum + (space.newBytes ?? space.freeBytes), 0);",
        replace: "space }) => sum + space.freeBytes, 0);",
      },
    ],
    scenarios: ["fullCluster"],
  },
  {
    name: "full-append-waits",
    rule: "an append that no tail took ends with NoSpace where there is no space for another tail",
    edits: [
      {
        file: "src/client/append-line.ts",
        find: "if (isNoTail(thrown, this.#options)) await this.#learnTaken();",
        replace: "if (isNoTail(undefined, this.#options)) await this.#learnTaken();",
      },
    ],
    scenarios: ["fullCluster"],
  },
];
