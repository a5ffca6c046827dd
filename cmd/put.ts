import { tmpdir } from "node:os";
import { formatDuration, formatSize } from "../src/config/units.ts";
import { readStdin } from "../src/host/environment.ts";
import { protocol } from "../src/limits.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { counted, note, print, printJson, showName } from "./cli/output.ts";
import { makeProgress } from "./cli/progress.ts";
import { clientFlags } from "./cli/settings.ts";
import { rateText, wholeNumber } from "./cli/values.ts";

export const put: Verb = {
  spec: {
    name: "put",
    summary: "store a local file; it appears whole or not at all, and is on disk on every replica when this returns",
    positionals: [
      { name: "LOCAL", about: "the file to store, or - for standard input" },
      { name: "PATH", about: "its name in gfs; missing directories are made" },
    ],
    flags: {
      replicas: {
        type: "string",
        hint: "N",
        about: "how many servers keep it; its directory's default (gfs setrep), or the master's replication_factor",
      },
      overwrite: { type: "boolean", about: "take the place of an existing file, which goes to the trash" },
      "if-generation": { type: "string", hint: "N", about: "only if the existing file has this generation" },
      "chunk-size": {
        type: "string",
        hint: "SIZE",
        about: "largest size of its chunks, like 64MB",
        key: "client.upload_chunk_size",
      },
      ...clientFlags,
    },
    examples: [
      { command: "gfs put photos.tar /backup/photos.tar", about: "with a progress bar on a terminal" },
      { command: "tar c photos | gfs put - /backup/photos.tar", about: "from a pipe" },
      { command: "gfs put --overwrite --replicas 2 site.db /site.db", about: "replace, with two copies" },
    ],
  },
  subject: (args) => args.positionals[1] ?? "",
  async run(call) {
    const { args, config, quiet, json, signal } = call;
    const [local = "", path = ""] = args.positionals;
    const options = {
      replicas: wholeNumber(args, "replicas", { min: 1, max: protocol.replicasMax }),
      overwrite: args.on("overwrite"),
      ifGeneration: wholeNumber(args, "if-generation", { min: 0 }),
      chunkBytes: config.get("client.upload_chunk_size"),
      signal,
    };
    const startedMs = performance.now();
    await using client = await connect(call);
    const progress = makeProgress("put", { quiet });
    try {
      const onProgress = progress.update.bind(progress);
      const result =
        local === "-"
          ? await client.put({ kind: "stream", stream: readStdin(), spoolDirectory: tmpdir() }, path, {
              ...options,
              onProgress,
            })
          : await client.uploadFile(local, path, { ...options, onProgress });
      progress.stop();
      const seconds = (performance.now() - startedMs) / 1_000;
      if (result.shortChunks > 0) {
        note(
          call,
          `${result.shortChunks} of ${counted(result.chunks, "chunk")} ${result.shortChunks === 1 ? "has" : "have"} fewer than ${result.replicas} replicas yet; repair adds them (gfs status)`,
        );
      }
      if (json) await printJson({ ...result, seconds });
      else if (!quiet) {
        const rate = rateText(result.bytes / Math.max(seconds, 0.001));
        const replicas = `${counted(result.replicas, "replica")}${result.shortChunks > 0 ? " wanted" : ""}`;
        await print(
          `${showName(result.path)}: ${formatSize(result.bytes)} in ${formatDuration(seconds * 1_000)} (${rate}), ${replicas}, generation ${result.generation}`,
        );
      }
      return 0;
    } finally {
      progress.stop();
    }
  },
};
