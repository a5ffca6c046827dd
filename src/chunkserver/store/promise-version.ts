/** A promise to refuse lower versions: what a fence asks of a replica (DESIGN §4.3), durable before it is answered. */
import { GfsError } from "../../base/errors.ts";
import { chunkVersion, type ChunkHandle, type ChunkVersion } from "../../wire/ids.ts";
import type { ActiveReplica } from "./active-replica.ts";
import type { Ground } from "./ground.ts";
import type { PromiseAnswer } from "./store.ts";

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
