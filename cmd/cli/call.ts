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

/** Servers log from info on, clients only what is wrong. */
export function worldFor(
  args: Arguments,
  environment: Readonly<Record<string, string | undefined>>,
  fallback: EventLevel,
): HostWorld {
  const level = args.text("log-level") ?? environment["GFS_LOG_LEVEL"] ?? fallback;
  const logLevel = levels.find((known) => known === level);
  if (logLevel === undefined)
    throw new GfsError("Usage", `--log-level is one of ${levels.join(", ")}, not ${JSON.stringify(level)}`);
  const format = args.text("log-format") ?? environment["GFS_LOG_FORMAT"] ?? "text";
  if (format !== "text" && format !== "json")
    throw new GfsError("Usage", `--log-format is text or json, not ${JSON.stringify(format)}`);
  return makeHostWorld({ logLevel, logFormat: format });
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
