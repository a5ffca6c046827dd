import { didYouMean } from "../src/config/nearest.ts";
import { parseDuration } from "../src/config/units.ts";
import type { ClusterEvent, EventsOptions } from "../src/client/api.ts";
import { eventKinds } from "../src/master/core/event-kinds.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson, showMoment, showName } from "./cli/output.ts";
import { clientFlags, jsonLines } from "./cli/settings.ts";
import { wholeNumber } from "./cli/values.ts";
import { type Arguments, usageError } from "./cli/verb.ts";

const limitDefault = 100;

function lineOf({ atMs, level, kind, text }: ClusterEvent): string {
  return `${showMoment(atMs)}  ${level.padEnd(5)}  ${kind.padEnd(20)}  ${showName(text)}`;
}

/** Beginnings of kinds. @throws GfsError("Usage") for one that no kind has */
function kindsOf(args: Arguments): readonly string[] {
  const asked = args.texts("kind");
  const known = [...eventKinds().keys()];
  const groups = [...new Set(known.map((kind) => kind.slice(0, kind.indexOf(".") + 1)))].sort();
  for (const prefix of asked)
    if (!known.some((kind) => kind.startsWith(prefix)))
      throw usageError(
        `no kind of event begins with ${JSON.stringify(prefix)}${didYouMean(prefix, [...known, ...groups])}; known: ${groups.join(", ")}`,
      );
  return asked;
}

/** All that is not older than `--since`, unless `--limit` says fewer. */
function optionsOf(args: Arguments): EventsOptions {
  const since = args.text("since");
  const sinceMs = since === undefined ? undefined : parseDuration(since);
  if (since !== undefined && sinceMs === undefined)
    throw usageError(`--since is a time like 30s, 10m, 1h or 7d, not ${JSON.stringify(since)}`);
  const limit = wholeNumber(args, "limit", { min: 0 }) ?? (sinceMs === undefined ? limitDefault : undefined);
  return { sinceMs, limit, kinds: kindsOf(args), follow: args.on("follow") };
}

async function run(call: Call): Promise<number> {
  const options = optionsOf(call.args);
  await using client = await connect(call);
  for await (const event of client.operator.events({ ...options, signal: call.signal })) {
    if (call.json) await printJson(event);
    else await print(lineOf(event));
  }
  return 0;
}

export const events: Verb = {
  spec: {
    name: "events",
    summary: "show what happened in the cluster, when and why: deaths and returns, repairs, corruptions, seals, starts",
    positionals: [],
    flags: {
      follow: { type: "boolean", short: "f", about: "go on with what happens from now on, until interrupted" },
      since: { type: "string", hint: "TIME", about: "no older than 30s, 10m, 1h, 7d …" },
      limit: { type: "string", hint: "N", about: `the newest N (${limitDefault}; with --since all)` },
      kind: {
        type: "string",
        hint: "PREFIX",
        about: "only kinds that begin so, as volume. or repair.failed",
        many: true,
      },
      ...clientFlags,
      ...jsonLines,
    },
    examples: [
      { command: "gfs events --since 1h", about: "what the last hour brought" },
      { command: "gfs events -f --kind volume. --kind replica.bad", about: "servers that come and go, and corruption" },
      { command: "gfs events --json --limit 1000 | jq -r .kind | sort | uniq -c", about: "one JSON object a line" },
    ],
    notes: [
      "The master keeps the last events (8 MiB of them) on its disk, through restarts. Of many of one kind the first are told each, the others as one, with their count.",
      "docs/OPERATIONS.md says for each kind what it means and what to do.",
    ],
  },
  run,
};
