/** What a running verb has at hand, and the verb as the table of `cmd/gfs.ts` holds it. */
import type { Config } from "../../src/config/resolve.ts";
import type { EventLevel } from "../../src/io.ts";
import { GfsError } from "../../src/base/errors.ts";
import { makeHostWorld, type HostWorld } from "../../src/host/world.ts";
import type { Arguments, VerbSpec } from "./verb.ts";

export interface Call {
  readonly args: Arguments;
  readonly config: Config;
  readonly world: HostWorld;
  readonly json: boolean;
  readonly quiet: boolean;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Every verb of this program. */
  readonly verbs: readonly VerbEntry[];
}

export interface Verb {
  readonly spec: VerbSpec;
  /** The exit code. */
  run(call: Call): Promise<number>;
  /** What the error line names after the verb: a path, mostly. */
  subject?(args: Arguments): string;
}

const levels: readonly EventLevel[] = ["debug", "info", "warn", "error"];
const formats = ["text", "json"] as const;

/** Servers log from info on, clients only what is wrong. */
export function worldFor(
  args: Arguments,
  environment: Readonly<Record<string, string | undefined>>,
  fallback: EventLevel,
): HostWorld {
  const logLevel = oneOf(levels, { flag: "log-level", variable: "GFS_LOG_LEVEL" }, args, environment);
  const logFormat = oneOf(formats, { flag: "log-format", variable: "GFS_LOG_FORMAT" }, args, environment);
  return makeHostWorld({ logLevel: logLevel ?? fallback, logFormat: logFormat ?? "text" });
}

/** As flag or variable say, if either does; an empty variable is none. @throws GfsError("Usage") naming the one that is wrong */
function oneOf<Value extends string>(
  known: readonly Value[],
  { flag, variable }: { readonly flag: string; readonly variable: string },
  args: Arguments,
  environment: Readonly<Record<string, string | undefined>>,
): Value | undefined {
  const given = args.text(flag);
  const text = given ?? environment[variable] ?? "";
  const value = known.find((one) => one === text);
  if (value !== undefined || (given === undefined && text === "")) return value;
  const origin = given === undefined ? variable : `--${flag}`;
  throw new GfsError("Usage", `${origin} is one of ${known.join(", ")}, not ${JSON.stringify(text)}`);
}

/** A line of the table in `cmd/gfs.ts`. */
export interface VerbEntry {
  readonly name: string;
  readonly summary: string;
  /** Long-running: handles signals itself, and logs more. */
  readonly server?: boolean;
  readonly hidden?: boolean;
  readonly load: () => Promise<Verb>;
}

export interface VerbGroup {
  readonly title: string;
  readonly verbs: readonly VerbEntry[];
}
