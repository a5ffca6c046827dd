import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { GfsError } from "../src/base/errors.ts";
import { didYouMean } from "../src/config/nearest.ts";
import type { Call, Verb } from "./cli/call.ts";
import { print, printJson } from "./cli/output.ts";
import { configFlags } from "./cli/settings.ts";

const secretBytes = 32;

function writeSecret(path: string, call: Call): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, "wx", 0o600);
  } catch (error) {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
    const why = exists ? "it exists already" : error instanceof Error ? error.message : String(error);
    throw new GfsError(exists ? "Exists" : "LocalFile", `Cannot write the secret to ${path}: ${why}`);
  }
  try {
    writeSync(descriptor, `${Buffer.from(call.world.random.bytes(secretBytes)).toString("hex")}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

export const secret: Verb = {
  spec: {
    name: "secret",
    summary: "make a cluster secret, which every server and client of a cluster then needs",
    positionals: [
      { name: "new", about: "the only thing it does" },
      { name: "FILE", about: "where to write it, readable by you alone" },
    ],
    flags: { json: configFlags.json },
    examples: [
      { command: "gfs secret new cluster.secret", about: "256 random bits" },
      {
        command: "gfs master --secret-file cluster.secret …",
        about: "use it: on the master, each chunkserver, each client",
      },
    ],
    notes: [
      "Without a secret, servers bind to this machine only. Copy the file to every machine of the cluster, by a way you trust.",
    ],
  },
  subject: (args) => args.positionals[1] ?? "",
  async run(call) {
    const [action = "", file = ""] = call.args.positionals;
    if (action !== "new") throw new GfsError("Usage", `unknown action ${action}${didYouMean(action, ["new"])}`);
    writeSecret(file, call);
    if (call.json) await printJson({ file });
    else await print(`wrote ${file}; name it with --secret-file, GFS_SECRET_FILE or [cluster] secret_file`);
    return 0;
  },
};
