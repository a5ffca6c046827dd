import { GfsError } from "../src/base/errors.ts";
import type { GfsClient } from "../src/client/gfs-client.ts";
import type { DrainReport } from "../src/wire/control/drains.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { drainLine, drainsTable } from "./cli/drain-text.ts";
import { note, print, printJson } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

/** Where nothing moves for so long, the line says why: what is small is over before. */
const stillAfterMs = 5_000;

async function list(call: Call): Promise<number> {
  await using client = await connect(call);
  const reports = await client.operator.drains(undefined, { signal: call.signal });
  if (call.json) await printJson(reports);
  else await print(drainsTable(reports));
  return 0;
}

async function reportOf(call: Call, client: GfsClient, volume: string): Promise<DrainReport> {
  const [report] = await client.operator.drains(volume, { signal: call.signal });
  if (report === undefined) throw new GfsError("NotFound", `Cannot look at ${volume}: the master says nothing of it`);
  return report;
}

/** Until it is safe to stop; a line whenever something has changed. */
function awaitSafe(call: Call, client: GfsClient, volume: string): Promise<DrainReport> {
  let told = "";
  return client.operator.awaitDrain(volume, {
    signal: call.signal,
    onProgress: (report, stillMs) => {
      const line = drainLine(report, stillMs >= stillAfterMs ? "still" : "moving");
      if (line !== told && !call.json) note(call, line);
      told = line;
    },
  });
}

export const drain: Verb = {
  spec: {
    name: "drain",
    summary: "empty a server, so that it can be taken away",
    positionals: [
      { name: "SERVER", about: "its label, volume id or HOST:PORT; none: all that are being drained", optional: true },
    ],
    flags: {
      wait: { type: "boolean", about: "until it is safe to stop, with the progress on standard error" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs drain server3 --wait", about: "then stop it, and: gfs decommission server3" },
      { command: "gfs drain", about: "how far all of them are" },
    ],
    notes: [
      "With --json one object for SERVER, and without it an array, [] where none is being drained.",
      "A server that is being drained gets nothing new, and its chunks are copied elsewhere, after all that have too few replicas; it stays readable. `gfs undrain SERVER` cancels.",
      "`--wait` ends with 7 where it can't be finished and nothing has moved for --timeout; the server stays being drained.",
    ],
  },
  subject: (args) => args.positionals[0] ?? "",
  async run(call) {
    const [server] = call.args.positionals;
    if (server === undefined) {
      if (call.args.on("wait")) throw new GfsError("Usage", "missing SERVER: which one to wait for");
      return list(call);
    }
    await using client = await connect(call);
    const { volume } = await client.operator.drain(server, { signal: call.signal });
    const report = call.args.on("wait") ? await awaitSafe(call, client, volume) : await reportOf(call, client, volume);
    if (call.json) await printJson(report);
    else if (!call.quiet) await print(drainLine(report));
    return 0;
  },
};
