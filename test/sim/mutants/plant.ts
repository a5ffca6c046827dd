/** Preloaded into a child process: the mutant named by GFS_SIM_MUTANT takes the place of its modules' source. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { plugin } from "bun";
import { canary } from "./canary.ts";
import { mutants } from "./list.ts";
import { mutate } from "./mutant.ts";

const name = process.env["GFS_SIM_MUTANT"];
const mutant = [canary, ...mutants].find((one) => one.name === name);
if (mutant === undefined) throw new Error(`No mutant is called ${name ?? "(none)"}`);

plugin({
  name: "mutant",
  setup(build) {
    for (const file of new Set(mutant.edits.map((edit) => edit.file))) {
      const path = resolve(import.meta.dir, "../../..", file);
      const contents = mutate(mutant, file, readFileSync(path, "utf8"));
      const filter = new RegExp(`^${path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
      build.onLoad({ filter }, () => {
        process.stderr.write(`planted ${mutant.name} in ${file}\n`);
        return { contents, loader: "ts" };
      });
    }
  },
});
