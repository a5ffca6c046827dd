/** What a subcommand is: its arguments, its help, and the function that runs it. */
import { defineCommand, runCommand, type ArgsDef } from "citty";
import { GfsError } from "../../src/base/errors.ts";
import type { ConfigKey } from "../../src/config/keys.ts";
import { didYouMean } from "../../src/config/nearest.ts";

export interface FlagSpec {
  readonly type: "boolean" | "string";
  readonly about: string;
  readonly short?: string;
  /** Of a string: what to show for its value. */
  readonly hint?: string;
  /** The configuration key that the flag sets. */
  readonly key?: ConfigKey;
  /** May be given several times, or once with commas. */
  readonly many?: boolean;
  readonly hidden?: boolean;
}

export interface PositionalSpec {
  readonly name: string;
  readonly about: string;
  readonly optional?: boolean;
  /** Takes all that follow; only the last one. */
  readonly many?: boolean;
}

export interface Example {
  readonly command: string;
  readonly about: string;
}

export interface VerbSpec {
  readonly name: string;
  readonly summary: string;
  readonly positionals: readonly PositionalSpec[];
  readonly flags: Readonly<Record<string, FlagSpec>>;
  readonly examples: readonly Example[];
  readonly notes?: readonly string[];
  /** Takes all that follows as it is: for calls that gfs makes to itself. */
  readonly raw?: boolean;
}

export interface Arguments {
  readonly positionals: readonly string[];
  /** Of a string flag; the last one given. */
  text(flag: string): string | undefined;
  texts(flag: string): readonly string[];
  on(flag: string): boolean;
  /** Given as `--no-flag`. */
  off(flag: string): boolean;
}

/** A usage error (exit 2) that points to the verb's help. */
export function usageError(message: string): GfsError {
  return new GfsError("Usage", message);
}

interface Scanned {
  /** For citty: every value joined to its flag, every short flag spelled out. */
  readonly rawArgs: string[];
  readonly positionals: string[];
  readonly lists: ReadonlyMap<string, readonly string[]>;
  readonly help: boolean;
}

/** citty takes unknown flags and missing values in silence; this refuses them, with the nearest known name. */
function scan(spec: VerbSpec, argv: readonly string[]): Scanned {
  const known = Object.entries(spec.flags).filter(([, flag]) => flag.hidden !== true);
  const names = [...known.map(([name]) => `--${name}`), "--help"];
  const shorts = new Map(
    Object.entries(spec.flags).flatMap(([name, flag]) =>
      flag.short === undefined ? [] : [[flag.short, name] as const],
    ),
  );
  const positionals: string[] = [];
  const lists = new Map<string, string[]>();
  const booleans = new Map<string, boolean>();
  let help = false;

  const expanded = [...argv];
  for (let i = 0; i < expanded.length; i++) {
    const arg = expanded[i] ?? "";
    if (arg === "--") {
      positionals.push(...expanded.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      positionals.push(arg);
      continue;
    }
    if (!arg.startsWith("--")) {
      if (arg === "-h" && !shorts.has("h")) {
        help = true;
        continue;
      }
      const long = Array.from(arg.slice(1), (letter) => {
        const name = shorts.get(letter);
        if (name === undefined)
          throw usageError(
            `unknown flag -${letter}${shorts.size > 0 ? ` (known: ${[...shorts.keys()].map((k) => `-${k}`).join(" ")})` : ""}`,
          );
        return `--${name}`;
      });
      expanded.splice(i, 1, ...long);
      i--;
      continue;
    }
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
    if (name === "help") {
      help = true;
      continue;
    }
    const direct = spec.flags[name];
    const negated = direct === undefined && name.startsWith("no-") ? spec.flags[name.slice(3)] : undefined;
    if (negated?.type === "boolean") {
      booleans.set(name.slice(3), false);
      continue;
    }
    if (direct === undefined) throw usageError(`unknown flag --${name}${didYouMean(`--${name}`, names)}`);
    if (direct.type === "boolean") {
      if (equals >= 0 && !["true", "false"].includes(arg.slice(equals + 1)))
        throw usageError(`--${name} takes no value`);
      booleans.set(name, equals < 0 || arg.slice(equals + 1) === "true");
      continue;
    }
    const value = equals >= 0 ? arg.slice(equals + 1) : expanded[++i];
    if (value === undefined || value === "")
      throw usageError(`--${name} wants a value${direct.hint === undefined ? "" : `: --${name} ${direct.hint}`}`);
    if (equals < 0 && value.startsWith("--") && (names.includes(value) || value === "--"))
      throw usageError(`--${name} wants a value, not the flag ${value}`);
    lists.set(name, [...(lists.get(name) ?? []), ...(direct.many === true ? value.split(",") : [value])]);
  }
  const rawArgs: string[] = [];
  for (const [name, on] of booleans) rawArgs.push(on ? `--${name}` : `--no-${name}`);
  for (const [name, values] of lists) rawArgs.push(`--${name}=${values.at(-1)}`);
  return { rawArgs, positionals, lists, help };
}

function checkPositionals(spec: VerbSpec, given: readonly string[]): void {
  const required = spec.positionals.filter((one) => one.optional !== true);
  const missing = required[given.length];
  if (missing !== undefined) throw usageError(`missing ${missing.name}: ${missing.about}`);
  const surplus = given[spec.positionals.length];
  if (surplus !== undefined && spec.positionals.at(-1)?.many !== true)
    throw usageError(`unexpected argument ${JSON.stringify(surplus)}`);
}

/** Runs `run` with the parsed arguments, or answers `help` where that was asked for. @throws GfsError("Usage") */
export async function parseAndRun(
  spec: VerbSpec,
  argv: readonly string[],
  run: (args: Arguments) => Promise<number>,
): Promise<number | "help"> {
  const scanned: Scanned =
    spec.raw === true ? { rawArgs: [], positionals: [...argv], lists: new Map(), help: false } : scan(spec, argv);
  if (scanned.help) return "help";
  checkPositionals(spec, scanned.positionals);
  const args: ArgsDef = {};
  for (const [name, flag] of Object.entries(spec.flags)) args[name] = { type: flag.type, description: flag.about };
  const command = defineCommand({
    meta: { name: spec.name, description: spec.summary },
    args,
    run: ({ args: parsed }) =>
      run({
        positionals: scanned.positionals,
        text: (flag) => {
          const value: unknown = parsed[flag];
          return typeof value === "string" ? value : undefined;
        },
        texts: (flag) => scanned.lists.get(flag) ?? [],
        on: (flag) => parsed[flag] === true,
        off: (flag) => parsed[flag] === false,
      }),
  });
  const { result } = await runCommand(command, { rawArgs: scanned.rawArgs });
  return typeof result === "number" ? result : 0;
}
