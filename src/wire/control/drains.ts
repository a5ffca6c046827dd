/** Client → master: taking servers out of the cluster (DESIGN §4.5; master/core/drain.ts). */
import { z } from "zod";
import { ChunkHandle, VolumeId } from "../ids.ts";
import { HostPort, Label, message, MutationId, Uint53 } from "./common.ts";
import { protocol } from "../../limits.ts";

/** Of a server: its label, its volume id or a beginning of it (4 digits at least), or its "host:port". */
const ServerName = z.string().min(1).max(262);

/**
 * How far a server is. moving: chunks are copied elsewhere, or are still being written there. stuck: it can't be finished as things are: `why`. safe: it may be
 * stopped for good, no chunk needs it. The figures are of the last whole look at all chunks, absent before there was one. `openChunks`: being written, open or
 * being sealed there. `estimateMs`: for the bytes left, by the rate of the last minute.
 */
export const DrainReport = z.object({
  volume: VolumeId,
  label: Label,
  control: HostPort.optional(),
  liveness: z.enum(["live", "suspect", "dead", "retired"]),
  state: z.enum(["moving", "stuck", "safe"]),
  why: z.string().max(1_024),
  chunksLeft: Uint53.optional(),
  bytesLeft: Uint53.optional(),
  openChunks: Uint53.optional(),
  bytesPerSecond: z.number(),
  estimateMs: z.number().optional(),
});
export type DrainReport = z.infer<typeof DrainReport>;

/** Begins to empty a server, as it is until `undrain`. `begun`: it was not being drained before. @throws NotFound, Usage (several have the name) */
export const drain = message(
  "drain",
  z.object({ id: MutationId, server: ServerName }),
  z.object({ volume: VolumeId, label: Label, begun: z.boolean() }),
);

/** Its replicas count again at once. `undrained`: it was being drained. @throws NotFound, Usage */
export const undrain = message(
  "undrain",
  z.object({ id: MutationId, server: ServerName }),
  z.object({ volume: VolumeId, label: Label, undrained: z.boolean() }),
);

/** Of one server, or of all that are being drained. @throws NotFound, Usage */
export const drains = message(
  "drains",
  z.object({ server: ServerName.optional() }),
  z.object({ drains: z.array(DrainReport).max(65_536) }),
);

/** What forgetting a server would cost now: `lost` chunks have no other replica that can be read; the first of them are named. `short` ones have, but fewer than wanted. */
export const decommissionCheck = message(
  "decommission-check",
  z.object({ server: ServerName }),
  z.object({
    volume: VolumeId,
    label: Label,
    liveness: z.enum(["live", "suspect", "dead", "retired"]),
    safe: z.boolean(),
    why: z.string().max(1_024),
    lost: Uint53,
    lostBytes: Uint53,
    short: Uint53,
    lostChunks: z
      .array(z.object({ handle: ChunkHandle, path: z.string().max(protocol.pathBytesMax + 64), bytes: Uint53 }))
      .max(100),
  }),
);

/**
 * Forgets a server for good: its volume may never register again. Only one that is drained and safe to stop; with `force` also one that is dead, retired or being
 * drained, where no more than `lostMax` chunks are lost thereby.
 * @throws NotFound, Usage, Denied with the reason, Busy while the master is not sure yet
 */
export const decommission = message(
  "decommission",
  z.object({ id: MutationId, server: ServerName, force: z.boolean(), lostMax: Uint53 }),
  z.object({ volume: VolumeId, label: Label, lost: Uint53 }),
);
