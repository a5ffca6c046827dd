import { GfsError } from "../src/base/errors.ts";
import type { GfsClient } from "../src/client/gfs-client.ts";
import { limitsOf } from "../src/config/limits.ts";
import { sleep } from "../src/net/deadline.ts";
import type { DrainReport } from "../src/wire/control/drains.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { drainLine, drainsTable, serverName } from "./cli/drain-text.ts";
import { note, print, printJson } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";

const lookMs = 500;

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

/**
 * Until it is safe to stop; a line whenever something has changed.
 *
 * @throws GfsError("Timeout") where it is stuck, and nothing has moved for the call's time-out: it stays being drained; GfsError("NotFound") where somebody cancelled it
 */
async function untilSafe(call: Call, client: GfsClient, volume: string): Promise<DrainReport> {
  const { clock } = call.world;
  const timeoutMs = limitsOf(call.config).clientTimeoutMs;
  let [told, left, movedMs] = ["", Infinity, clock.monotonicMs()];
  for (;;) {
    const reports = await client.operator.drains(undefined, { signal: call.signal });
    const report = reports.find((one) => one.volume === volume);
    if (report === undefined)
      throw new GfsError("NotFound", `Cannot wait for ${volume}: it is not being drained any more`);
    if (report.state === "safe") return report;
    const line = drainLine(report);
    if (line !== told && !call.json) note(call, line);
    told = line;
    const now = report.bytesLeft ?? Infinity;
    if (now < left || report.state !== "stuck") movedMs = clock.monotonicMs();
    left = Math.min(left, now);
    if (clock.monotonicMs() - movedMs > timeoutMs)
      throw new GfsError("Timeout", `Cannot empty ${serverName(report)} as things are: ${report.why}`);
    await sleep(clock, lookMs, call.signal);
  }
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
    const report = call.args.on("wait") ? await untilSafe(call, client, volume) : await reportOf(call, client, volume);
    if (call.json) await printJson(report);
    else if (!call.quiet) await print(drainLine(report));
    return 0;
  },
};
