/** `bun run thrash [--minutes M] [--seed S]`: the compiled executable as real processes under faults, judged by the simulator's checkers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatReport } from "../thrash/report.ts";
import { faultNames, ThrashRun } from "../thrash/run-thrash.ts";
import { containment, look } from "../thrash/surroundings.ts";
import { toolFlags } from "./tool-flags.ts";

const flags = toolFlags({
  command: "bun run thrash",
  about:
    "The compiled executable as real processes under faults, judged by the simulator's checkers (docs/TESTING.md).",
  flags: {
    minutes: { kind: "number", about: "for so many, 1 where left out" },
    seed: { kind: "whole", about: "the faults of this one; a fresh one where left out" },
    "round-seconds": { kind: "number", about: "of each round: how long faults are made" },
    only: { kind: "text", about: 'of the faults only these, by name, with commas: "kill master,partition"' },
    loopback: { kind: "on", about: "without namespaces, also where there could be some" },
    canary: { kind: "on", about: "shows that a run can fail: an acknowledgement is invented" },
    contained: { kind: "text", about: "the folder, where it already runs in its namespaces", hidden: true },
  },
  examples: ["bun run thrash --minutes 60 --seed 3"],
});
const seed = flags.number("seed") ?? Math.floor(Date.now() / 1_000) % 1_000_000_000;
const minutes = flags.number("minutes") ?? 1;
const only = onlyAsked();
const contained = flags.text("contained");
const exitViolated = 1;
const exitInterrupted = 130;

process.exit(contained === undefined ? await launch() : await perform(contained, true));

function onlyAsked(): readonly string[] | undefined {
  const names = flags
    .text("only")
    ?.split(",")
    .map((name) => name.trim());
  const unknown = names?.find((name) => !faultNames.includes(name));
  if (unknown !== undefined) flags.refuse(`--only knows ${faultNames.join(", ")}, not ${JSON.stringify(unknown)}`);
  return names;
}

/** In namespaces of its own where they can be had; whatever comes, nothing is left behind but what tells of a broken promise. */
async function launch(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "gfs-thrash-"));
  const wrapper = flags.on("loopback") ? undefined : containment();
  let code = exitInterrupted;
  try {
    if (wrapper === undefined) code = await perform(folder, false);
    else {
      const own = [process.execPath, import.meta.path, ...process.argv.slice(2)];
      const args = ["--seed", String(seed), "--contained", folder];
      const child = Bun.spawn([...wrapper, ...own, ...args], { stdin: "pipe", stdout: "inherit", stderr: "inherit" });
      // Its standard input ends: told to stop, or this process is gone.
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => void child.stdin.end());
      process.on("exit", () => child.kill("SIGKILL"));
      code = await child.exited;
    }
  } finally {
    // Anything else is neither a judgement nor an interruption: the program itself was killed, or failed.
    const judged = code === 0 || code === exitInterrupted;
    if (!judged && code !== exitViolated) console.log(`the run itself ended with ${code}, without a judgement`);
    if (judged) rmSync(folder, { recursive: true, force: true });
    else console.log(`logs and data: ${folder}`);
  }
  return code;
}

async function perform(folder: string, contained: boolean): Promise<number> {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => controller.abort());
  if (contained) {
    const untilEnd = async (): Promise<void> => {
      for await (const _ of Bun.stdin.stream());
      controller.abort();
    };
    untilEnd().catch(() => controller.abort());
  }
  const surroundings = look(contained);
  for (const line of surroundings.missing) console.log(`not made here: ${line}`);
  const roundSeconds = flags.number("round-seconds") ?? Math.min(60, minutes * 30);
  mkdirSync(join(folder, "logs"), { recursive: true });
  const say = (line: string): void => {
    console.log(`${new Date().toISOString().slice(11, 23)} ${line}`);
  };
  say(`seed ${seed}, ${minutes} min, ${surroundings.namespaces ? "in namespaces" : "on loopback"}`);
  const { figures, settings } = await ThrashRun.perform({
    seed,
    minutes,
    roundSeconds,
    folder,
    surroundings,
    only,
    canary: flags.on("canary"),
    say,
    signal: controller.signal,
  });
  const violated = figures.violations.length > 0;
  const again = `bun run thrash --minutes ${minutes} --seed ${seed} --round-seconds ${roundSeconds}`;
  const facts = new Map([
    ["run", `${again}${only === undefined ? "" : ` --only "${only.join(",")}"`}`],
    ["settings", JSON.stringify(settings)],
    ["made possible", surroundings.namespaces ? "namespaces, packet filter, TCP proxy" : "TCP proxy on loopback"],
    ["not made here", surroundings.missing.join("; ") || "nothing is missing"],
  ]);
  const report = formatReport(figures, facts);
  const broken = figures.violations.slice(0, 20).map(({ promise, what }) => `  ${promise}: ${what}`);
  console.log(`\n${report}`);
  if (violated) {
    const text = [report, "broken:", ...figures.violations.map(({ promise, what }) => `  ${promise}: ${what}`)];
    writeFileSync(join(folder, "report.txt"), text.join("\n"));
    console.log(`broken:\n${broken.join("\n")}\nagain: ${again}`);
    return exitViolated;
  }
  return controller.signal.aborted ? exitInterrupted : 0;
}
