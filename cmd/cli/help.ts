import type { FlagSpec, VerbSpec } from "./verb.ts";

const width = 100;

function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > width - indent) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join(`\n${" ".repeat(indent)}`);
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const left = Math.min(34, Math.max(...rows.map(([name]) => name.length))) + 4;
  return rows
    .map(([name, about]) => {
      const head = `  ${name}`.padEnd(left);
      return name.length + 2 >= left ? `${head}\n${" ".repeat(left)}${wrap(about, left)}` : head + wrap(about, left);
    })
    .join("\n");
}

function flagName(name: string, flag: FlagSpec): string {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  const value = flag.type === "string" ? ` ${flag.hint ?? "VALUE"}` : "";
  return `${short}--${name}${value}`;
}

export function usageLine(spec: VerbSpec): string {
  const positionals = spec.positionals.map((one) => {
    const name = one.many === true ? `${one.name} …` : one.name;
    return one.optional === true ? `[${name}]` : name;
  });
  return ["gfs", spec.name, ...positionals, "[flags]"].join(" ");
}

/** The page of one verb: usage, what it does, examples, arguments, flags. */
export function verbHelp(spec: VerbSpec): string {
  const parts = [`Usage: ${usageLine(spec)}`, wrap(`${spec.summary[0]?.toUpperCase()}${spec.summary.slice(1)}.`, 0)];
  for (const note of spec.notes ?? []) parts.push(wrap(note, 0));
  parts.push(`Examples:\n${columns(spec.examples.map(({ command, about }) => [command, about] as const))}`);
  if (spec.positionals.length > 0)
    parts.push(`Arguments:\n${columns(spec.positionals.map(({ name, about }) => [name, about] as const))}`);
  const flags = Object.entries(spec.flags).filter(([, flag]) => flag.hidden !== true);
  const helpRow = ["--help", "show this page"] as const;
  parts.push(
    `Flags:\n${columns([...flags.map(([name, flag]) => [flagName(name, flag), flag.about] as const), helpRow])}`,
  );
  return `${parts.join("\n\n")}\n`;
}

/** The first page: every verb with its line. */
export function rootHelp(
  groups: readonly {
    readonly title: string;
    readonly verbs: readonly { readonly name: string; readonly summary: string }[];
  }[],
): string {
  const longest = Math.max(...groups.flatMap((group) => group.verbs.map((verb) => verb.name.length)));
  const lists = groups.map(
    ({ title, verbs }) =>
      `${title}:\n${verbs.map((verb) => `  ${verb.name.padEnd(longest + 2)}${verb.summary}`).join("\n")}`,
  );
  return `gfs: a distributed file system in one executable

Usage: gfs VERB …          gfs VERB --help for its flags and examples

${lists.join("\n\n")}

Start here:
  gfs up &                 a whole cluster on this machine
  gfs put FILE /FILE       store a file
  gfs get /FILE copy       fetch it
`;
}
