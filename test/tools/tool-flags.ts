/** The flags of the programs of this directory: `--help` shows them, and what is wrong is one line and the exit code 2. */
import { parseArgs } from "node:util";

interface Flag {
  /** on: takes no value. */
  readonly kind: "text" | "whole" | "number" | "on";
  readonly about: string;
  /** Set by the program itself, for its children. */
  readonly hidden?: boolean;
}

const numbers = {
  whole: { form: /^\d{1,15}$/, is: "a whole number" },
  number: { form: /^\d{1,15}(\.\d+)?$/, is: "a number" },
} as const;

export interface Tool<Name extends string> {
  readonly command: string;
  readonly about: string;
  readonly flags: Readonly<Record<Name, Flag>>;
  /** What may follow the flags, and what it is. */
  readonly words?: { readonly name: string; readonly about: string };
  readonly examples: readonly string[];
}

export interface ToolFlags<Name extends string> {
  text(flag: Name): string | undefined;
  /** Of kinds `whole` and `number`. */
  number(flag: Name): number | undefined;
  on(flag: Name): boolean;
  readonly words: readonly string[];
  /** Ends the program. */
  refuse(why: string): never;
}

/** Ends the program where help was asked for, and where a flag is wrong. `argv`: without the program. */
export function toolFlags<Name extends string>(tool: Tool<Name>, argv = process.argv.slice(2)): ToolFlags<Name> {
  const refuse = (why: string): never => {
    process.stderr.write(`${tool.command}: ${why} (--help shows what there is)\n`);
    process.exit(2);
  };
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(helpOf(tool));
    process.exit(0);
  }
  const known = new Map<string, Flag>(Object.entries<Flag>(tool.flags));
  const { values, positionals } = parsed(known, argv, refuse);
  const [surplus] = positionals;
  if (tool.words === undefined && surplus !== undefined) refuse(`unexpected argument ${JSON.stringify(surplus)}`);
  const textOf = (flag: string): string | undefined => {
    const value = values[flag];
    return typeof value === "string" ? value : undefined;
  };
  for (const [name, { kind }] of known) {
    const text = textOf(name);
    const number = kind === "whole" || kind === "number" ? numbers[kind] : undefined;
    if (text !== undefined && number?.form.test(text) === false)
      refuse(`--${name} wants ${number.is}, not ${JSON.stringify(text)}`);
  }
  return {
    text: textOf,
    number: (flag) => {
      const text = textOf(flag);
      return text === undefined ? undefined : Number(text);
    },
    on: (flag) => values[flag] === true,
    words: positionals,
    refuse,
  };
}

function parsed(known: ReadonlyMap<string, Flag>, args: readonly string[], refuse: (why: string) => never) {
  const options = Object.fromEntries(
    [...known].map(([name, { kind }]) => [name, { type: kind === "on" ? "boolean" : "string" } as const]),
  );
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // The rest of it says how to pass what looks like a flag.
    const [what = ""] = String(error instanceof Error ? error.message : error).split(/\.\s|\n/);
    return refuse(`${what.slice(0, 1).toLowerCase()}${what.slice(1)}`);
  }
}

const hints = { text: " TEXT", whole: " N", number: " N", on: "" } as const;

function helpOf({ command, about, flags, words, examples }: Tool<string>): string {
  const shown = Object.entries(flags).filter(([, { hidden }]) => hidden !== true);
  const rows: (readonly [string, string])[] = shown.map(([name, flag]) => [`--${name}${hints[flag.kind]}`, flag.about]);
  if (words !== undefined) rows.unshift([words.name, words.about]);
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  const usage = `${command}${shown.length > 0 ? " [FLAGS]" : ""}${words === undefined ? "" : ` [${words.name}…]`}`;
  return [
    `Usage: ${usage}`,
    about,
    "",
    ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
    "",
    "Examples:",
    ...examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}
