import { GfsError } from "../../base/errors.ts";
import { blockBytes } from "../../limits.ts";
import { partCrcs } from "../../wire/data/blocks.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import { combineParts } from "./block-sums.ts";
import type { Ground } from "./ground.ts";
import type { RecordToAppend, StorePosition } from "./store.ts";

/** Contract: Store.append. */
export function appendRecord(ground: Ground, record: RecordToAppend): StorePosition {
  const { handle, version, session, sequence, offset, crc, payload, bytes } = record;
  const what = `append to chunk ${handle}`;
  ground.retirement.check();
  const active = ground.state.active.get(handle);
  if (active === undefined || active.state === "sealed" || active.stopped) throw notOpen(ground, handle);
  if (active.promising > version || active.dataVersion !== version) {
    throw new GfsError(
      "VersionStale",
      `Cannot ${what} at version ${version}: it is at ${active.dataVersion}, with ${active.promising} promised`,
    );
  }
  if (active.state !== "open" || active.inherited) throw notOpen(ground, handle);
  if (offset !== active.accepted) {
    throw new GfsError("ProtocolError", `Cannot ${what} at byte ${offset}: byte ${active.accepted} is next`);
  }
  if (offset + bytes > active.chunkBytes) {
    throw new GfsError(
      "ChunkFull",
      `Cannot ${what}: ${bytes} bytes do not fit, ${active.chunkBytes - offset} are left`,
    );
  }
  ground.space.check(bytes, what, "new");
  ground.log.checkRoom(what);
  const inBlock = (offset % blockBytes) + bytes <= blockBytes;
  const parts = inBlock ? [crc] : partCrcs(offset, payload);
  // What rots in memory after it was checked on receipt must not get a checksum of its own.
  if (!inBlock && combineParts(offset, parts, bytes) !== crc) {
    throw new GfsError("Corrupt", `Cannot ${what}: a record of ${bytes} bytes no longer has its checksum`);
  }
  const position = ground.log.write({ kind: "appended", handle, session, sequence, offset, crc }, payload, parts);
  ground.state.accepted(active, bytes);
  ground.space.take(bytes);
  return position;
}

function notOpen(ground: Ground, handle: ChunkHandle): GfsError {
  const row = ground.state.table.get(handle);
  if (row === undefined || row.state === "removed") {
    return new GfsError("ReplicaMissing", `Cannot append to chunk ${handle}: this volume has no replica of it`);
  }
  const active = ground.state.active.get(handle);
  const state =
    active?.stopped === true
      ? "corrupt"
      : active?.inherited === true && row.state === "open"
        ? "open, but its role is lost"
        : row.state;
  return new GfsError("ChunkClosed", `Cannot append to chunk ${handle}: this replica is ${state}`);
}
