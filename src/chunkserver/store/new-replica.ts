/** How a replica begins: streamed into, or open to appends (contracts in `store.ts`). */
import { GfsError } from "../../base/errors.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import type { Aside } from "./aside.ts";
import { PutWriter } from "./chunk-writer.ts";
import type { Ground } from "./ground.ts";
import { removeReplica } from "./remove-replica.ts";
import { spaceUse } from "./space-account.ts";
import type { OpenOptions, WriteOptions } from "./store.ts";

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
    ground.space.check(
      Math.min(options.bytes ?? 1, options.chunkBytes),
      `write chunk ${handle}`,
      spaceUse(options.purpose),
    );
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
    ground.space.check(1, `open chunk ${handle}`, "new");
    await ground.log.room();
    const chain = [...options.chain];
    await ground.log.commit({ kind: "opened", handle, version, role, chain, chunkBytes, origin, appendTable });
    return "created";
  });
}
