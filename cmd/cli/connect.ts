/** The library client of this call, from its settings. */
import { basename } from "node:path";
import { limitsOf } from "../../src/config/limits.ts";
import type { Config } from "../../src/config/resolve.ts";
import { GfsClient } from "../../src/client/gfs-client.ts";
import type { Call } from "./call.ts";
import { readSecret } from "./secret-file.ts";
import { masterAddress } from "./settings.ts";

export function whereabouts(
  config: Config,
  role: "client" | "chunk_server",
): { location?: { x: number; y: number }; rack?: string } {
  const x = config.get(`${role}.x`);
  const y = config.get(`${role}.y`);
  const rack = config.get(`${role}.rack`);
  return {
    ...(x === undefined && y === undefined ? {} : { location: { x: x ?? 0, y: y ?? 0 } }),
    ...(rack === undefined ? {} : { rack }),
  };
}

export async function connect(call: Call): Promise<GfsClient> {
  const { config } = call;
  const master = masterAddress(config);
  return GfsClient.connect(call.world, {
    master: master.address,
    masterOrigin: master.origin,
    label: config.get("client.id") ?? `${basename(process.execPath)}-${process.pid}`,
    ...whereabouts(config, "client"),
    secret: readSecret(config),
    limits: limitsOf(config),
    chunkBytes: config.get("client.upload_chunk_size"),
    signal: call.signal,
  });
}
