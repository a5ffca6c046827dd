import { homedir } from "node:os";
import { join } from "node:path";
import { startChunkserver, type Chunkserver } from "../src/chunkserver/chunkserver.ts";
import { limitsOf } from "../src/config/limits.ts";
import { startMaster } from "../src/master/master.ts";
import type { Verb } from "./cli/call.ts";
import { readSecret } from "./cli/secret-file.ts";
import { announce, serverFlags, serveUntilSignal } from "./cli/serve.ts";
import { configFlags } from "./cli/settings.ts";
import { wholeNumber } from "./cli/values.ts";
import { gfsVersion } from "./version.ts";

const chunkserversMax = 16;

export const up: Verb = {
  spec: {
    name: "up",
    summary: "run a whole small cluster in this process: a master and its chunkservers",
    positionals: [],
    flags: {
      "data-dir": { type: "string", hint: "DIR", about: "where all of it is kept (~/.local/share/gfs)" },
      chunkservers: { type: "string", hint: "N", about: "how many (3)" },
      listen: {
        type: "string",
        hint: "HOST:PORT",
        about: "the master's address (127.0.0.1:4370)",
        key: "master.listen",
      },
      ...serverFlags,
      ...configFlags,
    },
    examples: [
      { command: "gfs up", about: "then, in another terminal: gfs put FILE /FILE" },
      {
        command: "gfs up --data-dir /tmp/try --chunkservers 5 --listen 127.0.0.1:0",
        about: "a throw-away one, on any free port",
      },
    ],
    notes: ["Everything is on one disk: replicas protect from damaged chunks here, not from losing the disk."],
  },
  async run(call) {
    const { args, config, world } = call;
    const count = wholeNumber(args, "chunkservers", { min: 1, max: chunkserversMax }) ?? 3;
    const directory = args.text("data-dir") ?? join(homedir(), ".local", "share", "gfs");
    const configured = limitsOf(config);
    // Fewer servers than replicas asked for would make every file short for ever.
    const replicas =
      config.setting("master.replication_factor").origin === "default"
        ? Math.min(configured.replicas, count)
        : configured.replicas;
    const limits = { ...configured, replicas, minReplicas: Math.min(configured.minReplicas, replicas) };
    const secret = readSecret(config);
    const shared = { limits, secret, insecure: args.on("insecure"), version: gfsVersion };
    const master = await startMaster(world, {
      dataDirs: [join(directory, "master")],
      listen: config.get("master.listen") ?? `127.0.0.1:${config.get("master.port")}`,
      ...shared,
    });
    const servers: Chunkserver[] = [];
    const stop = async (): Promise<void> => {
      await Promise.allSettled(servers.map((server) => server.stop()));
      await master.stop();
    };
    try {
      for (let i = 1; i <= count; i++) {
        servers.push(
          await startChunkserver(world, {
            master: master.address,
            dataDir: join(directory, `chunk-${i}`),
            listen: "127.0.0.1:0",
            dataListen: "127.0.0.1:0",
            label: `chunk-${i}`,
            ...shared,
          }),
        );
      }
    } catch (error) {
      await stop();
      throw error;
    }
    const serving = serveUntilSignal(
      call,
      stop,
      Promise.race([master.failed, ...servers.map((server) => server.failed)]),
    );
    const first = await Promise.race([
      Promise.all(servers.map((server) => server.registered)).then(() => "registered" as const),
      serving,
    ]);
    if (first !== "registered") return first;
    await announce(call, "master", { control: master.address });
    return serving;
  },
};
