import { GfsError } from "../src/base/errors.ts";
import { limitsOf } from "../src/config/limits.ts";
import { didYouMean } from "../src/config/nearest.ts";
import { startMaster } from "../src/master/master.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { print, printJson } from "./cli/output.ts";
import { readSecret } from "./cli/secret-file.ts";
import { announce, serverFlags, serveUntilSignal } from "./cli/serve.ts";
import { clientFlags, configFlags } from "./cli/settings.ts";
import { restore } from "./restore-master.ts";
import { gfsVersion } from "./version.ts";

async function confirm(call: Call): Promise<number> {
  await using client = await connect(call);
  const { accepted } = await client.confirm({ signal: call.signal });
  if (call.json) await printJson({ accepted });
  else
    await print(
      accepted.length === 0
        ? "nothing was waiting to be confirmed"
        : accepted.map((what) => `accepted: ${what}`).join("\n"),
    );
  return 0;
}

async function serve(call: Call): Promise<number> {
  const { config, world } = call;
  const dataDirs = config.get("master.data_dir");
  if (dataDirs === undefined)
    throw new GfsError(
      "Usage",
      "--data-dir is missing: the directory that keeps the namespace (two, on two disks, are better)",
    );
  const server = await startMaster(world, {
    dataDirs,
    listen: config.get("master.listen") ?? `127.0.0.1:${config.get("master.port")}`,
    advertise: config.get("master.advertise"),
    limits: limitsOf(config),
    secret: readSecret(config),
    insecure: call.args.on("insecure"),
    version: gfsVersion,
    lostDataDirs: call.args.texts("lost-data-dir"),
  });
  await announce(call, "master", { control: server.address });
  return serveUntilSignal(call, () => server.stop(), server.failed);
}

export const master: Verb = {
  spec: {
    name: "master",
    summary: "run the master: it keeps the namespace and knows where each chunk lies",
    positionals: [
      {
        name: "ACTION",
        about:
          "instead of serving: confirm, to accept what made a running master stop changes or deletions (see `gfs status`); restore, to rebuild --data-dir from a copy",
        optional: true,
      },
    ],
    flags: {
      "data-dir": {
        type: "string",
        hint: "DIR",
        about: "where it keeps its state; repeat it (or A,B) to mirror",
        key: "master.data_dir",
        many: true,
      },
      "lost-data-dir": {
        type: "string",
        hint: "DIR",
        about: "a mirror that is gone for good: go on without it",
        many: true,
      },
      from: {
        type: "string",
        hint: "WHERE",
        about:
          "restore: a backup file, a chunkserver's directory, or HOST:PORT of one that runs; repeat it: the newest whole copy is taken",
        many: true,
      },
      force: { type: "boolean", about: "restore: move what the directory holds aside" },
      "dry-run": { type: "boolean", about: "restore: only say what would be rebuilt, and whether it is whole" },
      listen: { type: "string", hint: "HOST:PORT", about: "address to bind (127.0.0.1:4370)", key: "master.listen" },
      advertise: {
        type: "string",
        hint: "HOST",
        about: "what others dial, where it binds a wildcard",
        key: "master.advertise",
      },
      ...serverFlags,
      ...configFlags,
      master: clientFlags.master,
      timeout: clientFlags.timeout,
    },
    examples: [
      { command: "gfs master --data-dir /var/lib/gfs/master", about: "on this machine" },
      {
        command: "gfs master --data-dir /disk1/gfs,/disk2/gfs --listen 10.0.0.1:4370 --secret-file s",
        about: "mirrored, for a network",
      },
      { command: "gfs master confirm", about: "tell a running master to go on" },
      {
        command: "gfs master restore --data-dir DIR --from 10.0.0.2:4371 --from 10.0.0.3:4371",
        about: "from the copies that chunkservers keep",
      },
    ],
  },
  run(call) {
    const [action] = call.args.positionals;
    if (action === undefined) return serve(call);
    if (action === "confirm") return confirm(call);
    if (action === "restore") return restore(call);
    throw new GfsError("Usage", `unknown action ${action}${didYouMean(action, ["confirm", "restore"])}`);
  },
};
