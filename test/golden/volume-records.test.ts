import { describe, expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { chunkHandle, chunkVersion, inodeId, sequence, sessionId, volumeId } from "../../src/wire/ids.ts";
import { decodeVolumeRecord, encodeVolumeRecord, type VolumeRecord } from "../../src/wire/volume-records.ts";
import { expectGolden } from "./golden-file.ts";

const handle = chunkHandle(2 ** 33 + 1);
const version = chunkVersion(3);
const origin = { inode: inodeId(12), path: "/a/ü", fileOffset: 2 ** 34 };
const crc = 0xdead_beef;
const payload = utf8("bytes of a chunk");

const records: { readonly [Kind in VolumeRecord["kind"]]: Extract<VolumeRecord, { kind: Kind }> } = {
  appended: {
    kind: "appended",
    handle,
    session: sessionId(5),
    sequence: sequence(2 ** 33),
    offset: 77,
    crc: crc32(payload),
  },
  promised: { kind: "promised", handle, version },
  opened: {
    kind: "opened",
    handle,
    version,
    role: "primary",
    chain: [volumeId("00112233445566778899aabbccddeeff"), volumeId("ffeeddccbbaa99887766554433221100")],
    chunkBytes: 64_000_000,
    origin,
    appendTable: [{ session: sessionId(5), answers: [{ sequence: sequence(1), fileOffset: 9, bytes: 4, crc }] }],
  },
  closed: { kind: "closed", handle, version, length: payload.length, crc, blocks: [crc], origin },
  tailed: {
    kind: "tailed",
    handle,
    version,
    from: 65_000,
    length: 70_000,
    crc,
    blocks: [1, 2],
    origin,
    appendTable: [{ session: sessionId(5), answers: [{ sequence: sequence(2), fileOffset: 2 ** 34, bytes: 4, crc }] }],
  },
  finished: { kind: "finished", handle, version, length: 70_000, crc, lastBlock: 5, origin },
  removed: { kind: "removed", handle, wallSeconds: 1_800_000_000 },
  corrupted: { kind: "corrupted", handle, reason: "missing" },
  "epoch-seen": { kind: "epoch-seen", epoch: { number: 4, startId: "0011223344556677" }, highestHandle: handle },
};

describe("records of the volume log stay as they are", () => {
  test("every kind that was written once is read, and written again alike", () => {
    const written = new Map<string, Uint8Array>();
    for (const record of Object.values(records)) {
      const bytes = record.kind === "appended" || record.kind === "closed" ? [payload] : [];
      written.set(record.kind, concatBytes([encodeVolumeRecord(record), ...bytes]));
    }
    for (const [kind, bytes] of expectGolden("volume-records.hex", written)) {
      const { record, payloadAt } = decodeVolumeRecord(bytes);
      expect<string>(record.kind).toBe(kind);
      expect(record).toEqual(records[record.kind]);
      const rest = bytes.subarray(payloadAt);
      expect(rest.length).toBe(kind === "appended" || kind === "closed" ? payload.length : 0);
    }
  });
});
