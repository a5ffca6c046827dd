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
  recordOf,
  simVolume,
  smallLimits,
  writeOptions,
} from "../../unit/chunkserver/store/sim-volume.ts";
import type { Violation } from "../history.ts";
import { Prng } from "../world/prng.ts";
import type { Story } from "./story.ts";

const changes = ["none", "filed", "moved aside", "replaced", "replaced alike", "rotted"] as const;
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
        if (change === "rotted" || prng.chance(0.5)) await store.flush();
        const at = prng.integer(1, 3);
        let pieces = 0;
        const verdict = await store.verifyReplica(chunkHandle(handle), {
          pace: async () => {
            if (++pieces !== at) return;
            if (change === "filed") return store.flush();
            if (change === "rotted") {
              const path = `/disk/volume/chunks/0${handle}/000000000000000${handle}`;
              return volume.machine.drive().corrupt(path, chunkBytes - 1);
            }
            if (change === "none") return;
            await store.moveAside(chunkHandle(handle));
            if (change === "moved aside") return;
            const version = change === "replaced" ? chunkVersion(3) : first;
            const next = change === "replaced" ? content(chunkBytes, 50 + handle) : data;
            await putChunk(store, writeOptions(handle, { version, purpose: "clone" }), next);
          },
        });
        const bad = store.bad().some((one) => Number(one.handle) === handle);
        const wanted = change === "rotted";
        if (bad !== wanted)
          violations.push({
            promise: "P5",
            what: `chunk ${handle}, ${change} at piece ${at} while it was verified (${verdict}), is ${bad ? "" : "not "}taken for bad`,
          });
      }
    },
    { limits },
  );
  return violations;
};
