/** Rules taken out: garbage, reports and the brakes (DESIGN §4.1, §4.5). */
import type { Mutant } from "../mutant.ts";

export const garbageMutants: readonly Mutant[] = [
  {
    name: "old-reports-believed",
    rule: "a report that began before the latest fact about a chunk says nothing about it",
    edits: [
      {
        file: "src/master/core/reports.ts",
        find: 'if (table.stamps.get(slot) > factMark) return unfinished ? "late-unfinished" : "late";',
        replace: "",
      },
      {
        file: "src/master/core/reports.ts",
        find: "if (table.stamps.get(slot) > progress.factMark) putReplica",
        replace: "if (table.stamps.get(slot) < 0) putReplica",
      },
    ],
    scenarios: ["goodDay"],
  },
  {
    name: "readers-not-waited-for",
    rule: "chunks of a removed file outlive it for the readers in progress",
    edits: [
      {
        file: "src/master/core/garbage.ts",
        find: "const dueMs = time.nowMs + (waits ? time.limits.deleteGraceMs : 0);",
        replace: "const dueMs = time.nowMs + (waits ? 0 : time.limits.deleteGraceMs);",
      },
    ],
    scenarios: ["slowReaders"],
  },
];
