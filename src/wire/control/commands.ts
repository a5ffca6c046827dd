/** Master → chunkserver: commands, each with the master's epoch (DESIGN §4.1, §4.3, §4.5). All are repeated until answered; all are idempotent. */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle, ChunkVersion, ClusterId, Epoch, InodeId, VolumeId } from "../ids.ts";
import { AppendTable, Chain, Crc, ItemError, message, Uint32, Uint53 } from "./common.ts";

const itemsMax = 1_024;
const Command = z.object({ clusterId: ClusterId, epoch: Epoch, volume: VolumeId });

/** What a chunk belongs to: for the trailer and salvage. `path` is the last known one. */
export const Origin = z.object({ inode: InodeId, path: z.string().max(protocol.pathBytesMax), fileOffset: Uint53 });
export type Origin = z.infer<typeof Origin>;

/** Each item is answered in order: `ok`, or what refused it. */
const Results = z.object({
  results: z
    .array(
      z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("ok") }),
        z.object({ kind: z.literal("error"), error: ItemError }),
      ]),
    )
    .max(itemsMax),
});

/** Make an empty open replica and play the role that the place in the chain gives (first: primary). */
export const open = message(
  "open",
  Command.extend({
    chunks: z
      .array(
        z.object({
          handle: ChunkHandle,
          version: ChunkVersion,
          chain: Chain,
          origin: Origin,
          chunkBytes: Uint32,
          appendTable: AppendTable,
          leaseMs: z.number(),
        }),
      )
      .max(64),
  }),
  Results,
);

/**
 * Durably refuse anything below `version`, drop the role, and tell what is there. A volume that never had the chunk makes an empty fenced
 * replica. `prepared`: durable prepared length, counting every record voted for and what was fetched since; `crc`: of these bytes. `appendTable`: what
 * they have added to the one that `open` brought. Of many chunks those may be left out of the answers whose tables do not fit one message: they are asked for again.
 */
export const FenceAnswer = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("fenced"),
    handle: ChunkHandle,
    prepared: Uint32,
    committed: Uint32,
    crc: Crc,
    dataVersion: ChunkVersion,
    appendTable: AppendTable,
  }),
  /** Already promised to a higher version. */
  z.object({ kind: z.literal("refused"), handle: ChunkHandle, promised: ChunkVersion }),
  /** Already sealed, at `dataVersion`. */
  z.object({ kind: z.literal("sealed"), handle: ChunkHandle, dataVersion: ChunkVersion, length: Uint32, crc: Crc }),
  z.object({ kind: z.literal("error"), handle: ChunkHandle, error: ItemError }),
]);
export type FenceAnswer = z.infer<typeof FenceAnswer>;

export const fence = message(
  "fence",
  Command.extend({ items: z.array(z.object({ handle: ChunkHandle, version: ChunkVersion })).max(itemsMax) }),
  z.object({ answers: z.array(FenceAnswer).max(itemsMax) }),
);

/** Bytes of a chunk that others have, and what they must be. */
const Copy = Command.extend({
  handle: ChunkHandle,
  version: ChunkVersion,
  length: Uint32,
  crc: Crc,
  sources: Chain,
  origin: Origin,
});

/**
 * A fenced member (or a spare, which makes a fenced replica) copies from the first of `sources` that has it what it lacks of the first `length`
 * bytes, checks that all of them have `crc`, syncs. Applied once, whatever is repeated. The replica stays fenced at `version`. `appendTable`: of
 * exactly `length` bytes, as a holder's fence told it; durable with the bytes, and told with them by each later fence.
 */
export const fetchTail = message(
  "fetch-tail",
  Copy.extend({ appendTable: AppendTable }),
  z.object({ prepared: Uint32 }),
);

/** Truncate to `length`, verify `crc`, write the trailer, sync, and only then raise `dataVersion` to `version`: sealed. */
export const finish = message(
  "finish",
  Command.extend({
    items: z
      .array(z.object({ handle: ChunkHandle, version: ChunkVersion, length: Uint32, crc: Crc, origin: Origin }))
      .max(itemsMax),
  }),
  Results,
);

/** Copy a sealed chunk from the first of `sources` that has it, checked against `crc`; answered when synced and sealed. `bytesPerSecond`: no faster. */
export const clone = message("clone", Copy.extend({ bytesPerSecond: z.number().min(1).optional() }), z.object({}));

/**
 * Of clones under way at this volume. stop: it ends with an error, and what came of it is cleared away. pace: it goes on at another rate, or without one. look: nothing changes.
 * Answered are those that are still under way, with the bytes copied.
 */
export const steerClones = message(
  "steer-clones",
  Command.extend({
    items: z
      .array(
        z.object({
          handle: ChunkHandle,
          version: ChunkVersion,
          action: z.enum(["look", "stop", "pace"]),
          bytesPerSecond: z.number().min(1).optional(),
        }),
      )
      .max(itemsMax),
  }),
  z.object({
    running: z.array(z.object({ handle: ChunkHandle, version: ChunkVersion, copied: Uint32 })).max(itemsMax),
  }),
);

/** Move replicas aside for the grace period and keep tombstones. `below`: only a replica whose dataVersion is lower (stale); absent: whatever it has. */
export const deleteReplicas = message(
  "delete",
  Command.extend({ items: z.array(z.object({ handle: ChunkHandle, below: ChunkVersion.optional() })).max(itemsMax) }),
  Results,
);

/** The committed length of an open chunk whose primary this volume is. */
export const committedLength = message(
  "committed-length",
  Command.extend({ handle: ChunkHandle, version: ChunkVersion }),
  z.object({ committed: Uint32 }),
);

/** Read all blocks of a replica and compare; the answer is also in the next heartbeat's `bad`. */
export const verify = message(
  "verify",
  Command.extend({ handle: ChunkHandle, version: ChunkVersion }),
  z.object({ result: z.enum(["healthy", "corrupt", "missing"]) }),
);
