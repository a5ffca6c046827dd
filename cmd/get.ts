import { formatDuration, formatSize } from "../src/config/units.ts";
import { pipeToStdout } from "../src/host/environment.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson, showName } from "./cli/output.ts";
import { makeProgress } from "./cli/progress.ts";
import { clientFlags } from "./cli/settings.ts";
import { rateText, sizeValue } from "./cli/values.ts";

export const get: Verb = {
  spec: {
    name: "get",
    summary: "fetch a file, every block checked; the local file appears whole or not at all",
    positionals: [
      { name: "PATH", about: "the file in gfs" },
      { name: "LOCAL", about: "where to write it: a file, a directory, or - for standard output" },
    ],
    flags: {
      overwrite: { type: "boolean", about: "replace an existing local file" },
      offset: { type: "string", hint: "SIZE", about: "begin there" },
      length: { type: "string", hint: "SIZE", about: "at most this much" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs get /backup/photos.tar photos.tar", about: "with a progress bar on a terminal" },
      { command: "gfs get /backup/photos.tar - | tar t", about: "into a pipe" },
      { command: "gfs get /log - --offset 1MB --length 64kB", about: "a part of it" },
    ],
  },
  subject: (args) => args.positionals[0] ?? "",
  async run(call) {
    const { args, quiet, json, signal } = call;
    const [path = "", local = ""] = args.positionals;
    const range = { offset: sizeValue(args, "offset"), length: sizeValue(args, "length") };
    const startedMs = performance.now();
    await using client = await connect(call);
    const progress = makeProgress("get", { quiet });
    try {
      const onProgress = progress.update.bind(progress);
      if (local === "-") {
        await pipeToStdout(client.read(path, { ...range, signal, onProgress }));
        return 0;
      }
      const { bytes, localPath } = await client.downloadFile(path, local, {
        ...range,
        overwrite: args.on("overwrite"),
        signal,
        onProgress,
      });
      progress.stop();
      const seconds = (performance.now() - startedMs) / 1_000;
      if (json) await printJson({ path, local: localPath, bytes, seconds });
      else if (!quiet) {
        const rate = rateText(bytes / Math.max(seconds, 0.001));
        await print(`${showName(localPath)}: ${formatSize(bytes)} in ${formatDuration(seconds * 1_000)} (${rate})`);
      }
      return 0;
    } finally {
      progress.stop();
    }
  },
};
