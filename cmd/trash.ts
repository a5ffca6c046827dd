import { GfsError } from "../src/base/errors.ts";
import { didYouMean } from "../src/config/nearest.ts";
import { formatSize } from "../src/config/units.ts";
import { InodeId } from "../src/wire/ids.ts";
import type { TrashEntry } from "../src/wire/control/namespace.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson, showName, showTime, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

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

async function list(call: Call): Promise<void> {
  await using client = await connect(call);
  const rows = [["ID", "REMOVED", "GONE FOR GOOD", "SIZE", "PATH"]];
  const entries: TrashEntry[] = [];
  for await (const entry of client.trashList({ signal: call.signal })) {
    if (call.json) await printJson(entry);
    else entries.push(entry);
  }
  for (const entry of entries.sort((a, b) => b.removedMs - a.removedMs)) {
    rows.push([
      String(entry.id),
      showTime(entry.removedMs),
      showTime(entry.expiresMs),
      formatSize(entry.bytes),
      showName(entry.path) + (entry.kind === "directory" ? "/" : ""),
    ]);
  }
  if (!call.json) await print(rows.length === 1 ? "the trash is empty" : table(rows, [3]));
}

async function restore(call: Call): Promise<void> {
  const [, what] = call.args.positionals;
  if (what === undefined) throw new GfsError("Usage", "missing ENTRY: the id or path of what to restore");
  await using client = await connect(call);
  const path = await client.trashRestore(entryOf(what), { to: call.args.text("to"), signal: call.signal });
  if (call.json) await printJson({ path });
  else if (!call.quiet) await print(`restored ${showName(path)}`);
}

async function purge(call: Call): Promise<void> {
  const [, what] = call.args.positionals;
  if (what === undefined && !call.args.on("all")) throw new GfsError("Usage", "name the ENTRY to purge, or give --all");
  await using client = await connect(call);
  const entries = await client.trashPurge(what === undefined ? undefined : entryOf(what), { signal: call.signal });
  if (call.json) await printJson({ entries });
  else if (!call.quiet) await print(`purged ${entries} ${entries === 1 ? "entry" : "entries"}`);
}

const actions: ReadonlyMap<string, (call: Call) => Promise<void>> = new Map([
  ["ls", list],
  ["restore", restore],
  ["purge", purge],
]);

export const trash: Verb = {
  spec: {
    name: "trash",
    summary: "list, restore or purge what was removed",
    positionals: [
      { name: "ACTION", about: "ls, restore or purge" },
      { name: "ENTRY", about: "an id from `gfs trash ls`, or a path (its newest entry)", optional: true },
    ],
    flags: {
      to: { type: "string", hint: "PATH", about: "restore it under this name" },
      all: { type: "boolean", about: "purge everything" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs trash ls", about: "what can be restored, and until when" },
      { command: "gfs trash restore /old.csv", about: "where it was" },
      { command: "gfs trash purge --all", about: "give the space back now" },
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    const [action = ""] = call.args.positionals;
    const act = actions.get(action);
    if (act === undefined) {
      const known = [...actions.keys()];
      throw new GfsError("Usage", `unknown action ${action}${didYouMean(action, known)}; known: ${known.join(", ")}`);
    }
    await act(call);
    return 0;
  },
};
