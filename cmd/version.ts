import pkg from "../package.json";
import { print, printJson } from "./cli/output.ts";
import type { Verb } from "./cli/call.ts";
import { configFlags } from "./cli/settings.ts";
import { protocol } from "../src/limits.ts";

export const gfsVersion: string = pkg.version;

export const version: Verb = {
  spec: {
    name: "version",
    summary: "print the version of this program and of its protocol",
    positionals: [],
    flags: { json: configFlags.json },
    examples: [{ command: "gfs version --json", about: "for scripts" }],
  },
  async run({ json }) {
    const range = `${protocol.versionMin}–${protocol.versionMax}`;
    if (json)
      await printJson({
        version: gfsVersion,
        protocol: { min: protocol.versionMin, max: protocol.versionMax },
        bun: Bun.version,
      });
    else
      await print(
        `gfs ${gfsVersion} (protocol ${protocol.versionMin === protocol.versionMax ? protocol.versionMax : range}, Bun ${Bun.version})`,
      );
    return 0;
  },
};
