/** What a chunkserver reads at its start and at a read: damage is refused, or cuts what nobody was told; never other bytes. */
import { concatBytes, viewOf } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { GfsError } from "../../src/base/errors.ts";
import { openStore } from "../../src/chunkserver/store/open-store.ts";
import { decodeTrailer } from "../../src/chunkserver/store/trailer.ts";
import { decodeVolumeRecord, encodeVolumeRecord } from "../../src/wire/volume-records.ts";
import { unpackReport, packReport } from "../../src/wire/report.ts";
import { chunkHandle, chunkVersion } from "../../src/wire/ids.ts";
import { readGolden } from "../golden/golden-file.ts";
import {
  content,
  directory,
  openOptions,
  optionsOf,
  origin,
  putChunk,
  readAll,
  recordOf,
  simVolume,
  writeOptions,
} from "../unit/chunkserver/store/sim-volume.ts";
import { damaged, type Image, takeImage, withImage } from "./disk-image.ts";
import { demand, type FuzzRun, type FuzzTarget, sameCbor, typed } from "./fuzz-target.ts";
import { mutateBytes, pick } from "./mutate.ts";

const startRefusals = ["Corrupt", "FormatUnsupported", "WrongCluster", "Denied"] as const;
const readRefusals = ["Corrupt", "ReplicaMissing"] as const;

interface Volume {
  readonly image: Image;
  /** All that was ever written, by handle. */
  readonly truth: ReadonlyMap<number, Uint8Array>;
}

/** Small chunks, large ones, a removed one, and chunks with records: open, fenced and sealed. */
function makeVolume(): Volume {
  const volume = simVolume();
  const truth = new Map<number, Uint8Array>();
  volume.with(async (store) => {
    for (const [handle, bytes] of [
      [1, 100],
      [2, 15_000],
      [3, 140_000],
      [4, 3_000],
    ] as const) {
      truth.set(handle, content(bytes, handle));
      await putChunk(store, writeOptions(handle), truth.get(handle)!);
    }
    for (const handle of [5, 6, 7]) {
      const records = [1, 2, 3].map((n) => content(2_000 * n + handle, 10 * handle + n));
      truth.set(handle, concatBytes(records));
      await store.openReplica(openOptions(handle));
      let offset = 0;
      for (const [i, data] of records.entries()) {
        await store.durable(store.append(recordOf(handle, i + 1, { offset, data })));
        offset += data.length;
      }
    }
    for (const handle of [6, 7]) await store.promise(chunkHandle(handle), chunkVersion(2));
    const sealed = truth.get(7)!;
    await store.finish({
      handle: chunkHandle(7),
      version: chunkVersion(2),
      length: sealed.length,
      crc: crc32(sealed),
      origin,
    });
  });
  // A second life: with a checkpoint, and a log after it.
  volume.with(async (store) => {
    await store.flush();
    truth.set(8, content(700, 8));
    await putChunk(store, writeOptions(8), truth.get(8)!);
  });
  const image = volume.simulation.do(volume.machine, (world) => takeImage(world, directory));
  return { image, truth };
}

function prepareVolume(which: RegExp): FuzzRun {
  const { image, truth } = makeVolume();
  return {
    once(prng) {
      withImage(
        damaged(prng, image, which),
        async (world) => {
          const store = await openStore(world, optionsOf());
          try {
            for (const [handle, whole] of truth) {
              if (store.replica(chunkHandle(handle)) === undefined) continue;
              const read = await readAll(store, handle).catch((error: unknown) => typedError(error));
              if (read instanceof GfsError) continue;
              const same = Buffer.compare(read, whole.subarray(0, read.length)) === 0;
              demand(same, () => `chunk ${handle} has other bytes than were written`);
            }
            // It can still be used.
            await putChunk(store, writeOptions(99), content(500, 99));
            demand(
              Buffer.compare(await readAll(store, 99), content(500, 99)) === 0,
              () => "a new chunk has other bytes",
            );
          } finally {
            await store.close();
          }
        },
        startRefusals,
      );
    },
  };
}

function typedError(thrown: unknown): GfsError {
  const error = typed(
    () => {
      throw thrown;
    },
    ...readRefusals,
  );
  if (error instanceof GfsError) return error;
  throw thrown;
}

function prepareTrailer(): FuzzRun {
  const good = readGolden("data-file-trailer.hex").get("trailer")!;
  const expected = decodeTrailer(good);
  return {
    once(prng) {
      const bytes = mutateBytes(prng, good);
      const own = prng.chance(0.5) && bytes.length > 12;
      // With its checksum and length right again: what is behind them is read.
      if (own) {
        const view = viewOf(bytes);
        view.setUint32(bytes.length - 12, bytes.length, true);
        view.setUint32(bytes.length - 8, crc32(bytes.subarray(0, bytes.length - 8)), true);
        view.setUint32(bytes.length - 4, 0x6573_6667, true);
      }
      const read = typed(() => decodeTrailer(bytes), "Corrupt", "FormatUnsupported");
      if (read instanceof GfsError || own) return;
      demand(Bun.deepEquals(read, expected), () => `another trailer: ${JSON.stringify(read)}`);
    },
  };
}

function prepareRecords(): FuzzRun {
  const records = [...readGolden("volume-records.hex").values()];
  const reports = [...readGolden("report-page.hex").values()];
  return {
    once(prng) {
      const entry = mutateBytes(prng, pick(prng, records), records);
      const decoded = typed(() => decodeVolumeRecord(entry), "Corrupt", "FormatUnsupported");
      if (!(decoded instanceof GfsError)) {
        const payload = entry.subarray(decoded.payloadAt);
        const again = decodeVolumeRecord(concatBytes([encodeVolumeRecord(decoded.record), payload]));
        demand(sameCbor(again.record, decoded.record), () => `another record: ${JSON.stringify(decoded.record)}`);
      }
      const page = mutateBytes(prng, pick(prng, reports), reports);
      const replicas = typed(() => unpackReport(page), "ProtocolError");
      if (replicas instanceof GfsError) return;
      demand(Bun.deepEquals(unpackReport(packReport(replicas)), replicas), () => "another report when packed again");
    },
  };
}

export const volumeDiskTargets: readonly FuzzTarget[] = [
  { name: "volume-log", shortRun: 30, prepare: () => prepareVolume(/log\/.*segment$/) },
  { name: "volume-checkpoint", shortRun: 60, prepare: () => prepareVolume(/\/(?:checkpoint|identity)$/) },
  { name: "data-files", shortRun: 20, prepare: () => prepareVolume(/\/chunks\//) },
  { name: "trailer", shortRun: 1000, prepare: prepareTrailer },
  { name: "volume-records", shortRun: 2000, prepare: prepareRecords },
];
