/** Joins flags, environment and the TOML file into the configuration of this call. */
import { readFileSync } from "node:fs";
import { GfsError } from "../../src/base/errors.ts";
import { configKeys, type ConfigKey } from "../../src/config/keys.ts";
import { defaultMasterPort, resolveConfig, splitMaster, type Config } from "../../src/config/resolve.ts";
import { parseLocation } from "../../src/config/units.ts";
import { fileReason } from "../../src/host/address.ts";
import type { Arguments, FlagSpec, VerbSpec } from "./verb.ts";

/** Flags of every verb that reads the configuration. */
export const configFlags = {
  config: { type: "string", hint: "FILE", about: "TOML file (else GFS_CONFIG, else ./gfs.toml)" },
  "secret-file": { type: "string", hint: "FILE", about: "file with the cluster secret", key: "cluster.secret_file" },
  json: { type: "boolean", about: "print JSON on standard output, nothing else" },
  "log-level": { type: "string", hint: "LEVEL", about: "debug, info, warn or error (else GFS_LOG_LEVEL)" },
  "log-format": { type: "string", hint: "FORMAT", about: "text or json (else GFS_LOG_FORMAT)" },
} as const satisfies Record<string, FlagSpec>;

/** `--json` of verbs that list what may have no end: nobody has to hold all of it. */
export const jsonLines = {
  json: { type: "boolean", about: "print one JSON object a line on standard output, nothing else; none: no line" },
} as const satisfies Record<string, FlagSpec>;

/** Flags of every verb that talks to a master as a client. */
export const clientFlags = {
  master: { type: "string", hint: "HOST:PORT", about: "the master's address" },
  timeout: {
    type: "string",
    hint: "SECONDS",
    about: "give up after this long without progress (30; or 500ms, 5min …)",
    key: "client.timeout_seconds",
  },
  location: { type: "string", hint: "X,Y", about: "where this client is: near servers are preferred" },
  "client-id": { type: "string", hint: "LABEL", about: "a name for this client in `gfs status`", key: "client.id" },
  quiet: { type: "boolean", about: "no progress bar, no notes" },
  ...configFlags,
} as const satisfies Record<string, FlagSpec>;

/** For verbs whose standard output is a file's own bytes. */
export function withoutJson(flags: Readonly<Record<string, FlagSpec>>): Readonly<Record<string, FlagSpec>> {
  return Object.fromEntries(Object.entries(flags).filter(([name]) => name !== "json"));
}

type FlagText = { readonly flag: string; readonly text: string | readonly string[] };

function flagSettings(
  spec: VerbSpec,
  args: Arguments,
  locationKeys: readonly [ConfigKey, ConfigKey],
): Map<ConfigKey, FlagText> {
  const found = new Map<ConfigKey, FlagText>();
  for (const [name, flag] of Object.entries(spec.flags)) {
    const text = args.text(name);
    if (text === undefined) continue;
    if (flag.key !== undefined)
      found.set(flag.key, { flag: `--${name}`, text: flag.many === true ? args.texts(name) : text });
    if (name === "master") {
      const { host, port } = splitMaster(text, "--master");
      found.set("master.host", { flag: "--master", text: host });
      found.set("master.port", { flag: "--master", text: port ?? defaultMasterPort });
    }
    if (name === "location") {
      const point = parseLocation(text);
      if (point === undefined)
        throw new GfsError("Usage", `--location wants two numbers, X,Y, not ${JSON.stringify(text)}`);
      found.set(locationKeys[0], { flag: "--location", text: String(point.x) });
      found.set(locationKeys[1], { flag: "--location", text: String(point.y) });
    }
  }
  return found;
}

function readFile(path: string, wanted: boolean): { name: string; tables: unknown } | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (!wanted && error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new GfsError("ConfigInvalid", `Cannot read the configuration ${path}: ${fileReason(error)}`);
  }
  try {
    return { name: path, tables: Bun.TOML.parse(text) };
  } catch (error) {
    throw new GfsError(
      "ConfigInvalid",
      `Cannot use ${path}: it is not valid TOML: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** @throws GfsError("ConfigInvalid" | "Usage") */
export function loadSettings(
  spec: VerbSpec,
  args: Arguments,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  const wanted = args.text("config") ?? (environment["GFS_CONFIG"] === "" ? undefined : environment["GFS_CONFIG"]);
  const file = readFile(wanted ?? "gfs.toml", wanted !== undefined);
  const locationKeys =
    spec.name === "chunk" ? (["chunk_server.x", "chunk_server.y"] as const) : (["client.x", "client.y"] as const);
  return resolveConfig({ flags: flagSettings(spec, args, locationKeys), environment, file });
}

/** The master's address, and the setting that it came from: what an error about it must name. */
export function masterAddress(config: Config): { readonly address: string; readonly origin: string } {
  const host = config.setting("master.host");
  const port = config.setting("master.port");
  const origin =
    host.origin === port.origin || port.value === configKeys["master.port"].fallback
      ? host.origin
      : `${host.origin}, ${port.origin}`;
  return { address: `${config.get("master.host")}:${config.get("master.port")}`, origin };
}
