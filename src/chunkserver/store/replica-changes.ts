/** Operations that begin, fence and end a replica (contracts in `store.ts`). */
import { GfsError } from "../../base/errors.ts";
import { blockBytes } from "../../limits.ts";
import { combineParts } from "./block-sums.ts";
import { partCrcs } from "../../wire/data/blocks.ts";
import { chunkVersion, type ChunkHandle, type ChunkVersion } from "../../wire/ids.ts";
import type { ActiveReplica } from "./active-replica.ts";
import type { Aside } from "./aside.ts";
import { fileActive } from "./chunk-filer.ts";
import { PutWriter } from "./chunk-writer.ts";
import type { Ground } from "./ground.ts";
import type { OpenOptions, PromiseAnswer, RecordToAppend, StorePosition, WriteOptions } from "./store.ts";
import { endTail } from "./tail-writer.ts";

/** Why a replica that is here, or was, is in the way of a new one; undefined when it isn't. */
export function obstacle(
  ground: Ground,
  { handle, version, purpose }: { handle: ChunkHandle; version: number; purpose: string },
): GfsError | undefined {
  const what = `Cannot make a replica of chunk ${handle} at version ${version}`;
  if (ground.writers.has(handle)) return new GfsError("ChunkClosed", `${what}: a stream writes it already`);
  const row = ground.state.table.get(handle);
  if (row === undefined) return undefined;
  const promised = Math.max(row.promised, ground.state.active.get(handle)?.promising ?? 0);
  if (promised > version) return new GfsError("VersionStale", `${what}: ${promised} is promised`);
  if (row.state === "removed") {
    return purpose === "clone" ? undefined : new GfsError("VersionStale", `${what}: it was removed from this volume`);
  }
  const replaceable =
    row.state === "corrupt" || row.state === "fenced" || (row.state === "sealed" && row.dataVersion < version);
  if (purpose === "clone" && replaceable) return undefined;
  return new GfsError("ChunkClosed", `${what}: this volume has one, ${row.state} at version ${row.dataVersion}`);
}

/** Contract: Store.beginWrite. */
export function beginWrite(ground: Ground, aside: Aside, options: WriteOptions): Promise<PutWriter> {
  const { handle } = options;
  return ground.locks.run(handle, async () => {
    ground.retirement.check();
    const refusal = obstacle(ground, options);
    if (refusal !== undefined) throw refusal;
    await ground.retirement.attempt("measure the free space", () => ground.space.refresh());
    ground.space.check(Math.min(options.bytes ?? 1, options.chunkBytes), `write chunk ${handle}`);
    // What the clone replaces goes the way of everything that is removed; its promise is kept by the tombstone.
    if (ground.state.table.get(handle) !== undefined) await removeReplica(ground, aside, handle);
    ground.state.highestHandle = Math.max(ground.state.highestHandle, handle);
    return new PutWriter(ground, options);
  });
}

/** Contract: Store.openReplica. */
export function openReplica(ground: Ground, options: OpenOptions): Promise<"created" | "exists"> {
  const { handle, version, role, chunkBytes, origin, appendTable } = options;
  return ground.locks.run(handle, async () => {
    ground.retirement.check();
    const active = ground.state.active.get(handle);
    if (active?.state === "open" && active.dataVersion === version && active.promising === version) {
      if (!active.inherited) return "exists";
      throw new GfsError("ChunkClosed", `Cannot open chunk ${handle}: its role was lost when this server restarted`);
    }
    const refusal = obstacle(ground, { handle, version, purpose: "open" });
    if (refusal !== undefined) throw refusal;
    await ground.retirement.attempt("measure the free space", () => ground.space.refresh());
    ground.space.check(1, `open chunk ${handle}`);
    await ground.log.room();
    const chain = [...options.chain];
    await ground.log.commit({ kind: "opened", handle, version, role, chain, chunkBytes, origin, appendTable });
    return "created";
  });
}

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
  ground.space.check(bytes, what);
  ground.log.checkRoom(what);
  const inBlock = (offset % blockBytes) + bytes <= blockBytes;
  const parts = inBlock ? [crc] : partCrcs(offset, payload);
  // What rots in memory after it was checked on receipt must not get a checksum of its own.
  if (!inBlock && combineParts(offset, parts, bytes) !== crc) {
    throw new GfsError("Corrupt", `Cannot ${what}: a record of ${bytes} bytes no longer has its checksum`);
  }
  const position = ground.log.write({ kind: "appended", handle, session, sequence, offset, crc }, payload, parts);
  active.accepted += bytes;
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

