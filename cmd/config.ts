import { GfsError } from "../src/base/errors.ts";
import { configKeyNames, configKeys, environmentName, type KeySpec } from "../src/config/keys.ts";
import { didYouMean } from "../src/config/nearest.ts";
import { isConfigKey } from "../src/config/resolve.ts";
import type { Verb } from "./cli/call.ts";
import { print, printJson, table } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

export const config: Verb = {
  spec: {
    name: "config",
    summary: "show each setting, its value, and where it came from",
    positionals: [
      { name: "show", about: "the only thing it does" },
      { name: "KEY", about: "only this setting, such as master.chunk_size", optional: true },
    ],
    flags: clientFlags,
    examples: [
      { command: "gfs config show", about: "every setting" },
      { command: "GFS_MASTER=big:4370 gfs config show master.host", about: "big (environment GFS_MASTER)" },
    ],
    notes: ["A flag wins over the environment, the environment over the TOML file, the file over the default."],
  },
  async run({ args, config, json }) {
    const [action = "", wanted] = args.positionals;
    if (action !== "show") throw new GfsError("Usage", `unknown action ${action}${didYouMean(action, ["show"])}`);
    if (wanted !== undefined && !isConfigKey(wanted)) {
      throw new GfsError(
        "ConfigInvalid",
        `Cannot show ${wanted}: no such setting${didYouMean(wanted, configKeyNames)}`,
      );
    }
    const keys = wanted === undefined ? configKeyNames : configKeyNames.filter((key) => key === wanted);
    const rows = keys.map((key) => {
      const spec: KeySpec = configKeys[key];
      return { key, ...config.setting(key), unit: spec.unit, about: spec.about, environment: environmentName(key) };
    });
    if (json) await printJson(rows);
    else {
      const shown = rows.map((row) => {
        const value =
          row.value === undefined
            ? "(unset)"
            : Array.isArray(row.value)
              ? row.value.join(",")
              : `${String(row.value)}${row.unit === undefined ? "" : ` ${row.unit}`}`;
        return [row.key, value, row.origin, row.about];
      });
      await print(table([["SETTING", "VALUE", "FROM", "WHAT"], ...shown]));
    }
    return 0;
  },
};
