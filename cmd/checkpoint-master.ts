import { limitsOf } from "../src/config/limits.ts";
import { runCheckpoint } from "../src/master/checkpoint.ts";
import type { Verb } from "./cli/call.ts";

/** The child process of a master that writes its next checkpoint; not for people. */
export const checkpointMaster: Verb = {
  spec: {
    name: "checkpoint-master",
    summary: "write a checkpoint of a master's state; the master starts this itself",
    positionals: [{ name: "ARGUMENTS", about: "from the master", many: true }],
    flags: {},
    raw: true,
    examples: [{ command: "gfs checkpoint-master …", about: "only a master calls it" }],
  },
  async run(call) {
    await runCheckpoint(call.world, call.args.positionals, limitsOf(call.config));
    return 0;
  },
};