/** Contract: Store.promise. */
export async function promiseVersion(
  ground: Ground,
  handle: ChunkHandle,
  version: ChunkVersion,
): Promise<PromiseAnswer> {
  ground.retirement.check();
  const active = ground.state.active.get(handle);
  // An open replica is fenced at once: nothing that it is busy with may hold up a seal.
  if (active !== undefined && active.state !== "sealed") return fence(ground, active, version);
  return ground.locks.run(handle, async () => {
    ground.retirement.check();
    const stale = `Cannot fence chunk ${handle} at version ${version}`;
    const writer = ground.writers.get(handle);
    if (writer !== undefined) {
      if (writer.version >= version) return { kind: "refused", promised: chunkVersion(writer.version) };
      await writer.fail(
        new GfsError("VersionStale", `Cannot write chunk ${handle}: it was fenced at version ${version}`),
      );
    }
    const row = ground.state.table.get(handle);
    const now = ground.state.active.get(handle);
    if (row?.state === "removed") throw new GfsError("VersionStale", `${stale}: it was removed from this volume`);
    if (row?.state === "corrupt") throw new GfsError("Corrupt", `${stale}: this replica is corrupt`);
    if (now !== undefined && now.state !== "sealed") return fence(ground, now, version);
    if (row === undefined || row.promised < version) await ground.log.commit({ kind: "promised", handle, version });
    return answerOf(ground, handle, version);
  });
}

async function fence(ground: Ground, active: ActiveReplica, version: ChunkVersion): Promise<PromiseAnswer> {
  const { handle } = active;
  if (active.stopped)
    throw new GfsError("Corrupt", `Cannot fence chunk ${handle} at version ${version}: this replica is corrupt`);
  if (active.promising > version || (active.state === "open" && active.dataVersion >= version)) {
    return { kind: "refused", promised: active.promising };
  }
  active.promising = version;
  // A fence that is repeated while the first is on its way waits for a record of its own: the log's order makes both durable.
  await ground.log.commit({ kind: "promised", handle, version });
  return answerOf(ground, handle, version);
}

/** After the promise is durable. */
function answerOf(ground: Ground, handle: ChunkHandle, version: ChunkVersion): PromiseAnswer {
  const active = ground.state.active.get(handle);
  const row = ground.state.table.get(handle);
  if (row === undefined || row.state === "removed" || row.state === "corrupt") {
    throw new GfsError(
      "Corrupt",
      `Cannot fence chunk ${handle} at version ${version}: this replica is ${row?.state ?? "gone"}`,
    );
  }
  if (row.state === "sealed") {
    return { kind: "sealed", dataVersion: chunkVersion(row.dataVersion), length: row.length, crc: row.crc };
  }
  if (active === undefined || active.promising > version) {
    return { kind: "refused", promised: active?.promising ?? chunkVersion(row.promised) };
  }
  const { sums, dataVersion, answers, origin } = active;
  // What the tail began with is the master's own.
  const appendTable = answers.since(origin?.fileOffset ?? 0);
  return { kind: "fenced", prepared: sums.length, crc: sums.crc, dataVersion, appendTable };
}

/** Contract: Store.moveAside. */
export function moveAside(
  ground: Ground,
  aside: Aside,
  which: { readonly handle: ChunkHandle; readonly below: ChunkVersion | undefined },
): Promise<void> {
  const { handle, below } = which;
  return ground.locks.run(handle, async () => {
    ground.retirement.check();
    const row = ground.state.table.get(handle);
    if (row?.state === "removed") return;
    const dataVersion = ground.state.active.get(handle)?.dataVersion ?? row?.dataVersion;
    if (below !== undefined && (dataVersion === undefined || dataVersion >= below)) return;
    const writer = ground.writers.get(handle);
    if (writer !== undefined) {
      await writer.fail(new GfsError("VersionStale", `Cannot write chunk ${handle}: it was removed from this volume`));
    }
    await removeReplica(ground, aside, handle);
  });
}

/** The caller holds the handle's lock. */
async function removeReplica(ground: Ground, aside: Aside, handle: ChunkHandle): Promise<void> {
  const { state, log, files, retirement, world, bad } = ground;
  const active = state.active.get(handle);
  await endTail(ground, handle);
  if (active !== undefined) {
    active.promising = chunkVersion(Math.max(active.promising, active.promised));
    // Its last bytes go to the file, so that the grace period is one; a full or damaged disk doesn't keep it here.
    await retirement.attempt(`move chunk ${handle} aside`, () => fileActive(ground, active)).catch(() => undefined);
    active.stopped = true;
  }
  const bytes = state.lengthOf(handle);
  const wallSeconds = Math.floor(world.clock.wallMs() / 1_000);
  const position = await log.commit({ kind: "removed", handle, wallSeconds });
  bad.delete(handle);
  const name = await retirement.attempt(`move chunk ${handle} aside`, () => files.moveAside(handle, position));
  if (name !== undefined) aside.keep(name, bytes);
  world.events.emit("debug", "replica.removed", { handle, bytes });
}
