/** Copies of the metadata on a chunkserver that runs: asked for over its control port. */
import { GfsError } from "../../base/errors.ts";
import type { ControlClient } from "../../net/control-client.ts";
import { metadataHeld, metadataPieceBytesMax, metadataRead } from "../../wire/control/metadata.ts";
import type { MetadataSource } from "./source.ts";

/** The server reads all of its copies to check them. */
const heldMs = 120_000;
const readMs = 30_000;

/** @throws GfsError("NotFound") where it has none, and what the call throws */
export async function openRemote(
  control: ControlClient,
  { address, signal }: { readonly address: string; readonly signal?: AbortSignal | undefined },
): Promise<MetadataSource[]> {
  const held = await control.call(address, metadataHeld, {}, { timeoutMs: heldMs, signal });
  const sources = held.sets
    .filter(({ files }) => files.length > 0)
    .map(({ set, files }): MetadataSource => {
      const whole = files.map(({ kind, position, bytes }) => ({ kind, position, bytes }));
      return {
        text: `${address} (${set})`,
        clusterId: held.clusterId,
        epoch: held.epoch?.number ?? 0,
        files: whole.sort((a, b) => a.position - b.position),
        last: Math.max(...files.map(({ kind, position, last }) => (kind === "checkpoint" ? position : (last ?? 0)))),
        read: async function* ({ kind, position, bytes }) {
          for (let offset = 0; offset < bytes;) {
            const want = Math.min(metadataPieceBytesMax, bytes - offset);
            const request = { set, file: { kind, position }, offset, bytes: want };
            const reply = await control.call(address, metadataRead, request, { timeoutMs: readMs, signal });
            if (reply.bytes.length === 0)
              throw new GfsError(
                "Unavailable",
                `Cannot read the ${kind} of ${position} at ${address}: it went while it was read`,
              );
            offset += reply.bytes.length;
            yield reply.bytes;
          }
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    });
  if (sources.length === 0)
    throw new GfsError("NotFound", `Cannot restore from ${address}: it holds no copy of a master's metadata`);
  return sources;
}
