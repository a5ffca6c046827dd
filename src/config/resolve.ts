/** Flag, environment, TOML file, default: which value holds, and where it came from. Pure: the sources are arguments. */
import { unreachable } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import { configKeyNames, configKeys, environmentName, type ConfigKey, type ConfigValue, type KeySpec } from "./keys.ts";
import { didYouMean } from "./nearest.ts";
import { parseDuration, parseSize } from "./units.ts";

type Value = string | number | readonly string[] | undefined;

export interface Setting {
  readonly value: Value;
  /** `flag --master`, `environment GFS_MASTER`, `file gfs.toml`, `default`. */
  readonly origin: string;
}

export interface ConfigSources {
  /** As typed, by key, with the flag's name. */
  readonly flags: ReadonlyMap<ConfigKey, { readonly flag: string; readonly text: string | readonly string[] }>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Parsed TOML, with the name to show. */
  readonly file: { readonly name: string; readonly tables: unknown } | undefined;
}

export class Config {
  readonly #settings: ReadonlyMap<ConfigKey, Setting>;

  constructor(settings: ReadonlyMap<ConfigKey, Setting>) {
    this.#settings = settings;
  }

  setting(key: ConfigKey): Setting {
    return this.#settings.get(key) ?? { value: configKeys[key].fallback, origin: "default" };
  }

  get<Key extends ConfigKey>(key: Key): ConfigValue<Key> {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- readValue gave it the key's type, which the compiler can't follow through the map
    return this.setting(key).value as ConfigValue<Key>;
  }
}

/** @throws GfsError("ConfigInvalid") naming the source, the key, and what it wants. */
export function resolveConfig(sources: ConfigSources): Config {
  const settings = new Map<ConfigKey, Setting>();
  for (const [key, value] of fileSettings(sources.file)) {
    settings.set(key, {
      value: readValue(key, value, `in ${sources.file?.name}`),
      origin: `file ${sources.file?.name}`,
    });
  }
  for (const [key, { name, text }] of environmentSettings(sources.environment)) {
    settings.set(key, { value: readValue(key, text, `in the environment (${name})`), origin: `environment ${name}` });
  }
  for (const [key, { flag, text }] of sources.flags) {
    settings.set(key, { value: readValue(key, text, `of ${flag}`), origin: `flag ${flag}` });
  }
  return new Config(settings);
}

function invalid(what: string): never {
  throw new GfsError("ConfigInvalid", what);
}

function tableOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function fileSettings(file: ConfigSources["file"]): Map<ConfigKey, unknown> {
  const found = new Map<ConfigKey, unknown>();
  if (file === undefined) return found;
  const tableNames = [...new Set(configKeyNames.map((key) => key.slice(0, key.indexOf("."))))];
  for (const [table, keys] of Object.entries(tableOf(file.tables))) {
    if (!tableNames.includes(table))
      invalid(`Cannot use ${file.name}: unknown table [${table}]${didYouMean(table, tableNames)}`);
    if (typeof keys !== "object" || keys === null) invalid(`Cannot use ${file.name}: [${table}] must be a table`);
    for (const [name, value] of Object.entries(tableOf(keys))) {
      const key = `${table}.${name}`;
      if (!isConfigKey(key)) {
        const known = configKeyNames.filter((k) => k.startsWith(`${table}.`)).map((k) => k.slice(table.length + 1));
        invalid(`Cannot use ${file.name}: unknown key ${name} in [${table}]${didYouMean(name, known)}`);
      }
      found.set(key, value);
    }
  }
  return found;
}

/** Variables that are no settings of a key. */
const otherVariables = ["GFS_MASTER", "GFS_CONFIG", "GFS_LOG_LEVEL", "GFS_LOG_FORMAT"];

const keyOfVariable: ReadonlyMap<string, ConfigKey> = new Map(
  configKeyNames.flatMap((key) => {
    const { alias }: KeySpec = configKeys[key];
    const names = alias === undefined ? [environmentName(key)] : [environmentName(key), alias];
    return names.map((name) => [name, key] as const);
  }),
);

/** Of a master's address that names none. */
export const defaultMasterPort = String(configKeys["master.port"].fallback);

/** Every variable that begins with `GFS_` is meant for this program. `GFS_MASTER` goes before those of the host and port that it names. */
function environmentSettings(
  environment: ConfigSources["environment"],
): Map<ConfigKey, { name: string; text: string }> {
  const found = new Map<ConfigKey, { name: string; text: string }>();
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith("GFS_") || text === undefined || text === "" || otherVariables.includes(name)) continue;
    const key = keyOfVariable.get(name);
    if (key === undefined)
      invalid(
        `Cannot use the environment: unknown setting ${name}${didYouMean(name, [...keyOfVariable.keys(), ...otherVariables])}`,
      );
    found.set(key, { name, text });
  }
  const master = environment["GFS_MASTER"];
  if (master === undefined || master === "") return found;
  const { host, port } = splitMaster(master, "GFS_MASTER");
  found.set("master.host", { name: "GFS_MASTER", text: host });
  if (port !== undefined || !found.has("master.port"))
    found.set("master.port", { name: "GFS_MASTER", text: port ?? defaultMasterPort });
  return found;
}

/** `HOST:PORT`, or `HOST` alone. */
export function splitMaster(text: string, source: string): { host: string; port: string | undefined } {
  const match = /^(\[[^\]]+\]|[^:\s]+)(?::(\d+))?$/.exec(text);
  if (match === null) invalid(`Cannot use ${source}: ${JSON.stringify(text)} is not HOST:PORT`);
  return { host: match[1] ?? "", port: match[2] };
}

export function isConfigKey(name: string): name is ConfigKey {
  return Object.hasOwn(configKeys, name);
}

function readValue(key: ConfigKey, raw: unknown, where: string): Value {
  const { type }: KeySpec = configKeys[key];
  const refuse = (wants: string): never =>
    invalid(`Cannot use ${key} ${where}: ${JSON.stringify(raw)} is not ${wants}`);
  switch (type.kind) {
    case "text":
      return typeof raw === "string" && raw !== "" ? raw : refuse("a text");
    case "text-list": {
      const list: unknown[] = Array.isArray(raw) ? raw : typeof raw === "string" ? raw.split(",") : [];
      const texts = list.filter((one): one is string => typeof one === "string" && one !== "");
      return texts.length > 0 && texts.length === list.length ? texts : refuse("a text or a list of texts");
    }
    case "size": {
      const bytes = typeof raw === "number" ? raw : parseSize(String(raw));
      const fits = bytes !== undefined && Number.isSafeInteger(bytes) && bytes >= type.min && bytes <= type.max;
      return fits ? bytes : refuse(`a size from ${type.min} to ${type.max} bytes, like 64MB or 64MiB`);
    }
    case "seconds": {
      const ms = typeof raw === "number" ? raw * 1_000 : parseDuration(String(raw));
      const value = ms === undefined ? Number.NaN : ms / 1_000;
      return value >= type.min && value <= type.max
        ? value
        : refuse(`a time from ${type.min} to ${type.max} seconds, like 30, 30s or 5min`);
    }
    case "whole":
    case "number": {
      const value =
        typeof raw === "number" ? raw : typeof raw === "string" && raw.trim() !== "" ? Number(raw) : Number.NaN;
      const fits =
        Number.isFinite(value) &&
        value >= type.min &&
        value <= type.max &&
        (type.kind === "number" || Number.isInteger(value));
      return fits
        ? value
        : refuse(`a ${type.kind === "whole" ? "whole number" : "number"} from ${type.min} to ${type.max}`);
    }
    default:
      return unreachable(type);
  }
}
