/** Rules taken out: the scrub (DESIGN §4.5). */
import type { Mutant } from "../mutant.ts";

const verify = "src/chunkserver/store/verify-replica.ts";
const scrubber = "src/chunkserver/scrubber.ts";

export const scrubMutants: readonly Mutant[] = [
  {
    name: "scrub-skips-the-log",
    rule: "the scrub reads what only the volume's log has too",
    edits: [
      {
        file: verify,
        find: "      ? await lookThroughActive(ground, handle, before)",
        replace: '      ? "healthy"',
      },
    ],
    scenarios: ["rottenReplicas"],
  },
  {
    name: "scrub-begins-anew",
    rule: "the scrub goes on where it was before a restart",
    edits: [
      { file: scrubber, find: "    if (round === undefined) return;", replace: "    if (round !== undefined) return;" },
    ],
    scenarios: ["rottenReplicas"],
  },
  {
    name: "scrub-out-of-order",
    rule: "what was read longest ago is read next",
    edits: [{ file: scrubber, find: "found.sort((a, b) => a - b)", replace: "found.sort((a, b) => b - a)" }],
    scenarios: ["rottenReplicas"],
  },
  {
    name: "scrub-keeps-it-to-itself",
    rule: "what the scrub finds corrupt is reported",
    edits: [
      {
        file: verify,
        find: '    if (again !== "healthy") markBad(ground, handle, again);',
        replace: "",
      },
    ],
    scenarios: ["rottenReplicas"],
  },
  {
    name: "verified-by-one-look",
    rule: "nothing is said to be bad before it was read once more with nobody else at its files",
    edits: [
      {
        file: verify,
        find: '  if (first === "healthy") return first;',
        replace:
          '  if (first !== "healthy") markBad(ground, handle, first);\n  if (first === "healthy" || first !== undefined) return first;',
      },
    ],
    scenarios: ["verifiedChanges"],
  },
  {
    name: "verified-by-the-cache",
    rule: "a replica is verified by its file opened anew, its trailer with it",
    edits: [
      {
        file: verify,
        find: '  const sealed = await ground.files.openSealed(row, "medium");',
        replace: "  const loan = await ground.files.borrow(row);\n  const { sealed } = loan;",
      },
      { file: verify, find: "    await sealed.file.close();", replace: "    loan.giveBack();" },
    ],
    scenarios: ["verifiedChanges"],
  },
];
