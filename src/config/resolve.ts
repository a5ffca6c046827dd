/** Flag, environment, TOML file, default: which value holds, and where it came from. Pure: the sources are arguments. */
import { unreachable } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import { configKeyNames, configKeys, environmentName, type ConfigKey, type ConfigValue, type KeySpec } from "./keys.ts";
import { didYouMean } from "./nearest.ts";
import { parseSize } from "./units.ts";

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
const otherVariables = ["GFS_CONFIG", "GFS_LOG_LEVEL", "GFS_LOG_FORMAT"];

function environmentSettings(
  environment: ConfigSources["environment"],
): Map<ConfigKey, { name: string; text: string }> {
  const found = new Map<ConfigKey, { name: string; text: string }>();
  const master = environment["GFS_MASTER"];
  if (master !== undefined && master !== "") {
    const { host, port } = splitMaster(master, "GFS_MASTER");
    found.set("master.host", { name: "GFS_MASTER", text: host });
    found.set("master.port", { name: "GFS_MASTER", text: port });
  }
  const byName = new Map<string, ConfigKey>();
  for (const key of configKeyNames) {
    byName.set(environmentName(key), key);
    const spec: KeySpec = configKeys[key];
    if (spec.alias !== undefined) byName.set(spec.alias, key);
  }
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || text === "" || name === "GFS_MASTER") continue;
    const key = byName.get(name);
    if (key !== undefined) found.set(key, { name, text });
    else if (/^GFS_(MASTER|CHUNK_SERVER|CLIENT|CLUSTER)_/.test(name)) {
      invalid(
        `Cannot use the environment: unknown setting ${name}${didYouMean(name, [...byName.keys(), ...otherVariables])}`,
      );
    }
  }
  return found;
}

/** `HOST:PORT`, or `HOST` with the default port. */
export function splitMaster(text: string, source: string): { host: string; port: string } {
  const match = /^(\[[^\]]+\]|[^:\s]+)(?::(\d+))?$/.exec(text);
  if (match === null) invalid(`Cannot use ${source}: ${JSON.stringify(text)} is not HOST:PORT`);
  return { host: match[1] ?? "", port: match[2] ?? String(configKeys["master.port"].fallback) };
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
