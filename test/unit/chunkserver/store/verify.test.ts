/** DESIGN §4.5: every byte of a replica is read and compared, and a good one is never taken for a bad one. */
import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../../src/base/checksum.ts";
import type { Store } from "../../../../src/chunkserver/store/store.ts";
import { chunkHandle, chunkVersion } from "../../../../src/wire/ids.ts";
import {
  content,
  directory,
  openOptions,
  origin,
  putChunk,
  readAll,
  recordOf,
  simVolume,
  smallLimits,
  writeOptions,
} from "./sim-volume.ts";

const large = {
  limits: { ...smallLimits, smallChunkBytesMax: 20_000, logSegmentBytes: 2_000_000, volumeLogBytesMax: 40_000_000 },
};
const handle = chunkHandle(0x2a);
const path = `${directory}/chunks/2a/000000000000002a`;

/** A sealed chunk of several runs, all of it in the volume log. */
async function sealInLog(store: Store, bytes: number): Promise<Uint8Array> {
  const data = content(bytes);
  await store.openReplica({ ...openOptions(handle), chunkBytes: bytes });
  const record = 500_000;
  for (let n = 1, offset = 0; offset < bytes; n++, offset += record) {
    await store.room();
    await store.durable(store.append(recordOf(handle, n, { offset, data: data.subarray(offset, offset + record) })));
  }
  await store.promise(handle, chunkVersion(2));
  await store.finish({ handle, version: chunkVersion(2), length: bytes, crc: crc32(data), origin });
  return data;
}

describe("DESIGN §4.5 a replica is verified", () => {
  test.each([
    ["a byte of its content", 40_000],
    ["a block's checksum in the trailer", 100_000 + 17],
    ["the trailer's end", -1],
  ])("%s that rotted is found, though the file was open before", (_name, offset) => {
    const volume = simVolume();
    volume.with(async (store) => {
      const data = content(100_000);
      await putChunk(store, writeOptions(handle), data);
      await store.flush();
      expect(await readAll(store, handle)).toEqual(data);
      const { files } = volume.machine.drive();
      const size = files.info(path)?.bytes ?? 0;
      volume.machine.drive().corrupt(path, offset < 0 ? size + offset : offset, 4);
      expect(await store.verifyReplica(handle)).toBe("corrupt");
      expect(store.bad()).toEqual([{ handle, version: chunkVersion(1), reason: "corrupt" }]);
    });
  });

  test("a file that was cut, and one that is gone, is found", () => {
    for (const [harm, verdict] of [
      ["cut", "corrupt"],
      ["gone", "missing"],
    ] as const) {
      const volume = simVolume();
      volume.with(async (store, world) => {
        await putChunk(store, writeOptions(handle), content(100_000));
        await store.flush();
        if (harm === "gone") await world.disk.remove(path);
        else {
          const file = await world.disk.open(path, "write");
          await file.truncate(70_000);
          await file.close();
        }
        expect(await store.verifyReplica(handle)).toBe(verdict);
        expect(store.bad()).toEqual([{ handle, version: chunkVersion(1), reason: verdict }]);
      });
    }
  });

  test("bytes that only the volume log has are read too", () => {
    const volume = simVolume();
    volume.with(async (store) => {
      const data = content(10_000);
      await putChunk(store, writeOptions(handle, { bytes: data.length }), data);
      expect(await store.verifyReplica(handle)).toBe("healthy");
      const drive = volume.machine.drive();
      const [log = ""] = drive.files.filesUnder(`${directory}/log`).filter((name) => name.endsWith(".segment"));
      drive.corrupt(log, 4_096 + 6_000);
      expect(await store.verifyReplica(handle)).toBe("corrupt");
    });
  });

  test.each(["log", "removed", "replaced", "replaced alike"] as const)(
    "one that is %s while it is read is not taken for a bad one",
    (what) => {
      const volume = simVolume();
      volume.with(async (store) => {
        const data = await sealInLog(store, 4_000_000);
        if (what !== "log") await store.flush();
        let pieces = 0;
        const verdict = await store.verifyReplica(handle, {
          pace: async () => {
            if (++pieces !== 2) return;
            if (what === "log") return store.flush();
            await store.moveAside(handle);
            if (what === "removed") return;
            const version = chunkVersion(what === "replaced" ? 3 : 2);
            const next = what === "replaced" ? content(4_000_000, 9) : data;
            await putChunk(store, writeOptions(handle, { version, purpose: "clone" }), next);
          },
        });
        expect(pieces).toBeGreaterThan(2);
        expect(verdict).toBe("healthy");
        expect(store.bad()).toEqual([]);
        if (what !== "removed") expect(store.replica(handle)?.state).toBe("sealed");
      }, large);
    },
  );
});

describe("DESIGN §4.4 a read that is under way while its bytes go from the log to the file", () => {
  test("goes on from the file", () => {
    const volume = simVolume();
    volume.with(async (store) => {
      const data = await sealInLog(store, 6_000_000);
      let at = 0;
      for await (const run of store.read(handle, { offset: 0, length: data.length })) {
        if (at === 0) await store.flush();
        at += run.bytes;
      }
      expect(at).toBe(data.length);
      expect(store.bad()).toEqual([]);
      expect(store.replica(handle)?.state).toBe("sealed");
    }, large);
  });

  test("and where another replica takes its place meanwhile, that one is not taken for a bad one", () => {
    const volume = simVolume();
    volume.with(async (store) => {
      const data = await sealInLog(store, 6_000_000);
      let at = 0;
      let failure = "";
      try {
        for await (const run of store.read(handle, { offset: 0, length: data.length })) {
          if (at === 0) {
            await store.moveAside(handle);
            const clone = writeOptions(handle, { version: chunkVersion(3), purpose: "clone" });
            await putChunk(store, clone, content(6_000_000, 9));
            await store.flush();
          }
          at += run.bytes;
        }
      } catch (error) {
        failure = String(error);
      }
      expect(failure).not.toBe("");
      expect(store.bad()).toEqual([]);
      expect(await store.verifyReplica(handle)).toBe("healthy");
    }, large);
  });
});
