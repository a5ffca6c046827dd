/** Texts of users: paths, configuration files, environment, flags. */
import { drainMicrotasks } from "bun:jsc";
import fc from "fast-check";
import { GfsError } from "../../src/base/errors.ts";
import { configKeyNames, configKeys, environmentName, type KeySpec } from "../../src/config/keys.ts";
import { limitsOf } from "../../src/config/limits.ts";
import { type Config, type ConfigSources, resolveConfig, splitMaster } from "../../src/config/resolve.ts";
import { formatDuration, formatSize, parseLocation, parseSize } from "../../src/config/units.ts";
import { formatPath, parsePath, pathFromBytes } from "../../src/wire/path.ts";
import { put } from "../../cmd/put.ts";
import { loadSettings } from "../../cmd/cli/settings.ts";
import { parseAndRun } from "../../cmd/cli/verb.ts";
import type { Prng } from "../sim/world/prng.ts";
import { demand, type FuzzRun, type FuzzTarget, typed } from "./fuzz-target.ts";
import { mutateBytes, pick, sampleOf, text } from "./mutate.ts";

function preparePaths(): FuzzRun {
  return {
    once(prng) {
      const parts = Array.from({ length: prng.integer(0, 6) }, () =>
        prng.chance(0.6) ? pick(prng, ["a", "..", "é"]) : text(prng),
      );
      const path = prng.chance(0.5) ? `/${parts.join("/")}` : text(prng);
      const names = typed(() => parsePath(path), "PathInvalid");
      if (!(names instanceof GfsError)) {
        const formatted = formatPath(names);
        demand(
          Bun.deepEquals(parsePath(formatted), names),
          () => `${JSON.stringify(path)} is another path when it is parsed again`,
        );
        demand(
          formatted === path || `${formatted}/` === path,
          () => `${JSON.stringify(path)} became ${JSON.stringify(formatted)}`,
        );
        demand(
          names.every((name) => name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name)),
          () => `a name of ${JSON.stringify(path)} is not allowed`,
        );
      }
      typed(() => pathFromBytes(mutateBytes(prng, new TextEncoder().encode(path))), "PathInvalid");
    },
  };
}

const values = [
  "1",
  "64MB",
  "-1",
  "0",
  "1e9",
  "NaN",
  "Infinity",
  "0x10",
  "1,2",
  " 5 ",
  "9".repeat(400),
  "127.0.0.1:1",
  "a,b",
  "",
  "1.5GiB",
  "true",
];

function valueOf(prng: Prng): string {
  return prng.chance(0.7) ? pick(prng, values) : text(prng);
}

/** A file, close to right or not at all. */
function tomlOf(prng: Prng): unknown {
  const lines: string[] = [];
  for (const key of prng.chance(0.8) ? [pick(prng, configKeyNames), pick(prng, configKeyNames)] : ["master.nothing"]) {
    const [table = "", name = ""] = key.split(".");
    const quoted = prng.chance(0.5)
      ? JSON.stringify(valueOf(prng))
      : pick(prng, ["5", "[1, 2]", '["a"]', "1.5", "true", "{ a = 1 }", "1979-05-27", "inf", "nan"]);
    lines.push(`[${table}]\n${name} = ${quoted}`);
  }
  const file = new TextEncoder().encode(lines.join("\n"));
  try {
    return Bun.TOML.parse(new TextDecoder().decode(prng.chance(0.3) ? mutateBytes(prng, file) : file));
  } catch {
    return sampleOf(
      prng,
      fc.object({ maxDepth: 2, key: fc.constantFrom("master", "client", "port", "__proto__", "x") }),
    );
  }
}

function checkConfig(config: Config): void {
  for (const key of configKeyNames) {
    const { type }: KeySpec = configKeys[key];
    const value: unknown = config.get(key);
    if (value === undefined || type.kind === "text" || type.kind === "text-list") continue;
    demand(
      typeof value === "number" && value >= type.min && value <= type.max,
      () => `${key} is ${JSON.stringify(value)}`,
    );
  }
}

function prepareConfig(): FuzzRun {
  return {
    once(prng) {
      const environment: Record<string, string> = {};
      for (let i = prng.integer(0, 3); i > 0; i--) {
        const name = prng.chance(0.9)
          ? environmentName(pick(prng, configKeyNames))
          : pick(prng, ["GFS_MASTER", "GFS_X", "GFS_CONFIG", "PATH"]);
        environment[name] = valueOf(prng);
      }
      const flags: ConfigSources["flags"] = new Map(
        prng.chance(0.5)
          ? [
              [
                pick(prng, configKeyNames),
                { flag: "--x", text: prng.chance(0.8) ? valueOf(prng) : [valueOf(prng), valueOf(prng)] },
              ],
            ]
          : [],
      );
      const file = prng.chance(0.6) ? { name: "gfs.toml", tables: tomlOf(prng) } : undefined;
      const config = typed(() => resolveConfig({ flags, environment, file }), "ConfigInvalid");
      if (!(config instanceof GfsError)) {
        checkConfig(config);
        typed(() => limitsOf(config), "ConfigInvalid");
      }
      const one = valueOf(prng);
      const size = parseSize(one);
      demand(
        size === undefined || (Number.isSafeInteger(size) && size >= 0),
        () => `${JSON.stringify(one)} is a size of ${size}`,
      );
      if (size !== undefined) formatSize(size);
      formatDuration(prng.fraction() * 1e12);
      const point = parseLocation(one);
      demand(
        point === undefined || (Number.isFinite(point.x) && Number.isFinite(point.y)),
        () => `${one} is a location`,
      );
      typed(() => splitMaster(one, "--master"), "ConfigInvalid", "Usage");
    },
  };
}

/** Arguments of a verb with all kinds of flags, to their settings. */
function prepareFlags(): FuzzRun {
  const names = [
    ...Object.keys(put.spec.flags).map((name) => `--${name}`),
    "--",
    "-",
    "-h",
    "--no-quiet",
    "--help",
    "-x",
  ];
  return {
    once(prng) {
      const argv = Array.from({ length: prng.integer(0, 7) }, () => {
        const name = pick(prng, names);
        if (prng.chance(0.4)) return valueOf(prng);
        return prng.chance(0.4) ? `${name}=${valueOf(prng)}` : prng.chance(0.05) ? text(prng) : name;
      }).filter((arg) => !arg.startsWith("--config"));
      const failed: unknown[] = [];
      let ended = false;
      parseAndRun(put.spec, argv, async (args) => {
        checkConfig(loadSettings(put.spec, args, {}));
        return 0;
      }).then(
        () => (ended = true),
        (error: unknown) => failed.push(error),
      );
      drainMicrotasks();
      demand(ended || failed.length > 0, () => `it does not end for ${JSON.stringify(argv)}`);
      for (const error of failed) typed(() => throwIt(error), "Usage", "ConfigInvalid");
    },
  };
}

function throwIt(error: unknown): never {
  throw error;
}

export const textTargets: readonly FuzzTarget[] = [
  { name: "paths", shortRun: 2000, prepare: preparePaths },
  { name: "config", shortRun: 300, prepare: prepareConfig },
  { name: "flags", shortRun: 500, prepare: prepareFlags },
];
