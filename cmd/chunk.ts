import { basename, resolve } from "node:path";
import { GfsError } from "../src/base/errors.ts";
import { type ListenPair, startChunkserver } from "../src/chunkserver/chunkserver.ts";
import { limitsOf } from "../src/config/limits.ts";
import type { Config } from "../src/config/resolve.ts";
import { parseSize } from "../src/config/units.ts";
import { type Address, formatAddress, parseAddress } from "../src/net/addresses.ts";
import type { Verb } from "./cli/call.ts";
import { whereabouts } from "./cli/connect.ts";
import { readSecret } from "./cli/secret-file.ts";
import { announce, serverFlags, serveUntilSignal } from "./cli/serve.ts";
import { configFlags, masterAddress } from "./cli/settings.ts";
import { gfsVersion } from "./version.ts";

/** Chunkservers of one machine that need not be told their ports. */
const unnamedServersMax = 100;
const dataPortAfter = 1_000;
const portMax = 65_535;

/** Control on a port, data on the same host and that port + 1000; the first such pair that is free, where neither an address nor `base_port` was set. */
function addresses(config: Config): ListenPair & { readonly otherListens?: readonly ListenPair[] } {
  const port = config.get("chunk_server.base_port");
  const listen = config.get("chunk_server.listen");
  const dataListen = config.get("chunk_server.data_listen");
  const pair = (control: Address): ListenPair => {
    const dataPort = control.port === 0 || control.port + dataPortAfter > portMax ? 0 : control.port + dataPortAfter;
    return {
      listen: formatAddress(control),
      dataListen: dataListen ?? formatAddress({ host: control.host, port: dataPort }),
    };
  };
  if (listen !== undefined) return pair(parseAddress(listen));
  const host = "127.0.0.1";
  const told = dataListen !== undefined || config.setting("chunk_server.base_port").origin !== "default";
  const others = Array.from({ length: told ? 0 : unnamedServersMax - 1 }, (_, i) => pair({ host, port: port + 1 + i }));
  return { ...pair({ host, port }), otherListens: others };
}

export const chunk: Verb = {
  spec: {
    name: "chunk",
    summary: "run a chunkserver: it keeps chunks in one directory of one disk",
    positionals: [],
    flags: {
      master: { type: "string", hint: "HOST:PORT", about: "the master's address" },
      "data-dir": { type: "string", hint: "DIR", about: "where it keeps chunks", key: "chunk_server.data_dir" },
      listen: {
        type: "string",
        hint: "HOST:PORT",
        about: "address to bind for control (127.0.0.1, the first free port from 4371 on)",
        key: "chunk_server.listen",
      },
      "data-listen": {
        type: "string",
        hint: "HOST:PORT",
        about: "address to bind for data (the same host, that port + 1000)",
        key: "chunk_server.data_listen",
      },
      advertise: {
        type: "string",
        hint: "HOST",
        about: "what others dial, where it binds a wildcard",
        key: "chunk_server.advertise",
      },
      id: { type: "string", hint: "LABEL", about: "a name for people (the directory's)", key: "chunk_server.id" },
      location: { type: "string", hint: "X,Y", about: "where it is: clients prefer near servers" },
      rack: { type: "string", hint: "NAME", about: "replicas are spread over racks", key: "chunk_server.rack" },
      space: { type: "string", hint: "SIZE", about: "most that chunks may fill (what the disk has)" },
      ...serverFlags,
      ...configFlags,
    },
    examples: [
      { command: "gfs chunk --master 127.0.0.1:4370 --data-dir /disk1/gfs", about: "on the master's machine" },
      {
        command:
          "gfs chunk --master big:4370 --data-dir /disk1/gfs --listen 10.0.0.7:4371 --rack r2 --location 3,4 --secret-file s",
        about: "in a rack",
      },
    ],
  },
  async run(call) {
    const { args, config, world } = call;
    const dataDir = config.get("chunk_server.data_dir");
    if (dataDir === undefined)
      throw new GfsError("Usage", "--data-dir is missing: the directory that keeps the chunks");
    const spaceText = args.text("space");
    const space = spaceText === undefined ? undefined : parseSize(spaceText);
    if (spaceText !== undefined && space === undefined)
      throw new GfsError("Usage", `--space wants a size like 10GB, not ${JSON.stringify(spaceText)}`);
    const limitMb = config.get("chunk_server.space_limit_mb");
    const master = masterAddress(config);
    const server = await startChunkserver(world, {
      master: master.address,
      dataDir,
      ...addresses(config),
      advertise: config.get("chunk_server.advertise"),
      label: config.get("chunk_server.id") ?? basename(resolve(dataDir)),
      ...whereabouts(config, "chunk_server"),
      spaceLimitBytes: space ?? (limitMb === undefined ? undefined : Math.round(limitMb * 1e6)),
      limits: limitsOf(config),
      secret: readSecret(config),
      insecure: args.on("insecure"),
      version: gfsVersion,
    });
    const stop = (): Promise<void> => server.stop();
    const serving = serveUntilSignal(call, stop, server.failed);
    // Ready is said once the master knows it; a signal or a refusal before that ends it all the same.
    const first = await Promise.race([server.registered.then(() => "registered" as const), serving]);
    if (first !== "registered") return first;
    await announce(call, "chunkserver", {
      control: server.controlAddress,
      data: server.dataAddress,
      volume: server.volume,
    });
    return serving;
  },
};
