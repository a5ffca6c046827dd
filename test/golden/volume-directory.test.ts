import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { readCheckpoint, writeCheckpoint } from "../../src/chunkserver/store/checkpoint-file.ts";
import { decodeIdentity, encodeIdentity, type Identity } from "../../src/chunkserver/store/identity.ts";
import { decodeTrailer, encodeTrailer, type Trailer } from "../../src/chunkserver/store/trailer.ts";
import { VolumeState } from "../../src/chunkserver/store/volume-state.ts";
import { partCrcs } from "../../src/wire/data/blocks.ts";
import { chunkHandle, chunkVersion, clusterId, inodeId, sequence, sessionId, volumeId } from "../../src/wire/ids.ts";
import type { VolumeRecord } from "../../src/wire/volume-records.ts";
import { inFixedWorld, readFile, writeFile } from "./fixed-world.ts";
import { expectGolden, expectGoldenFile } from "./golden-file.ts";

const volume = volumeId("ffeeddccbbaa99887766554433221100");
const cluster = clusterId("00112233445566778899aabbccddeeff");
const origin = { inode: inodeId(12), path: "/a/ü", fileOffset: 2 ** 34 };
const version = chunkVersion(1);

const records: readonly VolumeRecord[] = [
  { kind: "epoch-seen", epoch: { number: 4, startId: "0011223344556677" }, highestHandle: 900 },
  {
    kind: "opened",
    handle: chunkHandle(1),
    version,
    role: "secondary",
    chain: [volume],
    chunkBytes: 64_000_000,
    origin,
    appendTable: [],
  },
  { kind: "appended", handle: chunkHandle(1), session: sessionId(5), sequence: sequence(1), offset: 0, crc: 0x1111 },
  { kind: "appended", handle: chunkHandle(1), session: sessionId(5), sequence: sequence(2), offset: 100, crc: 0x2222 },
  { kind: "promised", handle: chunkHandle(2 ** 33), version: chunkVersion(7) },
  { kind: "closed", handle: chunkHandle(3), version, length: 70_000, crc: 0x3333, blocks: [], origin },
  { kind: "closed", handle: chunkHandle(4), version, length: 70_000, crc: 0x4444, blocks: [], origin },
  { kind: "corrupted", handle: chunkHandle(4), reason: "corrupt" },
  { kind: "removed", handle: chunkHandle(5), wallSeconds: 1_700_000_000 },
];

function stateOfRecords(): VolumeState {
  const state = new VolumeState();
  for (const [i, record] of records.entries()) {
    const bytes = record.kind === "appended" ? 140 : 40;
    const place = { segment: 1, offset: 600 + 200 * i, bytes };
    state.apply(record, { place, at: 40, parts: record.kind === "appended" ? [record.crc] : [] });
  }
  return state;
}

/** All that a checkpoint keeps, comparable. */
function factsOf(state: VolumeState): unknown {
  const active = [...state.active.values()].map(({ sums, answers, log, ...rest }) => ({
    handle: rest.handle,
    state: rest.state,
    promised: rest.promised,
    dataVersion: rest.dataVersion,
    chunkBytes: rest.chunkBytes,
    origin: rest.origin,
    fileBytes: rest.fileBytes,
    length: sums.length,
    crc: sums.crc,
    blocks: [...sums.blocks()],
    answers: answers.table(),
    log: log.entries(),
  }));
  // Rows of active replicas name state and versions only; the rest is with the replica.
  const rows = [...state.table.rows()].map((row) =>
    state.active.has(row.handle) ? { ...row, length: 0, crc: 0 } : row,
  );
  return { rows, active };
}

describe("a volume's directory that was written once can be opened, and is written alike", () => {
  test("an identity, before and after its volume joined a cluster", () => {
    const fresh: Identity = { kind: "gfs volume", format: 1, volume };
    const identities = new Map<string, Identity>([
      ["fresh", fresh],
      ["joined", { ...fresh, clusterId: cluster }],
    ]);
    const written = new Map([...identities].map(([title, identity]) => [title, encodeIdentity(identity)]));
    for (const [title, bytes] of expectGolden("volume-identity.hex", written))
      expect(decodeIdentity(bytes, title)).toEqual(identities.get(title)!);
  });

  test("the data file of a sealed chunk of two blocks", () => {
    const chunk = Uint8Array.from({ length: 66_000 }, (_, i) => (i * 31) & 0xff);
    const blocks = Uint32Array.from(partCrcs(0, [chunk]));
    const trailer: Trailer = {
      handle: chunkHandle(2 ** 33 + 7),
      version,
      volume,
      clusterId: cluster,
      length: chunk.length,
      crc: crc32(chunk),
      origin,
    };
    const kept = expectGolden("data-file-trailer.hex", new Map([["trailer", encodeTrailer(trailer, blocks)]]));
    // The chunk itself lies before it from byte 0: raw, so it needs no golden copy.
    const file = concatBytes([chunk, kept.get("trailer")!]);
    const read = decodeTrailer(file.subarray(chunk.length));
    expect(read.trailer).toEqual(trailer);
    expect(read.blocks).toEqual(blocks);
  });

  test("a checkpoint", () => {
    const state = stateOfRecords();
    const written = inFixedWorld(async (world) => {
      await world.disk.makeDirectory("/v");
      const options = { directory: "/v", volume, position: records.length, wallSeconds: 1_700_000_100 };
      await writeCheckpoint(world.disk, state, options);
      return readFile(world, "/v/checkpoint");
    });
    const kept = expectGoldenFile("volume.checkpoint", written);
    inFixedWorld(async (world) => {
      await writeFile(world, "/v/checkpoint", kept);
      const read = new VolumeState();
      expect(await readCheckpoint(world.disk, "/v", read)).toEqual({
        position: records.length,
        volume,
        epoch: state.epoch,
        highestHandle: state.highestHandle,
      });
      expect(factsOf(read)).toEqual(factsOf(state));
    });
  });
});
