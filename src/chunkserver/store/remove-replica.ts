/** The end of a replica: moved aside for a grace period, with a tombstone left in its place. */
import { GfsError } from "../../base/errors.ts";
import { chunkVersion, type ChunkHandle, type ChunkVersion } from "../../wire/ids.ts";
import type { Aside } from "./aside.ts";
import { fileActive } from "./chunk-filer.ts";
import type { Ground } from "./ground.ts";
import { endTail } from "./tail-writer.ts";

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
export async function removeReplica(ground: Ground, aside: Aside, handle: ChunkHandle): Promise<void> {
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
