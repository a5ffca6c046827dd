/** The bytes of a chunkserver's disk that must stay readable. `GOLDEN=write` makes files that are missing, and never changes one. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { concatBytes } from "../../src/base/bytes.ts";
import { decodeActive, decodeCheckpointHeader, encodeActive, encodeCheckpointHeader, packRows, section, unpackRows } from "../../src/chunkserver/store/checkpoint.ts";
import { newActive } from "../../src/chunkserver/store/active-replica.ts";
import { BlockSums } from "../../src/chunkserver/store/block-sums.ts";
import { LogRanges } from "../../src/chunkserver/store/log-ranges.ts";
import { decodeIdentity, encodeIdentity, type Identity } from "../../src/chunkserver/store/identity.ts";
import { decodeTrailer, encodeTrailer, type Trailer } from "../../src/chunkserver/store/trailer.ts";
import { chunkHandle, chunkVersion, clusterId, inodeId, sequence, sessionId, volumeId } from "../../src/wire/ids.ts";
import { decodeVolumeRecord, encodeVolumeRecord, type VolumeRecord } from "../../src/wire/volume-records.ts";

function golden(name: string, bytes: Uint8Array): Uint8Array {
  const path = `${import.meta.dir}/data/${name}`;
  if (!existsSync(path) && process.env["GOLDEN"] === "write") writeFileSync(path, bytes);
  return new Uint8Array(readFileSync(path));
}

const handle = chunkHandle(0x1f_ffff_ffff_fff1);
const version = chunkVersion(3);
const volume = volumeId("00112233445566778899aabbccddeeff");
const cluster = clusterId("ffeeddccbbaa99887766554433221100");
const origin = { inode: inodeId(9), path: "/a/ü", fileOffset: 12_345_678_901 };
const appendTable = [{ session: sessionId(5), answers: [{ sequence: sequence(8), fileOffset: 10, bytes: 7, crc: 0xffff_fffe }] }];

const records: readonly VolumeRecord[] = [
  { kind: "appended", handle, session: sessionId(5), sequence: sequence(2 ** 40), offset: 65_535, crc: 0xdead_beef },
  { kind: "promised", handle, version },
  { kind: "opened", handle, version, role: "primary", chain: [volume], chunkBytes: 64_000_000, origin, appendTable },
  { kind: "closed", handle, version, length: 70_000, crc: 1, blocks: [2, 0xffff_ffff], origin },
  { kind: "tailed", handle, version, from: 10, length: 20, crc: 3, blocks: [4], origin },
  { kind: "finished", handle, version, length: 20, crc: 3, lastBlock: 3, origin },
  { kind: "removed", handle, wallSeconds: 1_700_000_000 },
  { kind: "corrupted", handle, reason: "missing" },
  { kind: "epoch-seen", epoch: { number: 12, startId: "0123456789abcdef" }, highestHandle: handle },
];

describe("golden bytes of a volume", () => {
  for (const record of records) {
    test(`volume log record ${record.kind}`, () => {
      const payload = record.kind === "appended" ? new Uint8Array([1, 2, 3]) : new Uint8Array(0);
      const bytes = concatBytes([encodeVolumeRecord(record), payload, new Uint8Array(0)]);
      const kept = golden(`volume-record-${record.kind}.bin`, bytes);
      expect(bytes).toEqual(kept);
      expect(decodeVolumeRecord(kept)).toEqual({ record, payloadAt: bytes.length - payload.length });
      for (let cut = 0; cut < kept.length - payload.length; cut++) {
        expect(() => decodeVolumeRecord(kept.subarray(0, cut))).toThrow("Cannot read a record");
      }
    });
  }

  test("identity file", () => {
    const identity: Identity = { kind: "gfs volume", format: 1, volume, clusterId: cluster };
    const kept = golden("volume-identity.txt", encodeIdentity(identity));
    expect(encodeIdentity(identity)).toEqual(kept);
    expect(decodeIdentity(kept, "identity")).toEqual(identity);
  });

  test("trailer of a data file", () => {
    const blocks = new Uint32Array([0x1111_1111, 0x2222_2222]);
    const length = 70_000;
    const { crc } = BlockSums.of(length, blocks);
    const trailer: Trailer = { handle, version, volume, clusterId: cluster, length, crc, origin };
    const kept = golden("data-file-trailer.bin", encodeTrailer(trailer, blocks));
    expect(encodeTrailer(trailer, blocks)).toEqual(kept);
    expect(decodeTrailer(kept)).toEqual({ trailer, blocks });
  });

  test("checkpoint", () => {
    const header = { kind: "gfs volume checkpoint" as const, format: 1, volume, position: 77, epoch: { number: 1, startId: "0123456789abcdef" }, highestHandle: handle };
    const states = ["open", "fenced", "sealed", "corrupt", "removed"] as const;
    const rows = states.map((state, index) => ({ handle: handle - index, promised: 3, dataVersion: 2, length: 70_000 + index, crc: 0xffff_ffff, state }));
    const log = new LogRanges(65_536);
    log.add(2 ** 33, 4_096, 4_464);
    const active = { ...newActive(handle, version), origin, sums: BlockSums.of(70_000, [1, 2]), fileBytes: 65_536, log, accepted: 70_000 };
    const sections = [encodeCheckpointHeader(header), packRows(rows), new Uint8Array(0), encodeActive(active), new Uint8Array(0)];
    const bytes = concatBytes(sections.flatMap(section));
    const kept = golden("volume-checkpoint.bin", bytes);
    expect(bytes).toEqual(kept);
    expect(decodeCheckpointHeader(sections[0]!, "checkpoint")).toEqual(header);
    expect([...unpackRows(sections[1]!, "checkpoint")]).toEqual(rows);
    const found = decodeActive(sections[3]!, "checkpoint");
    expect(found.log.entries()).toEqual(log.entries());
    expect(found.sums.crc).toBe(active.sums.crc);
    expect(found.origin).toEqual(origin);
  });
});
