import { GfsError } from "../src/base/errors.ts";
import { are, formatDuration, formatSize, parseDuration } from "../src/config/units.ts";
import { protocol } from "../src/limits.ts";
import type { TrashEntry } from "../src/wire/control/namespace.ts";
import { InodeId } from "../src/wire/ids.ts";
import { actionOf } from "./cli/actions.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, note, print, printJson, showName, showTime, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import { onlyFor } from "./cli/values.ts";

/** A number is an entry's id, anything else the path it had. */
function entryOf(text: string): InodeId | string {
  if (text.startsWith("/")) return text;
  const id = InodeId.safeParse(Number(text));
  if (!id.success)
    throw new GfsError(
      "Usage",
      `${JSON.stringify(text)} is neither a path nor the id of an entry; \`gfs trash ls\` lists them`,
    );
  return id.data;
}

/** Undefined for `none`. @throws GfsError("Usage") */
function durationOf(text: string, what: string): number | undefined {
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= protocol.trashMsMax) return ms;
  throw new GfsError("Usage", `${what} is a time like 12h or 30d, or seconds, not ${JSON.stringify(text)}`);
}

function refuseMore(call: Call, most: number): void {
  const surplus = call.args.positionals[most];
  if (surplus !== undefined) throw new GfsError("Usage", `unexpected argument ${JSON.stringify(surplus)}`);
}

async function list(call: Call): Promise<void> {
  refuseMore(call, 2);
  const [, path] = call.args.positionals;
  await using client = await connect(call);
  const rows = [["ID", "REMOVED", "GONE FOR GOOD", "SIZE", "STORED", "FILES", "PATH"]];
  const entries: TrashEntry[] = [];
  for await (const entry of client.trashList({ path, signal: call.signal })) {
    if (call.json) await printJson(entry);
    else entries.push(entry);
  }
  for (const entry of entries.sort((a, b) => b.removedMs - a.removedMs)) {
    rows.push([
      String(entry.id),
      showTime(entry.removedMs),
      showTime(entry.expiresMs),
      formatSize(entry.bytes),
      formatSize(entry.storedBytes),
      String(entry.files),
      showName(entry.path) + (entry.kind === "directory" ? "/" : ""),
    ]);
  }
  const nothing = path === undefined ? "the trash is empty" : `the trash has nothing of ${showName(path)}`;
  if (!call.json) await print(rows.length === 1 ? nothing : table(rows, [3, 4, 5]));
}

async function restore(call: Call): Promise<void> {
  refuseMore(call, 2);
  const [, what] = call.args.positionals;
  if (what === undefined) throw new GfsError("Usage", "missing ENTRY: the id or path of what to restore");
  await using client = await connect(call);
  const { path, others } = await client.trashRestore(entryOf(what), {
    to: call.args.text("to"),
    signal: call.signal,
  });
  if (others > 0)
    note(
      call,
      `the newest entry of ${showName(what)} was taken; ${counted(others, "older one")} ${are(others)} still in the trash (gfs trash ls)`,
    );
  if (call.json) await printJson({ path, others });
  else if (!call.quiet) await print(`restored ${showName(path)}`);
}

async function purge(call: Call): Promise<void> {
  refuseMore(call, 2);
  const { args } = call;
  const [, what] = args.positionals;
  const older = args.text("older-than");
  const olderThanMs = older === undefined ? undefined : durationOf(older, "--older-than");
  const below = args.on("recursive");
  if (what === undefined && older === undefined && !args.on("all"))
    throw new GfsError("Usage", "name the ENTRY to purge, or give --older-than or --all");
  if (args.on("all") && what !== undefined)
    throw new GfsError("Usage", "--all purges everything; name no ENTRY with it");
  const entry = what === undefined ? undefined : entryOf(what);
  if (typeof entry === "number" && (below || older !== undefined))
    throw new GfsError("Usage", "an id names one entry: -r and --older-than are for a path");
  if (below && entry === undefined) throw new GfsError("Usage", "-r wants a PATH");
  await using client = await connect(call);
  const entries = await client.trashPurge(entry, { below, olderThanMs, signal: call.signal });
  if (call.json) await printJson({ entries });
  else if (!call.quiet) await print(`purged ${counted(entries, "entry", "entries")}`);
}

/** Without a time: what holds, and where it comes from. */
async function retention(call: Call): Promise<void> {
  refuseMore(call, 3);
  const { signal } = call;
  const [, path, text] = call.args.positionals;
  if (path === undefined) throw new GfsError("Usage", "missing DIR: the directory whose retention it is");
  const ms = text === undefined || text === "none" ? undefined : durationOf(text, "a retention");
  await using client = await connect(call);
  if (text !== undefined) await client.setTrashRetention(path, ms, { signal });
  const status = await client.stat(path, { signal });
  const holds = status.inherited?.trashMs;
  if (holds === undefined)
    throw new GfsError("NotDirectory", `Cannot tell the trash's retention of ${path}: it is a file`);
  if (call.json) await printJson({ path: status.path, seconds: holds.value / 1_000, from: holds.from ?? null });
  else if (!call.quiet || text === undefined) {
    const from = holds.from === status.path ? "" : ` (from ${holds.from ?? "the master's trash_seconds"})`;
    const kept = holds.value === 0 ? "goes for good at once" : `stays in the trash for ${formatDuration(holds.value)}`;
    await print(`${showName(status.path)}: what is removed ${kept}${from}`);
  }
}

const actions: ReadonlyMap<string, (call: Call) => Promise<void>> = new Map([
  ["ls", list],
  ["restore", restore],
  ["purge", purge],
  ["retention", retention],
]);

export const trash: Verb = {
  spec: {
    name: "trash",
    summary: "list, restore or purge what was removed, and choose how long it is kept",
    positionals: [
      { name: "ACTION", about: "ls, restore, purge or retention" },
      {
        name: "ENTRY",
        about: "an id from `gfs trash ls`, or the path it had; of retention a directory, and a time like 30d, or none",
        optional: true,
        many: true,
      },
    ],
    flags: {
      to: { type: "string", hint: "PATH", about: "restore it under this name, or into this directory" },
      all: { type: "boolean", about: "purge everything" },
      recursive: { type: "boolean", short: "r", about: "purge what was removed below the path as well" },
      "older-than": { type: "string", hint: "TIME", about: "purge what was removed so long ago: 12h, 7d" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs trash ls /logs", about: "what of /logs can be restored, and until when" },
      { command: "gfs trash restore /old.csv", about: "the newest of that path, where it was" },
      { command: "gfs trash purge -r /logs --older-than 7d", about: "give the space back now" },
      { command: "gfs trash retention /scratch 0", about: "what is removed there goes for good" },
      { command: "gfs trash retention /scratch none", about: "as the directory above says" },
    ],
    notes: [
      "With --json `ls` prints one object a line, and nothing where the trash has nothing; the others print one object.",
      "A path names the newest entry for restore, which makes missing directories, and all its entries for purge.",
      "The retention of a directory holds for what is removed, or replaced, in it and below; the nearest directory with one counts, the removed directory itself too, at the time of the removal. A tree is kept as long as the longest of its directories says. Where space is short the oldest go earlier.",
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    const [action = ""] = call.args.positionals;
    const act = actionOf(action, actions);
    if (action !== "restore") onlyFor(call.args, ["to"], "gfs trash restore");
    if (action !== "purge") onlyFor(call.args, ["all", "recursive", "older-than"], "gfs trash purge");
    await act(call);
    return 0;
  },
};
