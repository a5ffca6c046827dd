import type { FileExtent } from "../src/client/api.ts";
import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { extentLines } from "./cli/extents-text.ts";
import { print, printJson } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import { sizeValue } from "./cli/values.ts";

export const locate: Verb = {
  spec: {
    name: "locate",
    summary:
      "show where a file lies: its chunks, and each replica with its server, rack and health, nearest first, dead servers last",
    positionals: [{ name: "PATH", about: "a file" }],
    flags: {
      offset: {
        type: "string",
        hint: "N",
        about: "from the chunk on that holds byte N; an error where the file ends before",
      },
      length: { type: "string", hint: "N", about: "only chunks that hold any of N bytes from there" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs locate /backup/photos.tar", about: "every chunk of it" },
      { command: "gfs locate --offset 64000000 --length 1 /backup/photos.tar", about: "the one that holds this byte" },
    ],
  },
  subject: (args) => args.positionals[0] ?? "",
  async run(call) {
    const [path = ""] = call.args.positionals;
    const range = { offset: sizeValue(call.args, "offset"), length: sizeValue(call.args, "length") };
    await using client = await connect(call);
    const extents: FileExtent[] = [];
    for await (const extent of client.locate(path, { ...range, signal: call.signal })) {
      if (call.json) extents.push(extent);
      else await print(extentLines(extent, "").join("\n"));
    }
    if (call.json) await printJson({ path, extents });
    return 0;
  },
};
