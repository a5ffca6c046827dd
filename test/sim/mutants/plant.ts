/**
 * Preloaded into a child process: mutants take the place of their modules' source. GFS_SIM_MUTANT names one, which is there from the start; or says `*`: all that can
 * switch, none of which is there until it is chosen.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { plugin } from "bun";
import { canary } from "./canary.ts";
import { mutants } from "./list.ts";
import { mutate } from "./mutant.ts";
import { canSwitch, switched } from "./switched.ts";

const root = resolve(import.meta.dir, "../../..");
const sourceOf = (file: string): string => readFileSync(resolve(root, file), "utf8");
const name = process.env["GFS_SIM_MUTANT"];
const planted = [canary, ...mutants].filter((one) => (name === "*" ? canSwitch(one, sourceOf) : one.name === name));
if (planted.length === 0) throw new Error(`No mutant is called ${name ?? "(none)"}`);

plugin({
  name: "mutant",
  setup(build) {
    for (const file of new Set(planted.flatMap(({ edits }) => edits.map((edit) => edit.file)))) {
      const path = resolve(root, file);
      const here = planted.filter(({ edits }) => edits.some((edit) => edit.file === file));
      const contents =
        name === "*"
          ? switched(here, file, sourceOf(file))
          : here.reduce((source, mutant) => mutate(mutant, file, source), sourceOf(file));
      const filter = new RegExp(`^${path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
      build.onLoad({ filter }, () => {
        for (const mutant of here) process.stderr.write(`planted ${mutant.name} in ${file}\n`);
        return { contents, loader: "ts" };
      });
    }
  },
});
