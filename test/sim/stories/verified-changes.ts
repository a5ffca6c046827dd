/**
 * A replica of several pieces is verified while all happens to it that can: it leaves the log for its file, goes, is replaced by another version or by its like, or grows old
 * in peace (DESIGN §4.5). A good one is never taken for a bad one; one that rotted always is (P5).
 */
import { crc32 } from "../../../src/base/checksum.ts";
import type { Store } from "../../../src/chunkserver/store/store.ts";
import { chunkHandle, chunkVersion } from "../../../src/wire/ids.ts";
import {
  content,
  openOptions,
  origin,
  putChunk,
  readAll,
  recordOf,
  simVolume,
  smallLimits,
  writeOptions,
} from "../../unit/chunkserver/store/sim-volume.ts";
import type { Violation } from "../history.ts";
import { noFaults } from "../world/fault-settings.ts";
import { Prng } from "../world/prng.ts";
import type { Story } from "./story.ts";

const changes = ["none", "filed", "moved aside", "replaced", "replaced alike", "rotted", "trailer rotted"] as const;
type Change = (typeof changes)[number];

const limits = { ...smallLimits, logSegmentBytes: 2_000_000, volumeLogBytesMax: 40_000_000 };
const chunkBytes = 4_000_000;
const recordBytes = 500_000;
const first = chunkVersion(2);

/** Sealed at version 2, all of it in the log. */
async function sealInLog(store: Store, handle: number, data: Uint8Array): Promise<void> {
  await store.openReplica({ ...openOptions(handle), chunkBytes: data.length });
  for (let n = 1, offset = 0; offset < data.length; n++, offset += recordBytes) {
    await store.room();
    await store.durable(
      store.append(recordOf(handle, n, { offset, data: data.subarray(offset, offset + recordBytes) })),
    );
  }
  await store.promise(chunkHandle(handle), first);
  await store.finish({ handle: chunkHandle(handle), version: first, length: data.length, crc: crc32(data), origin });
}

/** A replica at rest is replaced by another version just while its verification opens the file, on a disk that is slow now and then. */
async function isTakenForBad(store: Store, handle: number): Promise<boolean> {
  await putChunk(store, writeOptions(handle, { version: first }), content(100_000, handle));
  await store.flush();
  const replace = async (): Promise<void> => {
    await store.moveAside(chunkHandle(handle));
    const next = writeOptions(handle, { version: chunkVersion(3), purpose: "clone" });
    await putChunk(store, next, content(100_000, 50 + handle));
  };
  await Promise.all([store.verifyReplica(chunkHandle(handle)), replace()]);
  return store.bad().some((one) => Number(one.handle) === handle);
}

export const verifiedChanges: Story = (seed) => {
  const prng = new Prng(`verified changes ${seed}`);
  const violations: Violation[] = [];
  const volume = simVolume(seed);
  volume.with(
    async (store) => {
      for (let handle = 1; handle <= 4; handle++) {
        const data = content(chunkBytes, handle);
        const change: Change = changes[prng.integer(0, changes.length - 1)]!;
        await sealInLog(store, handle, data);
        const rots = change === "rotted" || change === "trailer rotted";
        if (rots || prng.chance(0.5)) await store.flush();
        const path = `/disk/volume/chunks/0${handle}/000000000000000${handle}`;
        if (change === "trailer rotted") {
          // A reader has its file open, with the trailer as it was.
          await readAll(store, handle, { offset: 0, length: 10 });
          volume.machine.drive().corrupt(path, chunkBytes + 20);
        }
        const at = prng.integer(1, 3);
        let pieces = 0;
        const verdict = await store.verifyReplica(chunkHandle(handle), {
          pace: async () => {
            if (++pieces !== at) return;
            if (change === "filed") return store.flush();
            if (change === "rotted") return volume.machine.drive().corrupt(path, chunkBytes - 1);
            if (change === "none" || change === "trailer rotted") return;
            await store.moveAside(chunkHandle(handle));
            if (change === "moved aside") return;
            const version = change === "replaced" ? chunkVersion(3) : first;
            const next = change === "replaced" ? content(chunkBytes, 50 + handle) : data;
            await putChunk(store, writeOptions(handle, { version, purpose: "clone" }), next);
          },
        });
        const bad = store.bad().some((one) => Number(one.handle) === handle);
        if (bad !== rots)
          violations.push({
            promise: "P5",
            what: `chunk ${handle}, ${change} at piece ${at} while it was verified (${verdict}), is ${bad ? "" : "not "}taken for bad`,
          });
      }
      volume.simulation.setFaults({ ...noFaults, disk: { ...noFaults.disk, slow: 0.2, slowMs: [20, 200] } });
      for (let handle = 5; handle <= 20; handle++)
        if (await isTakenForBad(store, handle))
          violations.push({ promise: "P5", what: `chunk ${handle}, replaced while it was verified, is taken for bad` });
      volume.simulation.setFaults(noFaults);
    },
    { limits },
  );
  return violations;
};
