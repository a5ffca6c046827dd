/** A small chunk that is here whole: one entry of the volume's log makes it a replica (DESIGN §4.7). */
import type { BlockRun } from "../../wire/data/blocks.ts";
import type { Aside } from "./aside.ts";
import { heldBytesMax } from "./chunk-writer.ts";
import type { Ground } from "./ground.ts";
import { beginWrite, obstacle } from "./new-replica.ts";
import type { WholeOptions } from "./store.ts";

export interface WholeChunkWrite extends WholeOptions {
  readonly run: BlockRun;
  readonly crc: number;
}

/** Contract: Store.writeWhole. */
export async function writeWhole(ground: Ground, aside: Aside, write: WholeChunkWrite): Promise<void> {
  const { handle, version, origin, run, crc } = write;
  const { bytes, crcs } = run;
  if (bytes > heldBytesMax(ground)) {
    const writer = await beginWrite(ground, aside, { ...write, bytes, chunkBytes: bytes, purpose: "put" });
    try {
      await writer.write(run);
      return await writer.close(bytes, crc);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }
  const what = `write chunk ${handle}`;
  return ground.locks.run(handle, async () => {
    ground.retirement.check();
    const refusal = obstacle(ground, { handle, version, purpose: "put" });
    if (refusal !== undefined) throw refusal;
    if (!ground.space.fresh) await ground.retirement.attempt("measure the free space", () => ground.space.refresh());
    const space = ground.space.hold(0, "new");
    try {
      space.take(bytes, what);
      if (!ground.log.hasRoom) await ground.log.room();
      ground.state.highestHandle = Math.max(ground.state.highestHandle, handle);
      const blocks = [...crcs];
      await ground.log.commit({ kind: "closed", handle, version, length: bytes, crc, blocks, origin }, run.payload);
    } finally {
      space.release();
    }
  });
}
