/**
 * The benchmark (docs/BENCHMARKS.md): compiled processes, one master and three chunkservers on this machine, everything synced before it is acknowledged; medians of
 * RUNS (3), interleaved with the machine's limits. `bun run bench [SECTION…]`: large small append cpu memory start pauses repair repair-decisions repair-requests faults hedge.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { appendRows } from "./bench-append.ts";
import { cpuRows } from "./bench-cpu.ts";
import { faultRows } from "./bench-faults.ts";
import { hedgeRows } from "./bench-hedge.ts";
import { largeRows } from "./bench-large.ts";
import { buildLoad } from "./bench-load.ts";
import { memoryRows } from "./bench-memory.ts";
import { formatRow, type Row, runs } from "./bench-rows.ts";
import { pauseRows } from "./bench-pauses.ts";
import { repairDecisionRows } from "./bench-repair-decisions.ts";
import { repairRequestRows } from "./bench-repair-requests.ts";
import { repairRows } from "./bench-repair.ts";
import { smallRows } from "./bench-small.ts";
import { startRows } from "./bench-start.ts";
import { toolFlags } from "./tool-flags.ts";

const sections: Readonly<Record<string, (directory: string) => Promise<Row[]>>> = {
  large: largeRows,
  small: smallRows,
  append: appendRows,
  cpu: cpuRows,
  memory: memoryRows,
  start: startRows,
  pauses: pauseRows,
  repair: repairRows,
  "repair-decisions": repairDecisionRows,
  "repair-requests": repairRequestRows,
  faults: faultRows,
  hedge: hedgeRows,
};

async function bench(wanted: readonly string[]): Promise<void> {
  await buildLoad();
  process.stdout.write(`${new Date().toISOString()}, ${cpus().length} cores, medians of ${runs}\n`);
  for (const name of wanted) {
    const directory = mkdtempSync(join(tmpdir(), "gfs-bench-"));
    try {
      process.stdout.write(`\n## ${name}\n`);
      for (const row of (await sections[name]?.(directory)) ?? []) process.stdout.write(`${formatRow(row)}\n`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

const known = Object.keys(sections);
const flags = toolFlags({
  command: "bun run bench",
  about:
    "Compiled processes on this machine, beside the machine's limits; medians of RUNS (3) runs (docs/BENCHMARKS.md).",
  flags: {},
  words: { name: "SECTION", about: `all where left out: ${known.join(" ")}` },
  examples: ["bun run bench large small", "RUNS=1 bun run bench append"],
});
const unknown = flags.words.find((name) => !known.includes(name));
if (unknown !== undefined) flags.refuse(`no section is called ${unknown}; known: ${known.join(" ")}`);
await bench(flags.words.length > 0 ? flags.words : known);
