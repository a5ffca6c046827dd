/** Finds the verb, runs it, prints what went wrong, and chooses the exit code. */
import { asGfsError, GfsError } from "../../src/base/errors.ts";
import { didYouMean } from "../../src/config/nearest.ts";
import { argv, environmentVariables, OutputClosedError } from "../../src/host/environment.ts";
import { exit, onSignal, onUncaught } from "../../src/host/signals.ts";
import { refuseMangledArguments } from "./arguments.ts";
import { worldFor, type Verb, type VerbEntry, type VerbGroup } from "./call.ts";
import { errorText, exitCodeOf, isBug } from "./errors.ts";
import { rootHelp, usageLine, verbHelp } from "./help.ts";
import { print, printJson } from "./output.ts";
import { loadSettings } from "./settings.ts";
import { parseAndRun } from "./verb.ts";

/** Runs the command line of this process to its end. */
export async function main(groups: readonly VerbGroup[]): Promise<void> {
  onUncaught((error) => {
    process.stderr.write(`gfs: a bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    exit(70);
  });
  // Timers of the world don't keep a process alive: waiting for a retry alone must not end it, with 0 at that.
  setInterval(() => {}, 1 << 30);
  exit(await run(groups, [...argv()]).catch(unprintable));
}

/** What was to be printed could not be: told on standard error, with the code of its reason. */
function unprintable(error: unknown): number {
  if (!(error instanceof OutputClosedError)) process.stderr.write(`${errorText(asGfsError(error), "")}\n`);
  return exitCodeOf(error);
}

async function run(groups: readonly VerbGroup[], args: readonly string[]): Promise<number> {
  const shown = groups
    .map(({ title, verbs }) => ({ title, verbs: verbs.filter((verb) => verb.hidden !== true) }))
    .filter(({ verbs }) => verbs.length > 0);
  const [first, ...rest] = args;
  if (first === undefined || ["--help", "-h"].includes(first) || (first === "help" && rest.length === 0)) {
    await print(rootHelp(shown));
    return first === undefined ? 2 : 0;
  }
  const all = groups.flatMap((group) => group.verbs);
  const name = first === "help" ? (rest[0] ?? "") : first === "--version" || first === "-V" ? "version" : first;
  const entry = all.find((verb) => verb.name === name);
  if (entry === undefined) {
    const known = shown.flatMap((group) => group.verbs.map((verb) => verb.name));
    const what = name.startsWith("-") ? `unknown flag ${name} before the verb` : `unknown verb ${name}`;
    process.stderr.write(`gfs: ${what}${didYouMean(name, known)}\n  \`gfs --help\` lists them all\n`);
    return 2;
  }
  const verb = await entry.load();
  if (first === "help") {
    await print(verbHelp(verb.spec));
    return 0;
  }
  return runVerb({ entry, verb, verbs: all }, rest);
}

async function runVerb(
  found: { readonly entry: VerbEntry; readonly verb: Verb; readonly verbs: readonly VerbEntry[] },
  argv: readonly string[],
): Promise<number> {
  const { entry, verb, verbs } = found;
  const environment = environmentVariables();
  const abort = new AbortController();
  // A server handles its signals itself; for a client the second one ends it at once.
  using _signals =
    entry.server === true
      ? undefined
      : onSignal(() => {
          if (abort.signal.aborted) exit(130);
          abort.abort(new GfsError("Interrupted", "Interrupted"));
        });
  let json = argv.includes("--json");
  let subject = "";
  try {
    refuseMangledArguments();
    const code = await parseAndRun(verb.spec, argv, async (args) => {
      json = args.on("json");
      subject = verb.subject?.(args) ?? "";
      const config = loadSettings(verb.spec, args, environment);
      const world = worldFor(args, environment, entry.server === true ? "info" : "error");
      try {
        return await verb.run({
          args,
          config,
          world,
          json,
          quiet: args.on("quiet") || json,
          signal: abort.signal,
          verbs,
        });
      } finally {
        await world.events.flush(1_000);
      }
    });
    if (code !== "help") return code;
    await print(verbHelp(verb.spec));
    return 0;
  } catch (error) {
    if (error instanceof OutputClosedError) return exitCodeOf(error);
    const own = abort.signal.aborted ? new GfsError("Interrupted", "Interrupted") : asGfsError(error);
    if (json) await printJson({ error: { code: own.code, message: own.message, details: own.details } });
    if (isBug(own)) process.stderr.write(`${error instanceof Error ? (error.stack ?? "") : ""}\n`);
    process.stderr.write(`${errorText(own, `${entry.name}${subject === "" ? "" : ` ${subject}`}`)}\n`);
    if (own.code === "Usage")
      process.stderr.write(`  ${usageLine(verb.spec)}; \`gfs ${entry.name} --help\` for more\n`);
    return exitCodeOf(own);
  }
}
