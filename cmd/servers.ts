import type { Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson } from "./cli/output.ts";
import { serversTable, sharedDisks, worstFirst } from "./cli/servers-table.ts";
import { clientFlags } from "./cli/settings.ts";

export const servers: Verb = {
  spec: {
    name: "servers",
    summary: "show every chunkserver on a line: where it is, alive or not, how full, how much it does; the worst first",
    positionals: [],
    flags: clientFlags,
    examples: [
      { command: "gfs servers", about: "dead ones first, then silent ones, then the fullest" },
      { command: "gfs servers --json | jq .servers", about: "all that is known of each" },
    ],
    notes: [
      "ADDRESS: the control address; SERVER, and VOLUME where several have one label, are names that `gfs drain` and the like take too. USED: bytes of replicas, of those too that were deleted and wait in aside/. FREE: what the server may still use. FULL: what is taken of all that it may use; without `gfs chunk --space` that is the file system, whoever took it. LOAD: transfers in progress. LATENCY: of a sync, lately. SCRUBBED: when the oldest of what it holds was read and checked, or how far its first round is. HEARD: since its last heartbeat.",
    ],
  },
  async run(call) {
    await using client = await connect(call);
    const { servers: all } = await client.space({ signal: call.signal });
    if (call.json) await printJson({ servers: all });
    else await print([serversTable(worstFirst(all)), ...sharedDisks(all)].join("\n"));
    return 0;
  },
};
