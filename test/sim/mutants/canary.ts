import type { Mutant } from "./mutant.ts";

/** A product so wrong that every run must notice: if one does not, it is the harness that is wrong. */
export const canary: Mutant = {
  name: "canary",
  rule: "a read gives the bytes that were written",
  edits: [
    {
      file: "src/client/read-part.ts",
      find: "yield* outcome.run.payload;",
      replace: "yield* outcome.run.payload.map((piece) => piece.map((byte) => byte ^ 1));",
    },
  ],
  scenarios: ["brief"],
};
