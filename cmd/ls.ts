import type { Entry } from "../src/wire/control/namespace.ts";
import type { GfsClient } from "../src/client/gfs-client.ts";
import { formatSize } from "../src/config/units.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson, showName, showTime, table } from "./cli/output.ts";
import { clientFlags, jsonLines } from "./cli/settings.ts";

function byName(a: Entry, b: Entry): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function join(directory: string, name: string): string {
  return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}

function longTable(entries: readonly Entry[], human: boolean): string {
  const rows = entries.map((entry) => [
    entry.kind === "directory" ? "d" : entry.open ? "a" : "-",
    entry.kind === "file" ? String(entry.replicas) : defaultOf(entry),
    entry.kind === "directory" ? "-" : human ? formatSize(entry.bytes) : String(entry.bytes),
    showTime(entry.modifiedMs),
    shown(entry),
  ]);
  return table(rows, [1, 2]);
}

function defaultOf({ attributes }: Entry): string {
  return attributes?.replicas === undefined ? "-" : `(${attributes.replicas})`;
}

function shown(entry: Entry): string {
  return showName(entry.name) + (entry.kind === "directory" ? "/" : "");
}

async function listOne(client: GfsClient, path: string, call: Call): Promise<string[]> {
  const { args, json, signal } = call;
  const entries: Entry[] = [];
  for await (const entry of client.list(path, { signal })) entries.push(entry);
  entries.sort(byName);
  const self = entries.length === 1 && entries[0]?.kind === "file" && path.endsWith(`/${entries[0].name}`);
  if (json) {
    for (const entry of entries) await printJson({ path: self ? path : join(path, entry.name), ...entry });
  } else if (entries.length > 0) {
    await print(args.on("long") ? longTable(entries, args.on("human")) : entries.map(shown).join("\n"));
  }
  return entries.filter((entry) => entry.kind === "directory").map((entry) => join(path, entry.name));
}

export const ls: Verb = {
  spec: {
    name: "ls",
    summary: "list a directory, or show that a file is there",
    positionals: [{ name: "PATH", about: "a directory or file; / where it is left out", optional: true, many: true }],
    flags: {
      long: {
        type: "boolean",
        short: "l",
        about:
          "kind (d directory, a being appended to), replicas wanted (of a directory, in brackets: its own default), bytes, time, name",
      },
      recursive: { type: "boolean", short: "R", about: "directories in it as well" },
      human: { type: "boolean", short: "h", about: "sizes like 1.2 GB" },
      ...clientFlags,
      ...jsonLines,
    },
    examples: [
      { command: "gfs ls -lh /backup", about: "sizes for people" },
      { command: "gfs ls -R --json / | jq .path", about: "one JSON value a line" },
    ],
  },
  subject: (args) => args.positionals.join(" "),
  async run(call) {
    await using client = await connect(call);
    const paths = call.args.positionals.length === 0 ? ["/"] : call.args.positionals;
    const recursive = call.args.on("recursive");
    const queue = [...paths].reverse();
    const titled = paths.length > 1 || recursive;
    let first = true;
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (titled && !call.json) await print(`${first ? "" : "\n"}${showName(path)}:`);
      first = false;
      const directories = await listOne(client, path, call);
      if (recursive) queue.push(...directories.reverse());
    }
    return 0;
  },
};
