import { GfsError } from "../src/base/errors.ts";
import type { GfsClient } from "../src/client/gfs-client.ts";
import { formatSize } from "../src/config/units.ts";
import { protocol } from "../src/limits.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, note, print, printJson, showName } from "./cli/output.ts";
import { makeProgress } from "./cli/progress.ts";
import { clientFlags } from "./cli/settings.ts";

/** `none`: undefined. @throws GfsError("Usage") */
function replicasOf(text: string): number | undefined {
  if (text === "none") return undefined;
  const value = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= protocol.replicasMax) return value;
  throw new GfsError(
    "Usage",
    `N is a whole number from 1 to ${protocol.replicasMax}, or none for the default of a directory, not ${JSON.stringify(text)}`,
  );
}

async function setDefault(client: GfsClient, path: string, replicas: number | undefined, call: Call): Promise<void> {
  await client.setDefaultReplicas(path, replicas, { signal: call.signal });
  if (call.json) await printJson({ path, default: replicas ?? null });
  else if (!call.quiet) {
    const said =
      replicas === undefined
        ? "new files want what the directory above says"
        : `new files want ${counted(replicas, "replica")}`;
    await print(`${showName(path)}: ${said}`);
  }
}

async function setFiles(client: GfsClient, path: string, replicas: number, call: Call): Promise<void> {
  const { args, signal } = call;
  const recursive = args.on("recursive");
  const report = await client.setReplicas(path, replicas, { recursive, signal });
  const { files, changed, chunks } = report;
  let waited: object = {};
  if (args.on("wait")) {
    const progress = makeProgress("copy", { quiet: call.quiet });
    let totalBytes = 0;
    try {
      const end = await client.awaitReplicas(path, replicas, {
        signal,
        onProgress: ({ missingBytes }) => {
          totalBytes = Math.max(totalBytes, missingBytes);
          if (totalBytes > 0) progress.update(totalBytes - missingBytes, totalBytes);
        },
      });
      progress.stop();
      if (end.otherwise > 0)
        note(call, `${counted(end.otherwise, "chunk")} want another number: they were made or changed meanwhile`);
      waited = { reached: end.reached, otherwise: end.otherwise, copiedBytes: totalBytes };
      if (!call.json && !call.quiet && totalBytes > 0) await print(`copied ${formatSize(totalBytes)}`);
    } finally {
      progress.stop();
    }
  }
  if (call.json) await printJson({ path, replicas, files, changed, chunks, ...waited });
  else if (!call.quiet)
    await print(
      `${showName(path)}: ${counted(replicas, "replica")} wanted, changed ${counted(changed, "file")} of ${files} (${counted(chunks, "chunk")})`,
    );
}

export const setrep: Verb = {
  spec: {
    name: "setrep",
    summary: "choose how many replicas files have, or those that are made in a directory later",
    positionals: [
      { name: "N", about: `replicas, 1 to ${protocol.replicasMax}; none clears the default of a directory` },
      { name: "PATH", about: "a file; or a directory, whose default it sets unless -R is given", many: true },
    ],
    flags: {
      recursive: { type: "boolean", short: "R", about: "change all files below a directory, instead of its default" },
      default: { type: "boolean", about: "set the default of a directory; with -R as well as its files" },
      wait: { type: "boolean", short: "w", about: "wait until all chunks have so many replicas" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs setrep -w 4 /prices.db", about: "one more copy, and wait for it" },
      { command: "gfs setrep 2 /scratch", about: "of files made in /scratch from now on, and in directories below" },
      { command: "gfs setrep -R --default 2 /scratch", about: "and of those that are there" },
      { command: "gfs setrep none /scratch", about: "as the directory above says" },
    ],
    notes: [
      "A directory's default holds for files made in it or below, by put and append, that ask for no number; the nearest directory with one counts, and at last the master's replication_factor. A file keeps its number when it is moved.",
      "More replicas are copied by repair; of fewer, those that are too many are deleted after the master's delete_grace_seconds: in crowded racks first, then on the fullest servers. -w waits for copies, not for deletions.",
      "Fewer replicas than the master's min_replicas are enough then for a put or append to be acknowledged: with 1, the loss of one disk loses the file.",
    ],
  },
  subject: (args) => args.positionals.slice(1).join(" "),
  async run(call) {
    const { args } = call;
    const [count = "", ...paths] = args.positionals;
    const replicas = replicasOf(count);
    const recursive = args.on("recursive");
    if (replicas === undefined && (recursive || args.on("wait")))
      throw new GfsError("Usage", "none clears the default of a directory; -R and -w want a number");
    await using client = await connect(call);
    for (const path of paths) {
      const { kind } = (await client.stat(path, { signal: call.signal })).entry;
      const ofDirectory = args.on("default") || (kind === "directory" && !recursive);
      if (ofDirectory && kind === "file")
        throw new GfsError("NotDirectory", `Cannot set the default of ${path}: it is a file`);
      if (replicas === undefined && kind === "file")
        throw new GfsError("Usage", `${path} is a file, which wants a number`);
      if (args.on("wait") && kind === "directory" && !recursive)
        throw new GfsError("Usage", `-w waits for files: ${path} is a directory, whose files are changed by -R`);
      if (ofDirectory) await setDefault(client, path, replicas, call);
      if (replicas === 1) note(call, "with one replica, the loss of one disk loses a file");
      if (replicas !== undefined && (recursive || kind === "file")) await setFiles(client, path, replicas, call);
    }
    return 0;
  },
};
